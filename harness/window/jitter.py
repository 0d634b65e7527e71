"""The jitter probe: a process that does nothing but wake at 1 kHz and note how late it was.

It lives through the run on the harness's cores, at normal priority. Where these are the generator's too, what it tells is
how late such a thread wakes beside the generator: no more than the host's own lateness, and what the generator would meet
without its priority. Its share of a core is about 1 %, which counts as the harness's own. Run as a program it is the probe
itself, which is why it imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass

_PERIOD_NS = 1_000_000
_LOOK_EVERY = 16  # wake-ups between two looks for a word: each costs as much as a wake-up
_ANSWER_LIMIT_S = 5.0
_STRETCH = struct.Struct("=qq")
_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29


@dataclass(frozen=True)
class Jitter:
    """How late the probe woke while it was watched, in milliseconds."""

    p50_ms: float
    p99_ms: float
    max_ms: float


class JitterProbe:
    """The probe's process; `begin` and `finish` bracket what is watched."""

    def __init__(self) -> None:
        """Start it, on the cores of this process."""
        command = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    @property
    def pid(self) -> int:
        """Process id, for its CPU account."""
        return self._process.pid

    def begin(self, t0_ns: int, t1_ns: int) -> None:
        """Forget what was and watch from `t0_ns` to `t1_ns` (CLOCK_MONOTONIC)."""
        self._tell(b"b" + _STRETCH.pack(t0_ns, t1_ns))

    def finish(self) -> Jitter | None:
        """Stop and return what was seen; None where the probe is gone or saw nothing."""
        if not self._tell(b"f") or self._process.stdout is None:
            return None
        if not select.select([self._process.stdout], [], [], _ANSWER_LIMIT_S)[0]:
            return None
        line = self._process.stdout.readline()
        found = json.loads(line) if line else None
        return Jitter(**found) if found else None

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _tell(self, word: bytes) -> bool:
        with contextlib.suppress(OSError):
            return self._process.stdin is not None and self._process.stdin.write(word) == len(word)
        return False


def summary(late_ns: list[int]) -> dict[str, float] | None:
    """Return the quantiles of what was noted, in milliseconds; None where that is nothing. Pure."""
    if not late_ns:
        return None
    late = sorted(late_ns)
    return {
        "p50_ms": late[len(late) // 2] / 1e6,
        "p99_ms": late[min(len(late) - 1, int(len(late) * 0.99))] / 1e6,
        "max_ms": late[-1] / 1e6,
    }


def _watch(t0_ns: int, t1_ns: int) -> list[int]:
    """Wake every millisecond until a word comes, and return how late each time within the stretch was (ns)."""
    late_ns: list[int] = []
    words = select.poll()
    words.register(0, select.POLLIN)
    due_ns = time.monotonic_ns()
    for turn in itertools.count():
        if turn % _LOOK_EVERY == 0 and words.poll(0):
            break
        due_ns += _PERIOD_NS
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        now_ns = time.monotonic_ns()
        if t0_ns <= due_ns < t1_ns:
            late_ns.append(max(0, now_ns - due_ns))
        due_ns = max(due_ns, now_ns - _PERIOD_NS)  # a long pause is one late wake-up, not hundreds
    return late_ns


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_TIMERSLACK, 1)  # the default of 50 us would be the probe's own
    if os.getppid() != int(sys.argv[1]):
        return
    while word := os.read(0, 1):
        if word == b"b":
            late_ns = _watch(*_STRETCH.unpack(os.read(0, _STRETCH.size)))
            if os.read(0, 1) != b"f":
                return
            os.write(1, json.dumps(summary(late_ns)).encode() + b"\n")
        elif word == b"f":
            os.write(1, b"null\n")


if __name__ == "__main__":
    _serve()
