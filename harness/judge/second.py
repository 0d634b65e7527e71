"""The second of two objectives: the study seen from it, and what the pairs say about it. No claim rests on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from harness.judge import censored, rank, score, verdict
from harness.judge.guards import Pairs
from harness.study.model import Study

OUTSIDE = 0.05
"""How much may lie outside the interval on each side: it is two-sided 90 %, and not adjusted for looks."""


@dataclass(frozen=True)
class SecondEffect:
    """Gain in the second objective over the pairs (a fraction, positive is better); None where an end is unbounded."""

    metric: str
    estimate: float
    interval: tuple[float | None, float | None]
    pairs: int


def seen_from(study: Study) -> Study | None:
    """Return the study as if its second objective were the only one, None where it has one only."""
    second = study.objective.second
    return None if second is None else replace(study, objective=second)


def effect(study: Study, pairs: Pairs) -> SecondEffect | None:
    """Return what the usable (winner, baseline) pairs say about the second objective, None where there is nothing."""
    other = seen_from(study)
    d = [] if other is None else verdict.differences(other, pairs)
    if other is None or not d:
        return None
    ends = censored.interval(verdict.difference_ends(other, pairs), OUTSIDE)
    gains = [score.gain(other, end) if math.isfinite(end) else None for end in (ends.high, ends.low)]
    estimate = score.gain(other, rank.hodges_lehmann(d))
    return SecondEffect(other.objective.metric, estimate, (gains[0], gains[1]), len(d))
