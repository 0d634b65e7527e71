"""Looks inside a diagnostic build while its window is measured: where its CPU time goes, what its tasks wait for.

Asks only, and only what such a build answers; what cannot be had is a sentence, never an error.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from harness.target import inspect

STACKS_SHARE = 0.6
"""Part of the measured stretch in which stacks are collected; the dump of the tasks needs some of the load as well."""

SHORTEST_S, LONGEST_S = 0.5, 30.0
_ANSWER_LIMIT_S = 20.0
"""What resolving the names of a large program may take (s), beyond the collecting itself."""


@dataclass(frozen=True)
class Inside:
    """What was seen: stacks as lines of `thread;outermost;...;innermost count` over `stacks_s` seconds, tasks as text.

    What is None is told in `missing`, a sentence each.
    """

    stacks: str | None
    stacks_s: float
    tasks: str | None
    missing: tuple[str, ...]


NOTHING = Inside(None, 0.0, None, ())


class InsideLook:
    """One look, at one window: `begin` when its clock starts, `finish` before its service stops, then `seen`."""

    def __init__(self) -> None:
        """Look at nothing yet."""
        self.seen = NOTHING
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, admin_port: int, t0_ns: int, t1_ns: int) -> None:
        """Start looking when the clock reads `t0_ns`, on a thread of its own."""
        self._thread = threading.Thread(
            target=self._look, args=(admin_port, t0_ns, t1_ns), name="inside-look", daemon=True
        )
        self._thread.start()

    def finish(self) -> None:
        """Wait until the look is over; one that has not begun is given up."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _look(self, admin_port: int, t0_ns: int, t1_ns: int) -> None:
        if self._ended.wait(max(0.0, (t0_ns - time.monotonic_ns()) / 1e9)):
            return
        stacks_s = min(LONGEST_S, max(SHORTEST_S, STACKS_SHARE * (t1_ns - t0_ns) / 1e9))
        path = f"/debug/stacks?seconds={stacks_s:.3f}"
        stacks, no_stacks = inspect.inside(admin_port, path, stacks_s + _ANSWER_LIMIT_S)
        tasks, no_tasks = inspect.inside(admin_port, "/debug/tasks", _ANSWER_LIMIT_S)
        told = (("no flame graph", no_stacks), ("no task dump", no_tasks))
        self.seen = Inside(stacks, stacks_s, tasks, tuple(f"{what}: {why}" for what, why in told if why))
