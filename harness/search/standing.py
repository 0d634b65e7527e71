"""How the variants stand while the search goes on: y against the baseline, guard shortfalls, scores.

Only ranks; replicates of one variant are pooled by its id. Confirmation windows never enter here, and nothing here may
enter the claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.judge import guards, score, second
from harness.ledger.record import History, WindowRecord
from harness.search import cells, heights
from harness.study.model import Study
from harness.variant import Variant

EXPLORING = ("calibrate", "screen", "search", "race")


@dataclass(frozen=True)
class Standing:
    """One variant: its usable windows, and its score (lower is better, the baseline's is 0).

    `second` is the score by the second objective, without penalties: None where there is none, or no window gave it.
    """

    variant: Variant
    windows: int
    score: float
    second: float | None = None


@dataclass(frozen=True)
class Relative:
    """One usable candidate window and its y less the baseline's."""

    record: WindowRecord
    y: float


def explored(history: History) -> tuple[WindowRecord, ...]:
    """Return all windows taken before the confirmation, without those that were set aside."""
    aside = history.set_aside
    return tuple(record for record in history.windows if record.phase in EXPLORING and record.n not in aside)


def relative(study: Study, records: Sequence[WindowRecord]) -> list[Relative]:
    """Return the measured candidate windows with y less the median y of the baseline windows under the same arrivals.

    Where no baseline window met those arrivals, the median of all baseline windows stands in.
    """
    measured = [(record, value) for record in records if (value := score.y(study, record)) is not None]
    base = [(record.schedule_seed, value) for record, value in measured if record.role == "baseline"]
    everywhere = float(np.median([value for _, value in base])) if base else 0.0
    by_arrivals: dict[int, list[float]] = {}
    for arrivals, value in base:
        by_arrivals.setdefault(arrivals, []).append(value)
    reference = {arrivals: float(np.median(values)) for arrivals, values in by_arrivals.items()}
    return [
        Relative(record, value - reference.get(record.schedule_seed, everywhere))
        for record, value in measured
        if record.role == "candidate"
    ]


def shortfalls(study: Study, windows: Sequence[WindowRecord], baseline: Sequence[WindowRecord]) -> dict[str, float]:
    """Return each guard's shortfall (ln units, 0 where it holds) of one variant's windows."""
    return {guards.sentence(guard): guards.shortfall(study, guard, windows, baseline) for guard in study.guards}


def feasible(study: Study, records: Sequence[WindowRecord]) -> list[list[Relative]]:
    """Return the windows of each candidate that may be recommended, variants in the order of their first window.

    Left out: variants that FAILED twice, and those of which every window breaks a limit on errors.
    """
    failed = cells.infeasible(records)
    groups: dict[str, list[Relative]] = {}
    for entry in relative(study, records):
        groups.setdefault(entry.record.variant, []).append(entry)
    return [
        group
        for name, group in groups.items()
        if name not in failed and not all(guards.breaks_errors(study, entry.record) for entry in group)
    ]


def ranking(study: Study, records: Sequence[WindowRecord]) -> list[Standing]:
    """Return the feasible candidates, best first by the study's rule, equal ones in the order of their first window."""
    groups = feasible(study, records)
    tried = [Variant(id=group[0].record.variant, values=dict(group[0].record.values)) for group in groups]
    scores, others = heights.scores(study, records, tried), second_scores(study, records, tried)
    stand = [
        Standing(made, len(group), scored, others.get(made.id))
        for made, group, scored in zip(tried, groups, scores, strict=True)
    ]
    return sorted(stand, key=_rule(study, stand))


def second_scores(study: Study, records: Sequence[WindowRecord], tried: Sequence[Variant]) -> dict[str, float]:
    """Return the score by the second objective of each variant of which a window gave it; empty where there is none."""
    other = second.seen_from(study)
    if other is None:
        return {}
    given = {entry.record.variant for entry in relative(other, records)}
    known = [made for made in tried if made.id in given]
    scores = heights.scores(replace(other, guards=()), records, known)
    return {made.id: scored for made, scored in zip(known, scores, strict=True)}


def _rule(study: Study, stand: Sequence[Standing]) -> Callable[[Standing], tuple[float, float]]:
    """Return the key by which the study's rule sorts: smaller is better; a second objective that is unknown comes last."""
    pick, best = study.objective.pick, min((entry.score for entry in stand), default=0.0)
    limit = best + math.log1p(study.objective.within)

    def key(entry: Standing) -> tuple[float, float]:
        if study.objective.second is None or pick == "first":
            return (0.0, entry.score)
        other = math.inf if entry.second is None else entry.second
        if pick == "balanced":
            return (0.0, entry.score + other)
        return (0.0, other) if entry.score <= limit else (1.0, entry.score)

    return key
