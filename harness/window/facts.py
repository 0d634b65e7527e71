"""What the gates look at, put together from what generator, watch and samples say of one window. Judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.load import schedule
from harness.load.job import Driven, Job
from harness.load.samples import Samples
from harness.study.model import Load, Study
from harness.target import inspect
from harness.window import arrivals, figures, gates, trend
from harness.window.cores import CoreMap
from harness.window.host import share
from harness.window.jitter import Jitter
from harness.window.measurement import Figures, HostFacts
from harness.window.trend import Trend
from harness.window.watch import Account, Sample, Watch

PEAK_SAMPLES = 5
"""Samples of the watch, a tenth of a second apart, over which the generator's peak is taken."""
KEPT_UP = 0.99
"""Share of offered requests that a target which keeps up completes."""
SATURATED = 0.95
"""Share of its cores that a target without room uses (point 10 of the checklist)."""
WHEN_READY = 1
"""Connections that the harness itself opens to the target's port: one, by which it sees that the target is ready."""
STEADY = {"poisson", "uniform"}
"""Laws whose rate does not change: only there should latency stand still. The closed model has none and counts as one."""
_GENERATOR_HEAVY = "closed model, generator-heavy: what a locustfile measures contains the time of its own code"

Latency = npt.NDArray[np.int64]


def of_service(study: Study, cores: CoreMap, driven: Driven, metrics: str | None) -> HostFacts:
    """Return what client and server counted; `metrics` is the target's last exposition, None without a probe."""
    notes = cores.notes
    if metrics == "":
        notes = (*notes, "the target's probe did not answer after the window, so nothing is known of its counts")
    if study.load.engine == "locustfile":
        notes = (*notes, _GENERATOR_HEAVY)
    return HostFacts(
        engine=study.load.engine,
        generator_cores=len(cores.generator) if study.load.engine == "native" else 1,
        target_cores=len(cores.target),
        dispatched_share=driven.dispatched / driven.offered if driven.offered else None,
        server_requests=None if metrics is None else inspect.request_count(metrics),
        sent_requests=driven.sent_total,
        answered_requests=driven.answered_total,
        server_connections=None if metrics is None else inspect.connection_count(metrics),
        expected_connections=driven.connects + WHEN_READY if driven.connects else None,
        reconnects=driven.reconnects,
        wrong_bodies=driven.wrong_bodies,
        notes=notes,
    )


def with_watch(facts: HostFacts, watch: Watch, cores: CoreMap, jitter: Jitter | None) -> HostFacts:
    """Add what the watch saw of the host between t0 and t1."""
    if jitter is not None:
        facts = replace(facts, jitter_p50_ms=jitter.p50_ms, jitter_p99_ms=jitter.p99_ms, jitter_max_ms=jitter.max_ms)
    if watch.first is None or watch.last is None:
        return facts
    facts = replace(facts, generator_peak=_peak(watch.samples), **_pressure(watch.first, watch.last))
    return _with_cpu_shares(facts, watch.first, watch.last, cores, has_upstream=watch.upstream_pid is not None)


def with_samples(facts: HostFacts, job: Job, driven: Driven, taken: Samples, latency_ns: Latency) -> HostFacts:
    """Add what the samples say of arrivals and of the latency's trend."""
    load = job.load
    planned_ns = None
    if load.model == "open":
        at_ns = schedule.arrivals(load, job.times, job.seed).offsets_ns + driven.start_ns
        planned_ns = at_ns[(at_ns >= driven.t0_ns) & (at_ns < driven.t1_ns)]
    known = taken.woken_ns if planned_ns is not None else taken.woken_ns[taken.sent_ns > 0]
    seen = arrivals.facts(planned_ns, taken.intended_ns, known, driven.t0_ns, driven.t1_ns)
    moved = trend.trend(taken.intended_ns, latency_ns, driven.t0_ns, driven.t1_ns) if _is_steady(load) else None
    return replace(facts, samples=len(taken.outcome), **asdict(seen), **_told(moved))


def with_overload(facts: HostFacts, whole: Figures, load: Load) -> HostFacts:
    """Add whether the target had more to do than it could."""
    behind = load.model == "open" and whole.throughput < KEPT_UP
    full = facts.target_cpu is not None and facts.target_cpu >= SATURATED * (facts.target_cores or 1)
    return replace(facts, overloaded=behind or full)


def with_lateness(
    facts: HostFacts, taken: Samples, load: Load, floor_ms: float | None, scored_ms: float | None
) -> HostFacts:
    """Add how late the dispatcher was; nothing is known where no timer was waited for."""
    if load.engine == "locustfile" or (load.model == "closed" and not load.think_s):
        return facts
    late = figures.lateness_ms(taken.intended_ns, taken.woken_ns)
    if len(late) == 0:
        return facts
    limit = gates.lateness_limit_ms(floor_ms, scored_ms)
    return replace(
        facts,
        lateness_p50_ms=float(np.quantile(late, 0.5)),
        lateness_p99_ms=float(np.quantile(late, 0.99)),
        late_share=float(np.mean(late > limit)),
        lateness_limit_ms=limit,
    )


def scored_ms(study: Study, whole: Figures, by_request: Mapping[str, Figures]) -> float | None:
    """Return the percentile that the objective scores or bounds, in ms; the median where it is about none."""
    of, keep = study.objective.of, study.objective.keep
    if keep is not None:
        return keep.at_most_ms
    chosen = whole if of is None else by_request[of]
    name = study.objective.metric if study.objective.metric in figures.QUANTILES else "p50"
    value: float | None = getattr(chosen, f"{name}_ms")
    return value


def _is_steady(load: Load) -> bool:
    return load.arrivals is None or load.arrivals in STEADY


def _told(moved: Trend | None) -> dict[str, Any]:
    return {"trend_ratio": moved.ratio if moved else None, "trend_p": moved.p if moved else None}


def _pressure(first: Account, last: Account) -> dict[str, Any]:
    wall_us = (last.at_ns - first.at_ns) / 1e3
    waited_us = _risen(first.pressure_us, last.pressure_us)
    stopped_s = _risen(first.generator_throttled_s, last.generator_throttled_s)
    return {
        "cpu_pressure": None if waited_us is None else waited_us / wall_us,
        "generator_throttled_share": None if stopped_s is None else stopped_s * 1e6 / wall_us,
        "throttled_s": _risen(first.target_throttled_s, last.target_throttled_s),
    }


def _risen(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _peak(samples: list[Sample]) -> float | None:
    """Return the greatest share that the generator used over PEAK_SAMPLES in a row, in cores."""
    pairs = zip(samples, samples[PEAK_SAMPLES:], strict=False)
    shares = [
        (after.generator_ns - before.generator_ns) / (after.at_ns - before.at_ns)
        for before, after in pairs
        if before.generator_ns is not None and after.generator_ns is not None
    ]
    return max(shares, default=None)


def _with_cpu_shares(
    facts: HostFacts, first: Account, last: Account, cores: CoreMap, *, has_upstream: bool
) -> HostFacts:
    wall_ns = last.at_ns - first.at_ns
    target = _used(first.target_ns, last.target_ns, wall_ns)
    generator = _used(first.generator_ns, last.generator_ns, wall_ns)
    upstream = _used(first.upstream_ns, last.upstream_ns, wall_ns)
    harness = (last.harness_ns - first.harness_ns) / wall_ns
    beside = upstream if has_upstream else 0.0
    ours_elsewhere = None if generator is None or beside is None else generator + harness + beside
    foreign = [
        max(0.0, share(first.host.used_ns, last.host.used_ns, group, wall_ns) - ours)
        for group, ours in _groups(cores, target, ours_elsewhere)
        if ours is not None
    ]
    mine = tuple(sorted({*cores.target, *cores.generator}))
    return replace(
        facts,
        target_cpu=target,
        generator_cpu=generator,
        harness_cpu=harness,
        upstream_cpu=upstream,
        foreign_cpu=max(foreign) if foreign else None,
        steal=max(share(first.host.steal_ns, last.host.steal_ns, (core,), wall_ns) for core in mine),
    )


def _groups(cores: CoreMap, target: float | None, rest: float | None) -> list[tuple[tuple[int, ...], float | None]]:
    """Return the groups of cores, each with the share that our own processes used there."""
    if cores.shared:
        return [(cores.generator, None if target is None or rest is None else target + rest)]
    return [(cores.target, target), (tuple(sorted({*cores.generator, *cores.harness})), rest)]


def _used(before: int | None, after: int | None, wall_ns: int) -> float | None:
    risen_ns = _risen(before, after)
    return None if risen_ns is None else risen_ns / wall_ns
