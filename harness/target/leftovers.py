"""What a dead run left: containers, images, children. Ends only what carries our own marks, and only if the owner is dead."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

from harness.target import inspect


def sweep(results: Path) -> tuple[str, ...]:
    """Remove the leftovers of dead runs on this host; return what went, in words. Call it under the host's lock."""
    from harness.target import docker

    return (*docker.sweep(), *(line for file in results.glob("*/*/children.json") for line in end_children(file)))


def end_children(file: Path) -> tuple[str, ...]:
    """End the processes that `file` names, if pid, start time and boot all agree; return what was ended, in words."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        children = [(int(row["pid"]), row["start_ticks"], row["boot_id"]) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        children = []
    ended = []
    for pid, start_ticks, boot_id in children:
        if boot_id == inspect.boot_id() and start_ticks is not None and inspect.start_ticks(pid) == start_ticks:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                ended.append(f"ended process {pid}, left by a run that died")
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
    return tuple(ended)
