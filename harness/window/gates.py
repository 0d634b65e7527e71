"""The gates: each a pure function from a window's host facts to reasons. They judge generator and host, never the target.

A slow, overloaded or dropping target leaves every gate silent: that is what the harness exists to find. Limits come
from `LIMITS`, one table, each with its origin. Only an answer with a wrong body is the target's and makes FAILED.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.window.measurement import HostFacts, Validity


def _origin(unit: str, source: str) -> dict[str, str]:
    """Return what stands beside a limit in docs/gates.md."""
    return {"unit": unit, "source": source}


@dataclass(frozen=True)
class Limits:
    """The limits of all gates, each with its unit and where it comes from."""

    dispatched_share: float = field(
        default=0.99,
        metadata=_origin("of offered", "Lancet (ATC'19) allows 0.9; an idle generator misses nothing"),
    )
    late_share: float = field(
        default=0.05,
        metadata=_origin(
            "of requests", "sent later than the lateness limit: beyond it percentiles up to p95 would move"
        ),
    )
    floor_factor: float = field(
        default=2.0,
        metadata=_origin(
            "times the host's own median lateness", "the lateness limit is this, or one of the next two, if larger"
        ),
    )
    objective_share: float = field(
        default=0.10,
        metadata=_origin(
            "of the scored percentile",
            "judgement: baseline and candidate get the same lateness, so a difference moves by far less than a tenth of it",
        ),
    )
    wake_up_ms: float = field(
        default=0.25,
        metadata=_origin(
            "ms",
            "the lateness limit is never less: 1 to 2.4 % of an idle two-core machine's wake-ups are later (measured), so a "
            "smaller one would reject quiet windows; the tail still makes DEGRADED, and the noise floor is held against claims",
        ),
    )
    uncalibrated_floor_ms: float = field(
        default=0.15,
        metadata=_origin(
            "ms", "median lateness of timerfd and gevent on an idle two-core machine, before the first window"
        ),
    )
    generator_cpu: float = field(
        default=0.60,
        metadata=_origin(
            "of its core", "a Python generator queues on itself: p50 is off by over 0.3 ms from there (measured)"
        ),
    )
    native_cpu: float = field(
        default=0.75,
        metadata=_origin("of its cores", "no interpreter between two requests: p50 stands still up to 0.84 (measured)"),
    )
    with_upstream: float = field(
        default=0.75,
        metadata=_origin(
            "of their cores", "generator and upstream together: from where the native engine queues on itself"
        ),
    )
    generator_peak: float = field(
        default=0.90,
        metadata=_origin("of its core for half a second", "a burst that queued, even where the mean is low"),
    )
    foreign_degraded: float = field(
        default=0.05,
        metadata=_origin("of a core of ours", "others, or the hypervisor: from here on tails move (measured)"),
    )
    foreign_invalid: float = field(
        default=0.25, metadata=_origin("of a core of ours", "the same: from here on medians move (measured)")
    )
    generator_throttled: float = field(
        default=0.02,
        metadata=_origin("of the window", "a quota that stops the generator so long moves the 98th percentile"),
    )
    dispersion_factor: float = field(
        default=4.0,
        metadata=_origin(
            "times the schedule's own dispersion (at least 1)",
            "beyond it requests came in herds; 50 users of a locustfile in lockstep show 16 to 50 (measured)",
        ),
    )
    gap_distance: float = field(
        default=0.20,
        metadata=_origin(
            "Kolmogorov-Smirnov distance of the gaps",
            "100 gaps of the same law stay below it in 96 of 100 windows, and windows have more",
        ),
    )
    trend_p: float = field(
        default=0.001, metadata=_origin("of the rank test of the thirds", "one window in a thousand at rest")
    )
    trend_ratio: float = field(
        default=0.10,
        metadata=_origin("between the medians of the thirds", "judgement: less does not change a conclusion"),
    )


LIMITS = Limits()


@dataclass(frozen=True)
class Gate:
    """One reason that a gate gives, with what it makes of the window."""

    validity: Validity
    reason: str


def lateness_limit_ms(floor_ms: float | None, objective_ms: float | None, limits: Limits = LIMITS) -> float:
    """Return the lateness (ms) that this window may show: relative to the host's floor and to what is scored."""
    floor = limits.uncalibrated_floor_ms if floor_ms is None else floor_ms
    return max(limits.floor_factor * floor, limits.objective_share * (objective_ms or 0.0), limits.wake_up_ms)


def accounting(facts: HostFacts, _: Limits = LIMITS) -> tuple[Gate, ...]:
    """Every request that the schedule intends in [t0, t1) has its row in the samples, and there is no other."""
    if facts.planned is None or (facts.samples == facts.planned and facts.as_planned):
        return ()
    if facts.samples != facts.planned:
        return (_invalid(f"{facts.samples} samples for {facts.planned} requests of the schedule: samples were lost"),)
    return (_invalid("the samples' intended times are not those of the schedule"),)


def dispatched_on_schedule(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """The dispatcher handed over what the schedule intended."""
    share = facts.dispatched_share
    if share is None or share >= limits.dispatched_share:
        return ()
    return (_invalid(f"the generator dispatched only {share:.1%} of the intended requests (limit 99 %)"),)


def lateness(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """The dispatcher woke on time: median and share of late requests make INVALID, the tail alone DEGRADED."""
    limit = facts.lateness_limit_ms
    if limit is None or facts.lateness_p50_ms is None:
        return ()
    if facts.lateness_p50_ms > limit:
        return (_invalid(f"median send lateness {facts.lateness_p50_ms:.2f} ms is above the limit of {limit:.2f} ms"),)
    if (facts.late_share or 0.0) > limits.late_share:
        return (_invalid(f"{facts.late_share:.1%} of requests were sent later than {limit:.2f} ms (limit 5 %)"),)
    if (facts.lateness_p99_ms or 0.0) > limit:
        return (_degraded(f"send lateness p99 {facts.lateness_p99_ms:.2f} ms is above {limit:.2f} ms"),)
    return ()


def arrivals(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """What was handed over has the declared law: no herds, no other gaps.

    Without a schedule only a locustfile is judged, whose users decide when they send. In our own closed model every send
    follows an answer, so a herd there is the target's doing.
    """
    if facts.planned is None and facts.engine != "locustfile":
        return ()
    found: tuple[Gate, ...] = ()
    usual = max(1.0, facts.planned_dispersion or 0.0)
    if facts.dispersion is not None and facts.dispersion > limits.dispersion_factor * usual:
        words = f"requests went out in herds: dispersion {facts.dispersion:.1f} in bins of 1 ms, {usual:.1f} declared"
        found += (_invalid(f"{words} (limit {limits.dispersion_factor:g} times that)"),)
    if facts.gap_distance is not None and facts.gap_distance > limits.gap_distance:
        words = f"the gaps between requests were not those of the schedule: distance {facts.gap_distance:.2f}"
        found += (_invalid(f"{words} (limit {limits.gap_distance:g})"),)
    return found


def generator_cpu(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """The generator had room on its cores, over the whole window and in every half second of it."""
    if facts.generator_cpu is None:
        return (_degraded("the generator's CPU time is not known"),)
    limit = limits.native_cpu if facts.engine == "native" else limits.generator_cpu
    used = facts.generator_cpu / facts.generator_cores
    if used > limit:
        return (_invalid(f"the generator used {used:.0%} of its core (limit {limit:.0%})"),)
    peak = (facts.generator_peak or 0.0) / facts.generator_cores
    if peak > limits.generator_peak:
        return (_degraded(f"the generator used {peak:.0%} of its core for half a second"),)
    return ()


def upstream(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """The upstream that the target forwards to survived, and had room beside the generator on their cores.

    It stands on the generator's side: where it answers late or not at all, the target would be blamed for it.
    """
    if facts.upstream_ended is not None:
        return (_invalid(f"the upstream did not survive the window: {facts.upstream_ended}"),)
    if facts.upstream_cpu is None or facts.generator_cpu is None:
        return ()
    used = (facts.generator_cpu + facts.upstream_cpu) / facts.generator_cores
    if used <= limits.with_upstream:
        return ()
    return (_invalid(f"generator and upstream used {used:.0%} of their core (limit {limits.with_upstream:.0%})"),)


def foreign_cpu(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """Nobody else used our cores."""
    if facts.foreign_cpu is None:
        return (_degraded("the CPU time of other processes is not known"),)
    return _taken(facts.foreign_cpu, "other processes used", limits)


def steal(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """The hypervisor did not take our cores away: a neighbour that this machine cannot see."""
    return () if facts.steal is None else _taken(facts.steal, "the hypervisor took", limits)


def throttling(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """No CPU quota stopped target or generator: the harness sets none, so throttling is the host's doing."""
    found: tuple[Gate, ...] = ()
    if facts.generator_throttled_share is not None and facts.generator_throttled_share > limits.generator_throttled:
        found += (
            _invalid(f"a CPU quota stopped the generator for {facts.generator_throttled_share:.0%} of the window"),
        )
    if facts.throttled_s:
        found += (_degraded(f"a CPU quota of the host throttled the target for {facts.throttled_s:.2f} s"),)
    return found


def counts(facts: HostFacts, _: Limits = LIMITS) -> tuple[Gate, ...]:
    """Client and server counted the same requests: more at the server is a hidden retry or foreign traffic, fewer a loss."""
    if facts.server_requests is None or facts.sent_requests is None or facts.answered_requests is None:
        return (
            _degraded("the target has no request counter, so hidden retries and foreign traffic cannot be ruled out"),
        )
    if facts.answered_requests <= facts.server_requests <= facts.sent_requests:
        return ()
    return (
        _invalid(
            f"the server counted {facts.server_requests} requests, the generator sent {facts.sent_requests} "
            f"and had {facts.answered_requests} answers: somebody else sent, or counts were lost"
        ),
    )


def connections(facts: HostFacts, _: Limits = LIMITS) -> tuple[Gate, ...]:
    """The server accepted no more connections than the generator opened: more are hidden reconnects or somebody else's.

    Fewer are connections that the target has not come to accept, which is its own doing.
    """
    expected, accepted = facts.expected_connections, facts.server_connections
    if expected is None or accepted is None or accepted <= expected:
        return ()
    return (_invalid(f"the server accepted {accepted} connections, the generator opened {expected}"),)


def answers(facts: HostFacts, _: Limits = LIMITS) -> tuple[Gate, ...]:
    """Answers with the right status also had the body that the study expects: another one is another service."""
    if not facts.wrong_bodies:
        return ()
    return (Gate(Validity.FAILED, f"{facts.wrong_bodies} answers had another body than the study expects"),)


def stationarity(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """Latency stood still, or moved because the target's own queue did: overload is a result, not a disturbance."""
    if facts.trend_p is None or facts.trend_ratio is None or facts.overloaded:
        return ()
    moved = abs(facts.trend_ratio - 1)
    if facts.trend_p > limits.trend_p or moved < limits.trend_ratio:
        return ()
    words = f"latency in the last third was {facts.trend_ratio:.2f} times that in the first"
    return (_degraded(f"{words}, though the target kept up: a longer warm-up may help"),)


GATES: dict[str, Callable[[HostFacts, Limits], tuple[Gate, ...]]] = {
    "accounting": accounting,
    "dispatched": dispatched_on_schedule,
    "lateness": lateness,
    "arrivals": arrivals,
    "generator_cpu": generator_cpu,
    "upstream": upstream,
    "foreign_cpu": foreign_cpu,
    "steal": steal,
    "throttling": throttling,
    "counts": counts,
    "connections": connections,
    "answers": answers,
    "stationarity": stationarity,
}
"""Every gate by name; a window goes through all of them before anyone looks at its score."""


def validity(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Validity, tuple[str, ...]]:
    """Return the worst that the gates and the facts' own notes make of a window, with every reason.

    The reason of the worst gate stands first.
    """
    found = [gate for judge in GATES.values() for gate in judge(facts, limits)]
    found += [_degraded(note) for note in facts.notes]
    found.sort(key=lambda gate: _SEVERITY.index(gate.validity), reverse=True)
    return found[0].validity if found else Validity.VALID, tuple(gate.reason for gate in found)


_SEVERITY = [Validity.VALID, Validity.DEGRADED, Validity.INVALID, Validity.FAILED]


def _taken(share: float, who: str, limits: Limits) -> tuple[Gate, ...]:
    words = f"{who} {share:.0%} of a core of ours"
    if share > limits.foreign_invalid:
        return (_invalid(f"{words} (limit {limits.foreign_invalid:.0%})"),)
    if share > limits.foreign_degraded:
        return (_degraded(f"{words} (quiet is below {limits.foreign_degraded:.0%})"),)
    return ()


def _invalid(reason: str) -> Gate:
    return Gate(Validity.INVALID, reason)


def _degraded(reason: str) -> Gate:
    return Gate(Validity.DEGRADED, reason)
