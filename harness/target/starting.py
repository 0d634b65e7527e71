"""How a program is started: what a service finds in its environment, and a child that cannot outlive the harness.

Ends nothing: who starts a child ends it.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from harness.target.service import Placement, Program

LAUNCH = Path(__file__).with_name("launch.py")


def most_files() -> int:
    """Return how many files a service may have open, whatever the backend: what the harness itself could at most.

    A shell's or an engine's own soft limit can be 1024, which a few hundred connections more would meet.
    """
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def environment(program: Program, placement: Placement) -> dict[str, str]:
    """Return all that the harness puts into a service's environment, whatever the backend."""
    upstream = {} if placement.upstream_port is None else {"UPSTREAM_PORT": str(placement.upstream_port)}
    return {
        **program.environment,
        **upstream,
        "PORT": str(placement.port),
        "ADMIN_PORT": str(placement.admin_port),
        "HARNESS_NONCE": placement.nonce,
    }


def child(
    command: Sequence[str],
    *,
    cores: Sequence[int],
    env: Mapping[str, str],
    output: int | IO[bytes],
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` on `cores` with exactly `env`, in a session of its own; both outputs go to `output`.

    The session keeps the terminal's Ctrl-C away from the child: the harness decides when it ends. When the thread that
    called this ends, the kernel kills the child (PR_SET_PDEATHSIG counts the thread, not the process).
    """
    chosen = ",".join(str(core) for core in cores)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), chosen, *command],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
