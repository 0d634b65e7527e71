"""What each knob does by itself: the one-variable-at-a-time levels, and their effects with intervals.

Fits the additive model y[b,l] = mu + block[b] + level[l] + e with one residual variance over all cells, which also
takes the A/A windows as a block of their own. A row is a picture of one level, never the claim of the study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from harness import variant
from harness.judge import censored, score
from harness.judge.rank import Interval
from harness.ledger.record import History
from harness.study.model import Knob, Level, Study
from harness.variant import Variant

BASELINE = ""
"""The label of the baseline's cells."""

CONFIDENCE = 0.90
FAMILY_ALPHA = 0.05
FEWEST_WINDOWS = 2
"""Windows of a level below which its row is a picture and never called: a single one may be an outlier, and where one window
in twenty is, 15 of 100 flat screens of one block would call some level worse (simulated)."""
EVERY_LEVEL = 2
"""A knob with at most this many other levels is screened at each of them."""

Call = Literal["better", "worse", "not resolved"]
Ends = tuple[float | None, float | None]
"""Two ends of an interval; None is open."""
Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class OneOff:
    """The baseline with one knob at another level."""

    knob: str
    level: Level
    variant: Variant


@dataclass(frozen=True)
class Cell:
    """One measured window of the model: its block, the label of its level, its y, and where its true y lies."""

    block: str
    label: str
    y: float
    ends: Interval | None = None


@dataclass(frozen=True)
class Contrast:
    """A level against the baseline in y: estimate, standard error, degrees of freedom of the residual."""

    estimate: float
    error: float
    freedom: int


@dataclass(frozen=True)
class Effect:
    """One row of the table. `effect` is a gain (fraction of the baseline's value, positive is better).

    `interval` is two-sided 90 %; None where no residual is left to tell the noise from. An end is None where nothing bounds
    it: a window of the level or of the baseline read the end of its scale, such as the time-out. `n` counts the level's usable
    windows. `p_holm` is one-sided towards the effect's own sign, adjusted over all rows.
    """

    knob: str
    level: Level
    variant: str
    effect: float | None
    interval: Ends | None
    n: int
    p_holm: float | None
    call: Call
    words: str


@dataclass(frozen=True)
class _Adjusted:
    """Holm's p of each label for both directions, each direction a family of its own."""

    better: Mapping[str, float]
    worse: Mapping[str, float]


def one_offs(study: Study) -> tuple[OneOff, ...]:
    """Return the levels that the screen tries, each once; left out: what makes the baseline again or breaks a constraint."""
    seen = {variant.baseline(study).id}
    found = []
    for knob in study.knobs:
        for level in screened_levels(knob):
            made = variant.of(study, {knob.name: level})
            if made.id not in seen and variant.permitted(study, made):
                seen.add(made.id)
                found.append(OneOff(knob.name, level, made))
    return tuple(found)


def screened_levels(knob: Knob) -> tuple[Level, ...]:
    """Return every other level of a knob with few or without order, else a low and a high one.

    A side with two or more levels gives its second from the end: the extremes are rarely good. Where the baseline
    stands at one end, the second from the far end and the baseline's neighbour stand for the rest.
    """
    others = tuple(level for level in knob.levels if level != knob.baseline)
    if len(others) <= EVERY_LEVEL or not knob.ordered:
        return others
    at = knob.levels.index(knob.baseline)
    below, above = knob.levels[:at], knob.levels[at + 1 :]
    if below and above:
        return below[min(1, len(below) - 1)], above[max(0, len(above) - 2)]
    return (below[1], below[-1]) if below else (above[0], above[-2])


def screen(study: Study, history: History) -> tuple[Effect, ...]:
    """Return a row for each one-off level of the study, from its calibration and screen windows."""
    tried = one_offs(study)
    cells = _cells(study, history, {one_off.variant.id for one_off in tried})
    contrasts = fit(cells)
    p = {label: one_sided(contrast) for label, contrast in contrasts.items()}
    adjusted = _Adjusted(holm(p), holm({label: 1 - value for label, value in p.items()}))
    return tuple(_row(study, one_off, contrasts.get(one_off.variant.id), adjusted, cells) for one_off in tried)


def fit(cells: Sequence[Cell]) -> dict[str, Contrast]:
    """Return each label's contrast with the baseline; a label that no block joins to the baseline has none."""
    fitted = Additive.of(cells)
    contrasts = ((label, fitted.contrast({label: 1.0})) for label in fitted.labels)
    return {label: contrast for label, contrast in contrasts if contrast is not None}


@dataclass(frozen=True)
class Additive:
    """The additive model fitted by least squares on block and level dummies; cells may miss.

    `s2` is RSS / (N - rank X), pooled over all cells, NaN where no residual is left. The baseline has no column: its
    level is the zero of its block, so a contrast names the other labels only.
    """

    blocks: tuple[str, ...]
    labels: tuple[str, ...]
    design: Matrix
    inverse: Matrix
    solution: Matrix
    s2: float
    freedom: int

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Additive:
        """Fit the model to the cells."""
        labels = sorted({cell.label for cell in cells} - {BASELINE})
        blocks = sorted({cell.block for cell in cells})
        design = np.zeros((len(cells), len(blocks) + len(labels)))
        for row, cell in enumerate(cells):
            design[row, blocks.index(cell.block)] = 1
            if cell.label != BASELINE:
                design[row, len(blocks) + labels.index(cell.label)] = 1
        y = np.array([cell.y for cell in cells])
        inverse = np.asarray(np.linalg.pinv(design.T @ design), dtype=np.float64)
        solution = inverse @ design.T @ y
        freedom = len(cells) - int(np.linalg.matrix_rank(design)) if cells else 0
        s2 = float(((y - design @ solution) ** 2).sum()) / freedom if freedom else math.nan
        return cls(tuple(blocks), tuple(labels), design, inverse, solution, s2, freedom)

    def contrast(self, weights: Mapping[str, float]) -> Contrast | None:
        """Return the weighted sum of levels with its error, sqrt(s2 c' pinv(X'X) c); None where blocks do not join it."""
        if not set(weights) <= set(self.labels):
            return None
        c = np.array([*np.zeros(len(self.blocks)), *(weights.get(label, 0.0) for label in self.labels)])
        if not np.allclose(np.linalg.pinv(self.design) @ self.design @ c, c, atol=1e-8):
            return None
        spread = self.s2 * max(0.0, float(c @ self.inverse @ c))
        return Contrast(float(c @ self.solution), math.sqrt(spread), self.freedom)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's adjusted p for each named test that has one (is not NaN).

    An adjusted p is at most alpha exactly when the step-down procedure at alpha accepts the test.
    """
    known = sorted((value, name) for name, value in p.items() if not math.isnan(value))
    adjusted: dict[str, float] = {}
    reached = 0.0
    for at, (value, name) in enumerate(known):
        reached = max(reached, min(1.0, value * (len(known) - at)))
        adjusted[name] = reached
    return adjusted


def _cells(study: Study, history: History, tried: set[str]) -> list[Cell]:
    cells = []
    for record in (*history.of_phase("calibrate"), *history.of_phase("screen")):
        y = score.y(study, record)
        if y is not None and (record.role == "baseline" or record.variant in tried):
            label = BASELINE if record.role == "baseline" else record.variant
            cells.append(Cell(f"{record.phase} {record.block}", label, y, censored.y_ends(study, record)))
    return cells


def one_sided(contrast: Contrast) -> float:
    """Return p of "the contrast lies below zero": the level is better than the baseline. NaN without a residual."""
    if math.isnan(contrast.error):
        return math.nan
    if contrast.error == 0:
        return 0.5 if contrast.estimate == 0 else float(contrast.estimate > 0)
    return float(special.stdtr(contrast.freedom, contrast.estimate / contrast.error))


def half_width(contrast: Contrast) -> float:
    """Return half of the 90 % interval of a contrast, by Student's t."""
    return float(special.stdtrit(contrast.freedom, (1 + CONFIDENCE) / 2)) * contrast.error


def _ends(study: Study, label: str, contrast: Contrast, cells: Sequence[Cell]) -> Ends:
    """Return the 90 % interval as gains; open towards where a censored window's true value may lie."""
    half = half_width(contrast)
    of_level, of_baseline = (
        [cell.ends for cell in cells if cell.label == name and cell.ends is not None] for name in (label, BASELINE)
    )
    may_be_higher = any(one.high == math.inf for one in of_level) or any(one.low == -math.inf for one in of_baseline)
    may_be_lower = any(one.low == -math.inf for one in of_level) or any(one.high == math.inf for one in of_baseline)
    return (
        None if may_be_higher else score.gain(study, contrast.estimate + half),
        None if may_be_lower else score.gain(study, contrast.estimate - half),
    )


def _row(study: Study, one_off: OneOff, contrast: Contrast | None, p: _Adjusted, cells: Sequence[Cell]) -> Effect:
    at = one_off.variant.id
    n = sum(cell.label == at for cell in cells)
    if contrast is None:
        words = "not measured" if n == 0 else "no baseline was measured beside it"
        return Effect(one_off.knob, one_off.level, at, None, None, n, None, "not resolved", words)
    effect = score.gain(study, contrast.estimate)
    if at not in p.better:
        words = "not resolved: no repeated window to tell the noise from"
        return Effect(one_off.knob, one_off.level, at, effect, None, n, None, "not resolved", words)
    ends = _ends(study, at, contrast, cells)
    p_holm = p.better[at] if effect >= 0 else p.worse[at]
    seen = n >= FEWEST_WINDOWS and p_holm <= FAMILY_ALPHA
    call: Call = "not resolved" if not seen else "better" if effect >= 0 else "worse"
    bounded = [abs(end) for end in ends if end is not None]
    smaller = f" (smaller than {max(bounded):.0%})" if len(bounded) == len(ends) else ""
    words = call if call != "not resolved" else f"not resolved{smaller}"
    return Effect(one_off.knob, one_off.level, at, effect, ends, n, p_holm, call, words)
