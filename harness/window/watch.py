"""Watches target, generator and host while a window runs: exact accounts at t0 and t1, a sample about 10 times a second.

Between the samples it sleeps; texts are kept raw and parsed only after the window, so that the watcher itself costs the
generator's core next to nothing. It never judges.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from harness.target import inspect
from harness.window.host import CpuUse, read_cpu_pressure_us, read_cpu_use

PERIOD_S = 0.1


@dataclass(frozen=True)
class Account:
    """CPU nanoseconds used so far by each party and by the host's cores, at monotonic `at_ns`. None: not readable.

    `pressure_us` is how long some task of the host has waited for a core, `generator_throttled_s` and
    `target_throttled_s` how long a CPU quota has stopped either, all since boot or since their cgroup is there.
    `upstream_ns` is None too where the target has no upstream.
    """

    at_ns: int
    target_ns: int | None
    generator_ns: int | None
    harness_ns: int
    host: CpuUse
    pressure_us: int | None = None
    generator_throttled_s: float | None = None
    target_throttled_s: float | None = None
    upstream_ns: int | None = None


@dataclass(frozen=True)
class Sample:
    """What was seen at monotonic `at_ns`; `metrics` is the raw text of the target's `/metrics`, empty if none came.

    `switches` are the voluntary and involuntary context switches of its threads so far, `throttled_s` for how long a CPU
    quota has stopped it.
    """

    at_ns: int
    cpu_ns: int | None
    rss_bytes: int | None
    threads: int | None
    metrics: str
    generator_ns: int | None = None
    switches: tuple[int, int] | None = None
    throttled_s: float | None = None


@dataclass
class Watch:
    """One watching thread for one window. Use `begin` when the schedule's clock has started, `finish` after the drain."""

    target_pid: int
    generator_pids: Callable[[], tuple[int, ...]]
    admin_port: int | None
    harness_pids: tuple[int, ...] = ()
    upstream_pid: int | None = None
    samples: list[Sample] = field(default_factory=list)
    first: Account | None = None
    last: Account | None = None
    _generators: tuple[int, ...] = ()
    _thread: threading.Thread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def begin(self, _start_ns: int, t0_ns: int, t1_ns: int) -> None:
        """Start watching; called from the generator's start signal, so it must return at once."""
        self._generators = self.generator_pids()
        self._thread = threading.Thread(target=self._watch, args=(t0_ns, t1_ns), name="watch", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Stop watching and wait for the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _watch(self, t0_ns: int, t1_ns: int) -> None:
        if self._sleep_until(t0_ns):
            return
        self.first = self._account()
        at_ns = t0_ns
        while at_ns < t1_ns:
            self.samples.append(self._sample())
            at_ns += int(PERIOD_S * 1e9)
            if self._sleep_until(min(at_ns, t1_ns)) and time.monotonic_ns() < t1_ns:
                return  # the window was cut short
        self.last = self._account()

    def _sleep_until(self, at_ns: int) -> bool:
        return self._stop.wait(max(0.0, (at_ns - time.monotonic_ns()) / 1e9))

    def _account(self) -> Account:
        times = os.times()
        beside = _sum(inspect.process_cpu_ns(pid) for pid in self.harness_pids) or 0
        return Account(
            at_ns=time.monotonic_ns(),
            target_ns=inspect.process_cpu_ns(self.target_pid),
            generator_ns=_sum(inspect.process_cpu_ns(pid) for pid in self._generators),
            harness_ns=int((times.user + times.system) * 1e9) + beside,
            host=read_cpu_use(),
            pressure_us=read_cpu_pressure_us(),
            generator_throttled_s=inspect.cgroup_cpu_throttled_s(self._generators[0]) if self._generators else None,
            target_throttled_s=inspect.cgroup_cpu_throttled_s(self.target_pid),
            upstream_ns=None if self.upstream_pid is None else inspect.process_cpu_ns(self.upstream_pid),
        )

    def _sample(self) -> Sample:
        return Sample(
            at_ns=time.monotonic_ns(),
            cpu_ns=inspect.process_cpu_ns(self.target_pid),
            rss_bytes=inspect.rss_bytes(self.target_pid),
            threads=inspect.threads(self.target_pid),
            generator_ns=_sum(inspect.process_cpu_ns(pid) for pid in self._generators),
            metrics="" if self.admin_port is None else inspect.scrape(self.admin_port),
            switches=inspect.switches(self.target_pid),
            throttled_s=inspect.cgroup_cpu_throttled_s(self.target_pid),
        )


def _sum(times_ns: Iterable[int | None]) -> int | None:
    """Return the sum, None where a part is not known."""
    total = 0
    for time_ns in times_ns:
        if time_ns is None:
            return None
        total += time_ns
    return total
