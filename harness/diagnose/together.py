"""Why a winner wins, as far as the rules and the series tell: what vanished with it, what moved with the objective. Pure.

What moves together with the objective need not be its cause: the words of the report say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.diagnose.climbs import spearman
from harness.diagnose.facts import Facts
from harness.diagnose.finding import Finding
from harness.diagnose.limits import limit
from harness.diagnose.rules import diagnose
from harness.study.model import Level

NEVER = frozenset({"t_s", "requests"})
"""Columns that say nothing of how a window was served: its clock, and what the load asked for."""


OF_A_FLAVOR = frozenset({"global_queue"})
"""Rules about a figure that means something else under another flavor: current_thread keeps its woken tasks in a queue that
nothing counts, so an empty global queue there is no improvement."""


@dataclass(frozen=True)
class Change:
    """What the rules say of both sides: findings that are gone, that stay, and that only the winner has.

    A finding of the baseline is gone only where the same rule looked at the winner and found nothing. `unknown` are
    those it could not look for.
    """

    gone: tuple[Finding, ...]
    stay: tuple[Finding, ...]
    new: tuple[Finding, ...]
    unknown: tuple[Finding, ...]


@dataclass(frozen=True)
class Together:
    """One column whose mean moved with the objective: rank correlation over `windows` windows of all variants.

    `before` and `after` are the medians of the column's mean in the baseline's and the winner's windows.
    """

    column: str
    rank: float
    windows: int
    before: float
    after: float


def change(baseline: Facts, winner: Facts) -> Change:
    """Return which faults vanish under the winner."""
    before, after = diagnose(baseline), diagnose(winner)
    faults = [one for one in before.findings if one.kind == "fault"]
    had, has = {one.rule for one in faults}, {one.rule for one in after.findings}
    clear = frozenset(after.clear) - (OF_A_FLAVOR if _flavor(baseline) != _flavor(winner) else frozenset())
    return Change(
        gone=tuple(one for one in faults if one.rule in clear),
        stay=tuple(one for one in faults if one.rule in has),
        new=tuple(one for one in after.findings if one.kind == "fault" and one.rule not in had),
        unknown=tuple(one for one in faults if one.rule not in clear and one.rule not in has),
    )


def _flavor(facts: Facts) -> Level:
    return facts.values.get("flavor", "multi_thread")


def moved_together(
    objective: Sequence[float], means: Sequence[Mapping[str, float]], baseline: Facts, winner: Facts
) -> tuple[Together, ...]:
    """Return the columns whose means order the windows as the objective does, or the other way round, closest first.

    `objective` and `means` have one element a window, of all variants that were measured.
    """
    columns = {name for row in means for name in row} - NEVER
    found = [_together(column, objective, means, baseline, winner) for column in sorted(columns)]
    kept = [one for one in found if one is not None]
    return tuple(sorted(kept, key=lambda one: -abs(one.rank)))


def _together(
    column: str, objective: Sequence[float], means: Sequence[Mapping[str, float]], baseline: Facts, winner: Facts
) -> Together | None:
    pairs = [(value, row[column]) for value, row in zip(objective, means, strict=True) if column in row]
    before, after = baseline.median_mean(column), winner.median_mean(column)
    if len(pairs) < limit("together_windows") or before is None or after is None:
        return None
    first, second = np.array(pairs, dtype=np.float64).T
    rank = spearman(first, second)
    return Together(column, rank, len(pairs), before, after) if abs(rank) >= limit("together") else None
