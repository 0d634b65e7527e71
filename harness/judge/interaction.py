"""Whether single winners add up: all of them together against the sum of their own effects, in ln units.

The winners are chosen by the screen, whose largest effects are too large by their choice. So the check measures baseline,
each winner alone and all together afresh, in blocks of random order, and fits the additive block and level model to
these windows alone (facts, section on the effect of each knob).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import variant
from harness.judge import attribution, score
from harness.judge.attribution import Interaction
from harness.judge.effects import BASELINE, Additive, Cell, Effect
from harness.ledger.record import WindowRecord
from harness.study.model import Level, Study
from harness.variant import Variant

FEWEST_WINNERS = 2
"""With one there is nothing to add up."""


@dataclass(frozen=True)
class Singles:
    """The best level of each knob that wins by itself, the variant of each alone, and that of all together."""

    levels: Mapping[str, Level]
    alone: tuple[Variant, ...]
    together: Variant


@dataclass(frozen=True)
class Check:
    """What all single winners do together, and what the sum of their own effects says, as gains (positive is better).

    `interaction` is the first over the second, as a gain; its interval is two-sided 90 %, as is `interval` of `together`.
    """

    levels: Mapping[str, Level]
    blocks: int
    together: float
    interval: tuple[float, float] | None
    sum: float
    interaction: Interaction


def singles(study: Study, rows: Sequence[Effect]) -> Singles | None:
    """Return the levels that the screen calls better, the best of each knob; None below two knobs.

    None too where the study's constraints forbid them together, or where together they make the program of fewer.
    """
    best: dict[str, Effect] = {}
    for row in rows:
        if row.call == "better" and (row.knob not in best or (row.effect or 0.0) > (best[row.knob].effect or 0.0)):
            best[row.knob] = row
    levels = {knob: row.level for knob, row in best.items()}
    alone = tuple(variant.of(study, {knob: level}) for knob, level in levels.items())
    together = variant.of(study, levels)
    known = {variant.baseline(study).id, *(one.id for one in alone)}
    if len(levels) < FEWEST_WINNERS or together.id in known or not variant.permitted(study, together):
        return None
    return Singles(levels, alone, together)


def check(study: Study, found: Singles, records: Sequence[WindowRecord]) -> Check | None:
    """Return what the windows of the check tell of `found`; None where a variant of it has no usable window."""
    labels = {one.id: one.id for one in (*found.alone, found.together)} | {variant.baseline(study).id: BASELINE}
    cells = [
        Cell(str(record.block), labels[record.variant], value)
        for record in records
        if record.phase == "interaction" and record.variant in labels and (value := score.y(study, record)) is not None
    ]
    fitted = Additive.of(cells)
    own = {one.id: 1.0 for one in found.alone}
    together, sum_of = fitted.contrast({found.together.id: 1.0}), fitted.contrast(own)
    over = fitted.contrast({found.together.id: 1.0, **{name: -weight for name, weight in own.items()}})
    if together is None or sum_of is None or over is None:
        return None
    return Check(
        levels=found.levels,
        blocks=len({cell.block for cell in cells}),
        together=score.gain(study, together.estimate),
        interval=attribution.ends(study, together),
        sum=score.gain(study, sum_of.estimate),
        interaction=attribution.interaction(study, over),
    )
