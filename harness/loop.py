"""The loop: the next step, run it, append it. Everything else follows from the ledger."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Protocol

from harness import search
from harness.ledger.ledger import Ledger
from harness.ledger.record import DecisionRecord, History, WindowRecord
from harness.search import calibrate, cells, ending
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Decision, Step
from harness.window import gates, quiet
from harness.window import run as window
from harness.window.run import Bench, Place


class Watcher(Protocol):
    """Is told what happens, to show it; must not change it."""

    def step(self, study: Study, history: History, step: Step) -> None:
        """A window is about to run."""

    def waits(self, words: str) -> None:
        """The window waits for a quiet host, for the reason in `words`."""

    def measured(self, study: Study, history: History, record: WindowRecord) -> None:
        """A window is in the ledger; `history` is the ledger before it."""

    def decided(self, study: Study, history: History, record: DecisionRecord) -> None:
        """A decision is in the ledger."""


NextStep = Callable[[Study, History], Step | Decision | None]
"""What names the next step: a pure function of the study and the ledger."""


def run(study: Study, ledger: Ledger, bench: Bench, watcher: Watcher, next_step: NextStep = search.next_step) -> None:
    """Run the study until `next_step` has no more to ask for, from wherever the ledger stands."""
    while (step := next_step(study, ledger.history)) is not None:
        if isinstance(step, Decision):
            watcher.decided(study, ledger.history, ledger.append_decision(step, time.time()))
            continue
        watcher.step(study, ledger.history, step)
        if limit_s := _quiet_limit_s(study, ledger.history, step):  # at once it would only meet the same disturbance
            cores = tuple({*bench.cores.target, *bench.cores.generator})
            quiet.wait_until_quiet(cores, gates.LIMITS.foreign_degraded, limit_s, watcher.waits)
        measurement = window.run(step, bench, place(study, ledger, step))
        watcher.measured(study, ledger.history, ledger.append_window(step, measurement))


def baseline_only(windows: int) -> NextStep:
    """Return what asks for `windows` usable windows of the baseline and nothing else: the steps of a diagnosis.

    It asks no more once the machine is not ready.
    """

    def next_step(study: Study, history: History) -> Step | None:
        if ending.machine_not_ready(history):
            return None
        return calibrate.next_step(study, Plan(calibrate=windows), history)

    return next_step


def _quiet_limit_s(study: Study, history: History, step: Step) -> float:
    """Return how long a step's window may wait for a quiet host, within the time that the study was given."""
    return min(cells.quiet_limit_s(history.windows), max(0.0, ending.spare_s(study, history, ending.needed(step))))


def place(study: Study, ledger: Ledger, step: Step) -> Place:
    """Return what the next window gets to itself."""
    history = ledger.history
    return Place(
        folder=ledger.folder.fresh_window(len(history.windows) + 1),
        variant_folder=ledger.folder.variant(step.variant.id),
        floor_ms=lateness_floor_ms(study, history),
        new_variant=all(record.variant != step.variant.id for record in history.windows),
    )


def lateness_floor_ms(study: Study, history: History) -> float | None:
    """Return how late (ms) this host's dispatcher is when left alone; None where nothing tells.

    The median over the usable calibration windows of the run, before the first of them what `doctor --calibrate` kept: a
    window that was disturbed must not raise the limit that its successors are held to.
    """
    seen = [
        record.host.lateness_p50_ms
        for record in history.of_phase("calibrate")
        if record.validity.usable and record.host.lateness_p50_ms is not None
    ]
    return statistics.median(seen) if seen else study.floor_ms.get("lateness")
