"""What a dead run left behind: containers, images, children. Takes away only what is ours and whose owner died."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

from harness.target import docker, proc


def sweep(results: Path) -> tuple[str, ...]:
    """Remove the leftovers of dead runs and return a sentence for each. What belongs to a live harness stays."""
    places = ("*/*", "*/*/confirm/*", "*/diagnoses/*")
    files = [file for place in places for file in sorted(results.glob(f"{place}/children.json"))]
    return (*docker.remove_leftovers(), *(line for file in files for line in _end_children(file)))


def _end_children(file: Path) -> tuple[str, ...]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        owner, children = str(content["owner"]), [str(child) for child in content["children"]]
    except (OSError, ValueError, KeyError, TypeError):
        return ()  # torn by a full disk or a crash; the child died with its harness
    if not proc.has_ended(owner):
        return ()
    ended = tuple(
        f"ended process {child.partition(':')[0]}, left by a run that died" for child in children if _end(child)
    )
    with contextlib.suppress(OSError):
        file.unlink()
    return ended


def _end(named: str) -> bool:
    """Kill the process of that identity; whether there was one. A descriptor stays with it even if the pid is not."""
    try:
        pid = int(named.partition(":")[0])
        descriptor = os.pidfd_open(pid)
    except (ValueError, OSError):
        return False
    try:
        if proc.identity(pid) != named:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
