"""The process backend: the contract of a service without an engine. Own cores, own environment, dies with the harness."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.target import inspect
from harness.target.service import Exit, Placement, Program, TargetFailed

LOST = (
    "Lost with it: isolation (the target sees this host's files and processes), the memory limit of the study (not "
    "enforced), and the exact CPU account of a container."
)
STOP_LIMIT_S = 5.0
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class ChildService:
    """A service that is a child process of the harness."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        """Keep the child and the file that its output goes to."""
        self._process, self._output = process, output

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def exited(self) -> Exit | None:
        """Return how the child ended, or None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        if code < 0:
            return Exit(128 - code, oom_killed=False, words=f"ended by signal {signal.Signals(-code).name}")
        return Exit(code, oom_killed=False, words=f"exit code {code}")

    def log(self, lines: int = 20) -> str:
        """Return the end of what the child wrote."""
        size = os.fstat(self._output.fileno()).st_size
        text = os.pread(self._output.fileno(), 16384, max(0, size - 16384)).decode("utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def cgroup_cpu_throttled_s(self) -> float | None:
        """Return None: a child shares the harness's cgroup."""
        return None


class ProcessBackend:
    """Starts the program as a child; records it in `children` so that a later run can end what a dead one left."""

    name = "process"

    def __init__(self, children: Path) -> None:
        """`children` is the file that names living children: pid, start time, boot id."""
        self._children = children

    @contextmanager
    def serve(self, program: Program, placement: Placement) -> Iterator[ChildService]:
        """Start the program on its cores with its environment only, and end it on leaving."""
        with tempfile.TemporaryFile() as output:
            process = self._start(program, placement, output)
            try:
                self._record(process.pid)
                yield ChildService(process, output)
            finally:
                _stop(process)
                self._children.unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing is kept for the run."""

    def _start(self, program: Program, placement: Placement, output: IO[bytes]) -> subprocess.Popen[bytes]:
        parent = os.getpid()

        def prepare() -> None:
            # Between fork and exec: die with the harness, even when it is killed, and stay on our own cores.
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            os.sched_setaffinity(0, placement.cores)

        try:
            return subprocess.Popen(
                [str(program.binary)],
                env={**program.environment, **service_environment(placement)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                start_new_session=True,
                preexec_fn=prepare,  # noqa: PLW1509 - two system calls, no lock of another thread is taken
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise TargetFailed(f"the program cannot be started: {error}") from error

    def _record(self, pid: int) -> None:
        row = {"pid": pid, "start_ticks": inspect.start_ticks(pid), "boot_id": inspect.boot_id()}
        with contextlib.suppress(OSError):  # a full disk must not lose the window; PDEATHSIG ends the child anyway
            self._children.write_text(json.dumps([row]), encoding="utf-8")


def service_environment(placement: Placement) -> dict[str, str]:
    """Return the variables that every service gets, in every backend."""
    return {
        "PORT": str(placement.port),
        "ADMIN_PORT": str(placement.admin_port),
        "HARNESS_NONCE": placement.nonce,
    }


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
