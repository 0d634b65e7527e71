"""What to watch in production after a confirmed run: the kit's metrics, and limits derived from the run's figures. Pure.

The figures are those of the confirmation windows of what the run recommends. A metric that those windows did not tell
gives no limit: it is named among what is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from harness.diagnose.facts import Facts, requests_per_s
from harness.errors import StudyError
from harness.ledger.record import WindowRecord
from harness.report import recommended
from harness.report.diagnosis import facts_of
from harness.report.read import Run

ROOM = 1.5
"""Factor above the highest confirmation window from which on something is no longer as confirmed. A judgement."""
MORE_LOAD = 1.1
"""Factor above the confirmed rate of requests from which on nothing was confirmed. A judgement."""
FULL = 0.95
"""Share of its time that a worker without room is busy (facts on load generation, point 10)."""
NEAR_CAP = 0.9
"""Share of the blocking pool's cap that is worth a look before it is reached. A judgement."""


@dataclass(frozen=True)
class Watched:
    """One thing to watch: PromQL of its value, the limit above which it alerts, and why.

    `expression` has `SELECTOR` where the labels of the service go; `sustained` is how long it must last (PromQL).
    """

    name: str
    title: str
    expression: str
    limit: float
    unit: str
    sustained: str
    summary: str
    derived: str


@dataclass(frozen=True)
class Watching:
    """Everything worth watching after one run, and the metrics that it could not derive a limit for."""

    run: str
    study: str
    items: tuple[Watched, ...]
    left_out: tuple[str, ...]


def watching(run: Run) -> Watching:
    """Return what to watch. StudyError when the run has no confirmed pair whose series is in its folder."""
    if run.verdict is None or not run.verdict.judged or not run.pairs:
        raise StudyError(
            f"{run.folder.path} is not confirmed: there is no judged pair to derive limits from. Finish it with "
            "harness optimize, then export again."
        )
    facts = facts_of(run, _records(run))
    if facts is None or not facts.knows("t_s"):
        raise StudyError(
            f"{run.folder.path} has no series of its confirmation windows (thinned by harness clean, or a service "
            "without /metrics): there is nothing to derive limits from. Run the study again with --fresh."
        )
    made = {name: make(facts) for name, make in MAKERS.items()}
    return Watching(
        run=run.id,
        study=run.study.name,
        items=tuple(item for item in made.values() if item is not None),
        left_out=tuple(name for name, item in made.items() if item is None),
    )


def quoted(text: str) -> str:
    """Return `text` as a string of JSON, which YAML and PromQL read as well."""
    return json.dumps(text)


def number(value: float) -> str:
    """Return a limit with four digits, as PromQL writes it."""
    return f"{value:.4g}" if value < 10_000 else f"{value:.0f}"  # noqa: PLR2004 - no exponent below a million


def _records(run: Run) -> list[WindowRecord]:
    tested = recommended.variant(run) != run.baseline.id
    return [pair[0] if tested else pair[1] for pair in run.pairs]


def _highest(facts: Facts, column: str) -> float | None:
    """Return the highest mean of a column over the windows."""
    means = [value for window in facts.windows if (value := window.mean(column)) is not None]
    return max(means, default=None)


def _workers_busy(facts: Facts) -> Watched | None:
    highest = _highest(facts, "busy_share")
    if highest is None:
        return None
    return Watched(
        name="TokioWorkersBusierThanConfirmed",
        title="workers busy",
        expression="avg by (job, instance) (rate(tokio_worker_busy_seconds_totalSELECTOR[5m]))",
        limit=min(FULL, max(0.1, ROOM * highest)),
        unit="percentunit",
        sustained="10m",
        summary="Workers are busier than in any confirmation window: a call blocks them, or there is more work.",
        derived=f"{ROOM:g} x the busiest window ({highest:.3f}), at least 0.1, at most {FULL:g}",
    )


def _workers_in_force(facts: Facts) -> Watched | None:
    return Watched(
        name="TokioWorkersNotAsConfirmed",
        title="workers off the confirmed number",
        expression=f"abs(tokio_workersSELECTOR - {facts.workers})",
        limit=0.0,
        unit="short",
        sustained="5m",
        summary=f"The runtime has not the {facts.workers} workers that were confirmed.",
        derived=f"{facts.workers} workers ran in the confirmation",
    )


def _alive_tasks(facts: Facts) -> Watched | None:
    highest = _highest(facts, "alive_tasks")
    if highest is None:
        return None
    return Watched(
        name="TokioTasksClimb",
        title="rise of live tasks in an hour",
        expression="3600 * deriv(tokio_alive_tasksSELECTOR[30m])",
        limit=max(20.0, highest),
        unit="short",
        sustained="30m",
        summary="Live tasks climb as if they would double within an hour: tasks that never end.",
        derived=f"as many as the highest window had ({highest:.0f}), at least 20",
    )


def _global_queue(facts: Facts) -> Watched | None:
    highest = _highest(facts, "global_queue_depth")
    if highest is None:
        return None
    return Watched(
        name="TokioGlobalQueueGrows",
        title="global queue",
        expression="avg_over_time(tokio_global_queue_depthSELECTOR[5m])",
        limit=max(float(facts.workers), ROOM * highest),
        unit="short",
        sustained="5m",
        summary="Tasks wait in the global queue, more than one for each worker.",
        derived=f"{ROOM:g} x the highest window ({highest:.2f}), at least one a worker",
    )


def _blocking_queue(facts: Facts) -> Watched | None:
    highest = _highest(facts, "blocking_queue_depth")
    if highest is None:
        return None
    return Watched(
        name="TokioBlockingQueueGrows",
        title="blocking queue",
        expression="avg_over_time(tokio_blocking_queue_depthSELECTOR[5m])",
        limit=max(1.0, ROOM * highest),
        unit="short",
        sustained="5m",
        summary="Jobs wait for a blocking thread: the pool is too small, or the calls became slower.",
        derived=f"{ROOM:g} x the highest window ({highest:.2f}), at least 1",
    )


def _blocking_threads(facts: Facts) -> Watched | None:
    if not facts.knows("blocking_threads"):
        return None
    return Watched(
        name="TokioBlockingPoolNearCap",
        title="blocking threads",
        expression="tokio_blocking_threadsSELECTOR",
        limit=NEAR_CAP * facts.blocking_cap,
        unit="short",
        sustained="5m",
        summary="The blocking pool is near its cap; beyond it jobs queue.",
        derived=f"{NEAR_CAP:g} x max_blocking_threads ({facts.blocking_cap})",
    )


def _rate(facts: Facts) -> Watched | None:
    if not facts.knows("requests"):
        return None
    highest = max(requests_per_s(window, facts.study.window.measure_s) for window in facts.windows)
    return Watched(
        name="LoadBeyondWhatWasConfirmed",
        title="requests a second",
        expression="sum by (job, instance) (rate(http_requests_totalSELECTOR[5m]))",
        limit=MORE_LOAD * highest,
        unit="reqps",
        sustained="15m",
        summary="More requests than the confirmation had: the recommended settings are not confirmed for them.",
        derived=f"{MORE_LOAD:g} x the highest window ({highest:.1f} requests a second)",
    )


MAKERS: dict[str, Callable[[Facts], Watched | None]] = {
    "tokio_worker_busy_seconds_total": _workers_busy,
    "tokio_workers": _workers_in_force,
    "tokio_alive_tasks": _alive_tasks,
    "tokio_global_queue_depth": _global_queue,
    "tokio_blocking_queue_depth": _blocking_queue,
    "tokio_blocking_threads": _blocking_threads,
    "http_requests_total": _rate,
}
"""Metric of the kit -> what to watch of it; a test holds the names against the kit's source."""
