"""How the variants stand while the search goes on: y against the baseline, guard shortfalls, scores.

Only ranks; replicates of one variant are pooled by its id. Confirmation windows never enter here, and nothing here may
enter the claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.judge import guards, score
from harness.ledger.record import History, WindowRecord
from harness.search import cells
from harness.study.model import Study
from harness.variant import Variant

EXPLORING = ("calibrate", "screen", "search", "race")


@dataclass(frozen=True)
class Standing:
    """One variant: its usable windows, and its score (lower is better, the baseline's is 0)."""

    variant: Variant
    windows: int
    score: float


@dataclass(frozen=True)
class Relative:
    """One usable candidate window and its y less the baseline's."""

    record: WindowRecord
    y: float


def explored(history: History) -> tuple[WindowRecord, ...]:
    """Return all windows taken before the confirmation."""
    return tuple(record for record in history.windows if record.phase in EXPLORING)


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


def ranking(study: Study, records: Sequence[WindowRecord]) -> list[Standing]:
    """Return the feasible candidates, best score first, equal scores in the order of their first window.

    Left out: variants that FAILED twice, and those of which every window breaks a limit on errors.
    """
    baseline = [record for record in records if record.role == "baseline" and record.validity.usable]
    failed = cells.infeasible(records)
    groups: dict[str, list[Relative]] = {}
    for entry in relative(study, records):
        groups.setdefault(entry.record.variant, []).append(entry)
    feasible = [
        group
        for name, group in groups.items()
        if name not in failed and not all(guards.breaks_errors(study, entry.record) for entry in group)
    ]
    return sorted((_standing(study, group, baseline) for group in feasible), key=lambda standing: standing.score)


def _standing(study: Study, group: Sequence[Relative], baseline: Sequence[WindowRecord]) -> Standing:
    windows = [entry.record for entry in group]
    mean = float(np.mean([entry.y for entry in group]))
    missed = shortfalls(study, windows, baseline).values()
    made = Variant(id=windows[0].variant, values=dict(windows[0].values))
    return Standing(made, len(group), score.score(mean, len(group), list(missed)))
