"""Waits until the host is quiet: nobody else uses our cores, and the hypervisor gives them whole when they are wanted.

Called between windows, when target and generator are idle: what is used then is somebody else's. What the hypervisor
takes shows on a core that has work only, so each core is kept busy for a moment to see it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import StudyError
from harness.window.host import read_cpu_use, share

PATIENCE = "HARNESS_PATIENCE"
"""Environment variable: the longest wait in seconds that a person allows at a time, whatever the caller would wait; 0 is none."""

IDLE_S, BUSY_S = 1.0, 0.5
"""How long to look at idle cores and at busy ones: ticks of 10 ms tell a twentieth of a core in both."""
REST_S = 4.0
"""How long to leave a disturbed host alone before the next look, which costs CPU time itself."""
QUIET_SHARE = 0.1
"""For how much of the longest wait the host has to be quiet: what a hypervisor takes comes in bursts, and a moment between two
looks like the end."""
_SPIN = (
    "import os, sys, time\n"
    "os.sched_setaffinity(0, {int(sys.argv[1])})\n"
    "end = time.monotonic() + float(sys.argv[2])\n"
    "while time.monotonic() < end: pass\n"
)


@dataclass(frozen=True)
class Disturbance:
    """What is taken of the most disturbed core, in cores: by other processes, and by the hypervisor."""

    foreign: float
    steal: float

    def quiet(self, limit: float) -> bool:
        """Whether neither reaches `limit` of a core."""
        return max(self.foreign, self.steal) < limit

    def __str__(self) -> str:
        """Return both in words."""
        return f"other processes use {self.foreign:.0%} of a core of ours, the hypervisor takes {self.steal:.0%}"


def disturbance(cores: tuple[int, ...]) -> Disturbance:
    """Return what is taken of `cores` by others, from a look at them idle and one at them busy."""
    before, begun = read_cpu_use(), time.monotonic_ns()
    time.sleep(IDLE_S)
    after, looked = read_cpu_use(), time.monotonic_ns()
    _keep_busy(cores, BUSY_S)
    busy, ended = read_cpu_use(), time.monotonic_ns()
    return Disturbance(
        foreign=max(share(before.used_ns, after.used_ns, (core,), looked - begun) for core in cores),
        steal=max(share(after.steal_ns, busy.steal_ns, (core,), ended - looked) for core in cores),
    )


def wait_until_quiet(
    cores: tuple[int, ...], limit: float, limit_s: float, tell: Callable[[str], None] = lambda _: None
) -> bool:
    """Wait until `cores` are disturbed by less than `limit` of one, look after look, for a tenth of `limit_s` seconds.

    Returns False when all of them pass first. `tell` hears once what disturbs the cores, and how long that is waited for.
    Raises StudyError where HARNESS_PATIENCE is no number of seconds.
    """
    limit_s = min(limit_s, patience_s())
    quiet_since = begun = time.monotonic()
    end, told = begun + limit_s, False
    while time.monotonic() < end:
        found = disturbance(cores)
        if not found.quiet(limit):
            if not told:
                tell(f"waiting up to {limit_s / 60:.2g} min for a quiet host: {found}")
                told = True
            time.sleep(max(0.0, min(REST_S, end - time.monotonic())))
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since >= limit_s * QUIET_SHARE:
            return True
    return False


def patience_s() -> float:
    """Return the longest wait that a person allows, in seconds; infinite where HARNESS_PATIENCE is not set.

    Raises StudyError where it is no number of seconds.
    """
    given = os.environ.get(PATIENCE, "inf")
    try:
        patience_s = float(given)
    except ValueError:
        patience_s = -1.0
    if not patience_s >= 0:
        raise StudyError(f"{PATIENCE}={given} is no number of seconds: give 0 or more, or leave it out")
    return patience_s


def _keep_busy(cores: tuple[int, ...], seconds: float) -> None:
    """Use all of `cores` for that long; the processes end by themselves."""
    command = [sys.executable, "-I", "-S", "-c", _SPIN]
    spinning = [
        subprocess.Popen([*command, str(core), str(seconds)], stderr=subprocess.DEVNULL)  # Ctrl-C reaches them too
        for core in cores
    ]
    for process in spinning:
        process.wait()
