"""Calibration (A/A): the baseline against itself, through the full path, before anything else. Never judges."""

from __future__ import annotations

from harness import variant
from harness.judge import noise, score
from harness.ledger.record import History
from harness.search import cells, seeds
from harness.search.cells import Cell
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Step


def next_step(study: Study, plan: Plan, history: History) -> Step | None:
    """Return the next baseline window, None when the planned ones are measured."""
    base, arrivals = variant.baseline(study), seeds.exploring_arrivals(study, 0)
    places = (Cell("calibrate", "baseline", 0, position, base, arrivals) for position in range(plan.calibrate))
    return cells.first_open(history, "calibrate", places)


def sigma(study: Study, history: History) -> tuple[float | None, int]:
    """Return the noise of one window as the usable calibration windows tell it, and how many there are."""
    y = [value for record in history.of_phase("calibrate") if (value := score.y(study, record)) is not None]
    return noise.sigma(y), len(y)
