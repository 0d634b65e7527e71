"""The process backend: a service as a child of the harness, on its own cores, dead when the harness is dead.

Needs no engine and no rights. It must never promise what it cannot hold without them: see LOST.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.target import proc, starting, words
from harness.target.service import Exit, Placement, Program

STOP_LIMIT_S = 3.0
LOST = (
    "What is lost without Docker: the service is not isolated from this host (files, processes, network), and the "
    "memory limit of the study is not enforced."
)


class ChildService:
    """A service that is a child process."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        """Watch `process`, and keep the end of what it writes to `output`."""
        self._pid = process.pid
        self._written = b""
        self._reader = threading.Thread(target=self._read, args=(output,), name="service-log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._pid

    def exited(self) -> Exit | None:
        """Return how the child ended, or None while it runs."""
        # WNOWAIT leaves the child in place until it is stopped, so that its pid cannot come to name another process.
        found = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return words.ending(found.si_status + (0 if found.si_code == os.CLD_EXITED else words.SIGNAL_BASE))

    def log(self, lines: int = 20) -> str:
        """Return the end of what the child wrote."""
        if self.exited() is not None:
            self._reader.join(timeout=0.5)
        return words.tail(self._written, lines)

    def _read(self, output: IO[bytes]) -> None:
        with output:
            while chunk := os.read(output.fileno(), 65536):
                self._written = (self._written + chunk)[-words.MOST_LOG_BYTES :]


class ProcessBackend:
    """Serves programs as children. `children` is the file that names them while they live, for `leftovers`."""

    name = "process"

    def __init__(self, children: Path, stop_limit_s: float = STOP_LIMIT_S) -> None:
        """Touch nothing yet; `stop_limit_s` is what a service gets between SIGTERM and SIGKILL."""
        self._children = children
        self._stop_limit_s = stop_limit_s

    @contextmanager
    def serve(self, program: Program, placement: Placement) -> Iterator[ChildService]:
        """Start the program as a child and yield it; on leaving, end it and whatever it started."""
        process = starting.child(
            [str(program.binary)],
            cores=placement.cores,
            env=starting.environment(program, placement),
            output=subprocess.PIPE,
            folder=Path("/"),
        )
        try:
            self._record(process.pid)
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            yield ChildService(process, process.stdout)
        finally:
            _stop(process, self._stop_limit_s)
            with contextlib.suppress(OSError):
                self._children.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is left: every child ended with its block."""

    def _record(self, pid: int) -> None:
        content = {"owner": proc.identity(os.getpid()), "children": [proc.identity(pid)]}
        # A full disk must not cost the window: the child dies with the harness anyway.
        with contextlib.suppress(OSError):
            self._children.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _stop(process: subprocess.Popen[bytes], limit_s: float) -> None:
    """SIGTERM, then SIGKILL for the whole session. Until the last line the pid is the child's, dead or alive."""
    os.kill(process.pid, signal.SIGTERM)
    proc.wait_gone(process.pid, limit_s)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
