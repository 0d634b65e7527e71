"""The gates: each a pure function from a window's host facts to reasons. They judge generator and host, never the target.

A slow, overloaded or dropping target leaves every gate silent: that is what the harness exists to find. Limits come
from `LIMITS`, one table, each with its origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.window.measurement import HostFacts, Validity


@dataclass(frozen=True)
class Limits:
    """The limits of all gates. Shares of one core unless said otherwise."""

    dispatched_share: float = 0.99
    """Dispatched / offered; Lancet (ATC'19) allows 10 %, an idle generator misses nothing."""
    late_share: float = 0.05
    """Share of requests handed over later than the lateness limit; beyond it percentiles up to p95 would move."""
    floor_factor: float = 2.0
    """The lateness limit is this many times the host's own median lateness ..."""
    objective_share: float = 0.10
    """... or this share of the percentile that is scored, whichever is larger."""
    uncalibrated_floor_ms: float = 0.15
    """Median lateness of timerfd and gevent on an idle two-core machine, used before the first calibration window."""
    generator_cpu: float = 0.60
    """A Python generator above 60 % of its core queues on itself (measured: p50 error above 0.3 ms from there on)."""
    foreign_degraded: float = 0.05
    foreign_invalid: float = 0.25
    """CPU of others on a core of ours: from 5 % tails move, from 25 % medians do."""


LIMITS = Limits()


@dataclass(frozen=True)
class Gate:
    """One reason that a gate gives, with what it makes of the window."""

    validity: Validity
    reason: str


def lateness_limit_ms(floor_ms: float | None, objective_ms: float | None, limits: Limits = LIMITS) -> float:
    """Return the lateness (ms) that this window may show: relative to the host's floor and to what is scored."""
    floor = limits.uncalibrated_floor_ms if floor_ms is None else floor_ms
    return max(limits.floor_factor * floor, limits.objective_share * (objective_ms or 0.0))


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


def generator_cpu(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """The generator had room on its core."""
    if facts.generator_cpu is None:
        return (_degraded("the generator's CPU time is not known"),)
    if facts.generator_cpu <= limits.generator_cpu:
        return ()
    return (_invalid(f"the generator used {facts.generator_cpu:.0%} of its core (limit {limits.generator_cpu:.0%})"),)


def foreign_cpu(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """Nobody else used our cores."""
    if facts.foreign_cpu is None:
        return (_degraded("the CPU time of other processes is not known"),)
    return _taken(facts.foreign_cpu, "other processes used", limits)


def steal(facts: HostFacts, limits: Limits = LIMITS) -> tuple[Gate, ...]:
    """The hypervisor did not take our cores away: a neighbour that this machine cannot see."""
    return () if facts.steal is None else _taken(facts.steal, "the hypervisor took", limits)


def throttling(facts: HostFacts, _: Limits = LIMITS) -> tuple[Gate, ...]:
    """No CPU quota stopped the target: the harness sets none, so throttling is the host's doing."""
    if not facts.throttled_s:
        return ()
    return (_degraded(f"a CPU quota of the host throttled the target for {facts.throttled_s:.2f} s"),)


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


GATES: dict[str, Callable[[HostFacts, Limits], tuple[Gate, ...]]] = {
    "dispatched": dispatched_on_schedule,
    "lateness": lateness,
    "generator_cpu": generator_cpu,
    "foreign_cpu": foreign_cpu,
    "steal": steal,
    "throttling": throttling,
    "counts": counts,
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


_SEVERITY = [Validity.VALID, Validity.DEGRADED, Validity.INVALID]


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
