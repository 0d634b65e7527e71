"""Two objectives: the variants that no other one beats in both. A picture of the search, like every window it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness import variant
from harness.judge import score, second
from harness.ledger.record import History
from harness.search import standing
from harness.study.model import Level, Study


@dataclass(frozen=True)
class Point:
    """One variant: gains (fractions of the baseline's value) by the first and the second objective, over its windows."""

    variant: str
    values: Mapping[str, Level]
    windows: int
    gains: tuple[float, float]


def front(study: Study, history: History) -> tuple[Point, ...]:
    """Return the trade-offs that were found, best by the first objective first; empty with one objective.

    Over the windows before the confirmation, which selected them: each is a little too good to be true. The baseline is
    among them wherever nothing beats it in both.
    """
    points = _points(study, history)
    kept = [point for point in points if not any(_beats(other, point) for other in points)]
    return tuple(sorted(kept, key=lambda point: -point.gains[0]))


def _points(study: Study, history: History) -> list[Point]:
    other = second.seen_from(study)
    if other is None:
        return []
    explored = standing.explored(history)
    beside = {entry.record.n: entry.y for entry in standing.relative(other, explored)}
    base = variant.baseline(study)
    measured = sum(record.role == "baseline" and record.validity.usable for record in explored)
    found = [Point(base.id, base.values, measured, (0.0, 0.0))]
    for group in standing.feasible(study, explored):
        both = [(entry.y, beside[entry.record.n]) for entry in group if entry.record.n in beside]
        if both:
            first, then = (float(value) for value in np.mean(both, axis=0))
            record = group[0].record
            gains = (score.gain(study, first), score.gain(other, then))
            found.append(Point(record.variant, record.values, len(both), gains))
    return found


def _beats(one: Point, other: Point) -> bool:
    at_least = all(mine >= theirs for mine, theirs in zip(one.gains, other.gains, strict=True))
    return at_least and one.gains != other.gains
