"""What each changed knob of a confirmed winner does inside it: the winner against itself with one knob set back.

Fits the additive block and level model to blocks of baseline, winner, and the winner with each changed knob set back,
one residual variance over all cells (facts, section on the effect of each knob). It explains a claim that was made
without it, and can neither make nor take back one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness import variant
from harness.judge import effects, score
from harness.judge.effects import BASELINE, FAMILY_ALPHA, Additive, Cell, Contrast
from harness.ledger.record import WindowRecord
from harness.study.model import Level, Study
from harness.variant import Variant

FEWEST_KNOBS = 2
"""With one changed knob the confirmation already is its effect."""

Call = Literal["helps", "hurts", "not resolved"]
Sum = Literal["more than the sum", "less than the sum", "not resolved"]


@dataclass(frozen=True)
class SetBack:
    """The winner with one of its changed knobs as in the baseline; `level` is the winner's."""

    knob: str
    level: Level
    variant: Variant


@dataclass(frozen=True)
class KnobEffect:
    """What one knob adds to the winner, as a gain (fraction, positive: the knob helps), with its 90 % interval.

    `n` counts the usable windows with the knob set back. `p_holm` is one-sided towards the effect's own sign, adjusted
    over the knobs.
    """

    knob: str
    level: Level
    effect: float | None
    interval: tuple[float, float] | None
    n: int
    p_holm: float | None
    call: Call


@dataclass(frozen=True)
class Interaction:
    """The gain of the whole winner over the sum of its knobs' effects, as a gain, with its two-sided 90 % interval."""

    estimate: float
    interval: tuple[float, float] | None
    call: Sum


@dataclass(frozen=True)
class Attribution:
    """The table of all changed knobs, over so many blocks. `interaction` is None where a label was never measured."""

    blocks: int
    knobs: tuple[KnobEffect, ...]
    interaction: Interaction | None


def set_backs(study: Study, changed: Mapping[str, Level]) -> tuple[SetBack, ...]:
    """Return the winner with each changed knob set back, empty where fewer than two of them make another program."""
    winner = variant.of(study, changed)
    found = [
        SetBack(knob, level, variant.of(study, {name: own for name, own in changed.items() if name != knob}))
        for knob, level in changed.items()
    ]
    acting = tuple(one for one in found if one.variant.id != winner.id)
    return acting if len(acting) >= FEWEST_KNOBS else ()


def attribution(study: Study, changed: Mapping[str, Level], records: Sequence[WindowRecord]) -> Attribution | None:
    """Return the effect of each changed knob from the windows of the attribution, None without a usable one."""
    back = set_backs(study, changed)
    labels = _labels(study, changed, back)
    cells = _cells(study, labels, records)
    if not back or not cells:
        return None
    fitted = Additive.of(cells)
    contrasts = {one.knob: _contrast(fitted, {_WINNER: 1.0}, [labels[one.variant.id]]) for one in back}
    p = {knob: effects.one_sided(contrast) for knob, contrast in contrasts.items() if contrast is not None}
    adjusted = effects.holm(p), effects.holm({knob: 1 - value for knob, value in p.items()})
    counts = {one.knob: sum(cell.label == labels[one.variant.id] for cell in cells) for one in back}
    rows = tuple(_row(study, one, contrasts[one.knob], adjusted, counts[one.knob]) for one in back)
    whole = _contrast(fitted, {_WINNER: 1.0 - len(back)}, [labels[one.variant.id] for one in back], sign=1.0)
    return Attribution(len({cell.block for cell in cells}), rows, None if whole is None else interaction(study, whole))


_WINNER = "winner"
"""The label of the winner's cells; no variant id looks like it."""


def _labels(study: Study, changed: Mapping[str, Level], back: Sequence[SetBack]) -> dict[str, str]:
    """Return the label of each variant id of a block."""
    own = {one.variant.id: one.variant.id for one in back}
    return {**own, variant.of(study, changed).id: _WINNER, variant.baseline(study).id: BASELINE}


def _cells(study: Study, labels: Mapping[str, str], records: Sequence[WindowRecord]) -> list[Cell]:
    measured = [(record, value) for record in records if (value := score.y(study, record)) is not None]
    return [
        Cell(str(record.block), labels[record.variant], value)
        for record, value in measured
        if record.phase == "attribute" and record.variant in labels
    ]


def _contrast(
    fitted: Additive, weights: dict[str, float], others: Sequence[str], sign: float = -1.0
) -> Contrast | None:
    """Return the contrast of `weights` with `sign` times each of the other labels; the baseline's level is zero."""
    for label in others:
        weights |= {} if label == BASELINE else {label: sign}
    return fitted.contrast(weights)


def _row(
    study: Study,
    one: SetBack,
    contrast: Contrast | None,
    adjusted: tuple[Mapping[str, float], Mapping[str, float]],
    n: int,
) -> KnobEffect:
    """Return the row of a knob from winner less set-back, in y: below zero the knob helps."""
    if contrast is None:
        return KnobEffect(one.knob, one.level, None, None, n, None, "not resolved")
    effect, interval = score.gain(study, contrast.estimate), ends(study, contrast)
    helps, hurts = (p.get(one.knob) for p in adjusted)
    p_holm = helps if effect >= 0 else hurts
    if interval is None or p_holm is None or p_holm > FAMILY_ALPHA:
        return KnobEffect(one.knob, one.level, effect, interval, n, p_holm, "not resolved")
    return KnobEffect(one.knob, one.level, effect, interval, n, p_holm, "helps" if effect >= 0 else "hurts")


def interaction(study: Study, over: Contrast) -> Interaction:
    """Return the effect of the whole less the sum of its parts' effects; `over` is in y: below zero it is more."""
    interval = ends(study, over)
    call: Sum = "not resolved"
    if interval is not None and (interval[0] > 0 or interval[1] < 0):
        call = "more than the sum" if interval[0] > 0 else "less than the sum"
    return Interaction(score.gain(study, over.estimate), interval, call)


def ends(study: Study, contrast: Contrast) -> tuple[float, float] | None:
    """Return the two-sided 90 % interval of a contrast as gains, None where no residual is left to tell the noise from."""
    if math.isnan(contrast.error):
        return None
    half = effects.half_width(contrast)
    return score.gain(study, contrast.estimate + half), score.gain(study, contrast.estimate - half)
