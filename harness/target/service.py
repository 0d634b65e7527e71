"""The contract between a backend and the rest: what is served, and what can be asked of it while it runs.

A backend turns a built program into a running service with two loopback ports and takes it away again. It never
judges, never retries, and never touches what it did not start.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Program:
    """A built variant: the binary on disk, its SHA-256, and the environment that it gets (OPT_* only).

    `cargo_lock` is the text of the lock file that it was built by, None where it has none.
    """

    variant_id: str
    binary: Path
    digest: str
    environment: Mapping[str, str]
    runtime_rs: str
    build_s: float
    cached: bool
    cargo_lock: str | None = None


@dataclass(frozen=True)
class Placement:
    """Where a service may run: its own cores, its memory limit, its two ports on 127.0.0.1.

    `nonce` is handed over as HARNESS_NONCE and echoed by `/runtime`, which proves whose answer it is. `upstream_port` is
    where the upstream of a target that needs one listens, handed over as UPSTREAM_PORT.
    """

    cores: tuple[int, ...]
    memory_bytes: int | None
    port: int
    admin_port: int
    nonce: str
    upstream_port: int | None = None


@dataclass(frozen=True)
class Exit:
    """How a service ended: exit code or signal (128 + n), whether the kernel killed it for memory, and in words."""

    code: int | None
    oom_killed: bool
    words: str


class Service(Protocol):
    """A started service. Every method is cheap and safe to call from another thread while the service runs."""

    @property
    def pid(self) -> int:
        """The service's process id as this host sees it."""

    def exited(self) -> Exit | None:
        """Return how it ended, or None while it runs."""

    def log(self, lines: int = 20) -> str:
        """Return the last `lines` lines of what it wrote, at most 16 KiB, undecodable bytes replaced."""


class Backend(Protocol):
    """Serves programs. The first of the two seams that tests fake."""

    name: str

    def serve(self, program: Program, placement: Placement) -> AbstractContextManager[Service]:
        """Start the program afresh and yield it; on leaving, stop it (SIGTERM, then SIGKILL) and remove every trace.

        Leaving must free both ports and must never hide the error that ended the block. Raises TargetFailed when the
        program cannot be started, MachineError when the backend itself is gone (the engine stopped answering).
        """

    def close(self) -> None:
        """Remove what this backend made for the run (images, containers); called once, at the end of a run."""


class TargetFailed(Exception):  # noqa: N818 - a FAILED window, not an error of the harness
    """The variant did not build, start, survive or answer: the window is FAILED with this reason and log tail."""

    def __init__(self, reason: str, log: str = "") -> None:
        """Keep one sentence of reason, and the last 20 lines of build or service log."""
        super().__init__(reason)
        self.reason = reason
        self.log = log
