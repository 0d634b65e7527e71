"""Who made a container or a process: pid, start time and boot, which together name one process for ever."""

from __future__ import annotations

import os

from harness.target import inspect


def mine() -> str:
    """Return the mark of this process."""
    return f"{os.getpid()}:{inspect.start_ticks(os.getpid())}:{inspect.boot_id()}"


def alive(mark: str) -> bool:
    """Whether the process that made this mark still runs; a mark that cannot be read counts as dead."""
    pid, _, rest = mark.partition(":")
    ticks, _, boot = rest.partition(":")
    return pid.isdigit() and boot == inspect.boot_id() and str(inspect.start_ticks(int(pid))) == ticks
