"""What the load generator is asked for and what it hands back: the contract of the second seam that tests fake.

Clock: CLOCK_MONOTONIC in nanoseconds, the same in every process of this host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.study.model import Load, WindowTimes

COMPLETED, FAILED, TIMED_OUT, DROPPED, UNFINISHED = range(5)
"""Outcome codes of a sample. Completed: the expected status came. Failed: another status, or the connection broke.
Timed out: no answer within the time-out of the intended send. Dropped: the bounded queue was full. Unfinished: still in
flight or queued when the drain ended."""

SAMPLE_COLUMNS = {
    "intended_ns": "int64",
    "woken_ns": "int64",
    "sent_ns": "int64",
    "done_ns": "int64",
    "outcome": "int8",
    "status": "int16",
    "bytes": "int32",
    "kind": "int16",
    "connection": "int32",
}
"""Columns of samples.parquet: one row for each request whose intended time lies in [t0, t1), warm-up excluded.

`woken_ns` is when the dispatcher handed the request over, 0 if never; in the closed model without thinking, where no
timer is waited for, it equals `intended_ns`.
`sent_ns` and `done_ns` are 0 where it was never sent or never answered. `status` is 0 without an answer. `kind` is the
index into the profile's requests. `connection` is -1 where none took it.
"""


@dataclass(frozen=True)
class Job:
    """One window of load against 127.0.0.1:`port`. `seed` decides arrivals and request kinds entirely."""

    port: int
    load: Load
    times: WindowTimes
    seed: int
    samples: Path


@dataclass(frozen=True)
class Driven:
    """What the generator says after a window.

    `t0_ns`, `t1_ns` bound the measured stretch by intended time; `end_ns` is when the drain was over. `sent_total` and
    `answered_total` count every request on the wire since the service started, verification and warm-up included;
    `connects` counts connections opened and not refused, be it at the very end: no more can have reached the server;
    `reconnects` counts those opened again after a break. `offered` is the number of
    requests whose intended time lies in [t0, t1). `dispatched` is how many of them the dispatcher handed over, and
    `locust_requests` what Locust itself counted of them: a cross-check, never a result. `wrong_bodies` counts answers
    with the expected status whose body was not what the study expects, warm-up included.
    """

    start_ns: int
    t0_ns: int
    t1_ns: int
    end_ns: int
    offered: int
    dispatched: int
    sent_total: int
    answered_total: int
    connects: int
    reconnects: int
    locust_requests: int
    wrong_bodies: int = 0


CONNECT_LIMIT_S = 5.0
_LEAST_PER_S = 500  # connections that come up, at least: 19,700 took 20 s on two busy cores


def connect_limit_s(count: int) -> float:
    """Return how long it may take until `count` connections are up (s)."""
    return CONNECT_LIMIT_S + count / _LEAST_PER_S


class TargetRefused(Exception):  # noqa: N818 - a FAILED window, not an error of the harness
    """The target did not take the load at all: wrong answer at verification, or connections refused."""


class Generator(Protocol):
    """Drives load from one child process that lives through the run."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids that generate load now, for their CPU account; asked when a window's clock starts."""

    def drive(self, job: Job, on_start: Callable[[int, int, int], None]) -> Driven:
        """Verify, connect, warm up, measure, drain, write the samples.

        `on_start(start_ns, t0_ns, t1_ns)` is called once, when the schedule's clock starts. Raises TargetRefused when
        the target answers wrongly at verification or refuses connections, MachineError when the child itself fails.
        """

    def close(self) -> None:
        """End the child."""
