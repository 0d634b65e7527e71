"""What one window gives: figures, a validity, and reasons. Records only.

Percentiles are milliseconds from the intended send time, over all offered requests; the ones that failed, timed out,
were dropped or stayed unfinished rank above every success and read as the time-out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Validity(StrEnum):
    """Whether a window's figures may be used. Decided by generator and host alone, FAILED by the target."""

    VALID = "VALID"
    DEGRADED = "DEGRADED"
    INVALID = "INVALID"
    FAILED = "FAILED"

    @property
    def usable(self) -> bool:
        """Whether the figures count: VALID and DEGRADED do."""
        return self in {Validity.VALID, Validity.DEGRADED}


@dataclass(frozen=True)
class Figures:
    """The figures of one window, or of one request kind in it. None: not measured (see the window's notes).

    `throughput` is completed / offered under open load, completed requests a second under closed load.
    `censored` names the percentiles that fall among requests without a success: they read "at least the time-out".
    `from_send_...` count from the actual send, of successes only: what a generator with coordinated omission would show.
    `few_beyond` names the percentiles with fewer than 100 requests beyond them, whose rank is off by 20 % and more.
    `capacity` is the highest rate (requests a second) that kept what the objective says; None under any other objective.
    """

    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    throughput: float
    error_ratio: float
    offered: int
    completed: int
    failed: int
    timed_out: int
    dropped: int
    unfinished: int
    cpu_per_request_us: float | None = None
    peak_rss_bytes: int | None = None
    threads: int | None = None
    completed_per_s: float | None = None
    success_p50_ms: float | None = None
    success_p95_ms: float | None = None
    success_p99_ms: float | None = None
    censored: tuple[str, ...] = ()
    from_send_p50_ms: float | None = None
    from_send_p95_ms: float | None = None
    from_send_p99_ms: float | None = None
    few_beyond: tuple[str, ...] = ()
    capacity: float | None = None


@dataclass(frozen=True)
class HostFacts:
    """What the gates looked at. Shares are of one core over [t0, t1). None: the host does not tell, with a note.

    `generator_cpu` is in cores, of `generator_cores` that the engine may use; `generator_peak` its greatest value over
    about half a second. `jitter_...` is how late a thread that does nothing else woke at 1 kHz. `cpu_pressure` is the share of
    time that some task waited for a core (PSI). For arrivals see `window.arrivals`, for the trend `window.trend`.
    `overloaded`: the target left requests unanswered or had no core time left, so that its own queue may grow.
    `upstream_cpu` is in cores, `upstream_ended` says how the target's upstream ended if it did not survive; both are None
    where the target has none.
    """

    lateness_p50_ms: float | None = None
    lateness_p99_ms: float | None = None
    late_share: float | None = None
    lateness_limit_ms: float | None = None
    dispatched_share: float | None = None
    generator_cpu: float | None = None
    harness_cpu: float | None = None
    target_cpu: float | None = None
    foreign_cpu: float | None = None
    steal: float | None = None
    throttled_s: float | None = None
    server_requests: int | None = None
    sent_requests: int | None = None
    answered_requests: int | None = None
    engine: str | None = None
    generator_cores: int = 1
    generator_peak: float | None = None
    generator_throttled_share: float | None = None
    jitter_p50_ms: float | None = None
    jitter_p99_ms: float | None = None
    jitter_max_ms: float | None = None
    cpu_pressure: float | None = None
    planned: int | None = None
    samples: int | None = None
    as_planned: bool | None = None
    dispersion: float | None = None
    planned_dispersion: float | None = None
    gap_distance: float | None = None
    expected_connections: int | None = None
    server_connections: int | None = None
    reconnects: int | None = None
    wrong_bodies: int | None = None
    trend_ratio: float | None = None
    trend_p: float | None = None
    overloaded: bool | None = None
    target_cores: int | None = None
    upstream_cpu: float | None = None
    upstream_ended: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerFacts:
    """What the server's side told of the measured stretch, from ten samples a second. None: it did not tell.

    Shares are of time, `..._s` is a count a second, `cpu` is in cores, `sockets_max` the most descriptors that the I/O
    driver held. `busy_share` is the mean over workers of the time that they neither slept nor searched for work: a
    worker that is blocked counts as busy. `poll_...` are upper bounds of the buckets of Tokio's histogram, where the
    study has it.
    """

    busy_share: float | None = None
    busy_share_by_worker: tuple[float, ...] = ()
    polls_s: float | None = None
    mean_poll_us: float | None = None
    steals_s: float | None = None
    noops_s: float | None = None
    remote_schedules_s: float | None = None
    forced_yields_s: float | None = None
    overflows_s: float | None = None
    global_queue_max: float | None = None
    alive_tasks_max: float | None = None
    blocking_threads_max: float | None = None
    blocking_queue_max: float | None = None
    blocking_queue_mean: float | None = None
    cpu: float | None = None
    rss_bytes_max: float | None = None
    threads_max: float | None = None
    sockets_max: float | None = None
    voluntary_switches_s: float | None = None
    nonvoluntary_switches_s: float | None = None
    throttled_share: float | None = None
    poll_p50_us: float | None = None
    poll_p99_us: float | None = None


@dataclass(frozen=True)
class StageTimes:
    """Wall seconds of each part of a window; `measure_s` is t1 - t0."""

    build_s: float = 0.0
    start_s: float = 0.0
    connect_s: float = 0.0
    warmup_s: float = 0.0
    measure_s: float = 0.0
    drain_s: float = 0.0
    stop_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True)
class Measurement:
    """All that a window gives. `figures` is None exactly when nothing could be measured.

    That is FAILED before t0, or INVALID because the upstream ended before it. `in_force` is what `/runtime` said. `log` is
    the log's tail when the window FAILED.
    """

    validity: Validity
    reasons: tuple[str, ...]
    started: float
    ended: float
    figures: Figures | None = None
    by_request: Mapping[str, Figures] = field(default_factory=dict)
    host: HostFacts = field(default_factory=HostFacts)
    server: ServerFacts = field(default_factory=ServerFacts)
    stages: StageTimes = field(default_factory=StageTimes)
    in_force: Mapping[str, object] = field(default_factory=dict)
    image: str = ""
    new_variant: bool = False
    log: str = ""
