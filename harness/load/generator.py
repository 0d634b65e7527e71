"""The harness's end of the load generator: one child process that lives through the run. Never imports Locust."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
from harness.errors import MachineError, StudyError
from harness.load.job import Driven, Job, TargetRefused, connect_limit_s
from harness.load.wire import job_line

START_LIMIT_S = 60.0
MARGIN_S = 30.0
"""How much longer than asked a window may take (verification, writing) before the child counts as stuck."""

_TAIL_BYTES = 4096
_TAIL_LINES = 10
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FOREIGN = ("PYTHON", "LOCUST", "GEVENT")


class LocustGenerator:
    """Starts the child on its own cores and hands it one job after the other.

    The kernel ends the child with the thread that made this object, so that thread has to live through the run.
    """

    def __init__(
        self, cores: tuple[int, ...], log: Path, native: Path | None = None, locustfile: Path | None = None
    ) -> None:
        """Start the child on `cores`; what it writes goes to `log`.

        `native` is the program of the native engine, `locustfile` the user's own, where the load is by one of them.
        MachineError when the child does not come up, StudyError when it cannot use the locustfile.
        """
        self._log = log
        self._buffer = b""
        self._engine_pid: int | None = None
        files = [str(native or ""), str(locustfile or "")]
        self._process, self._line = _start(cores, log, files)
        try:
            self.priority = self._ready()
            """The child's nice value: negative where the machine lets it be raised."""
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids that generate load now: the child's, and while it runs that of the native engine."""
        return (self._process.pid, *(() if self._engine_pid is None else (self._engine_pid,)))

    def drive(self, job: Job, on_start: Callable[[int, int, int], None]) -> Driven:
        """Have one window of load carried out; see `load.job.Generator`.

        What interrupts it from outside (Ctrl-C, an error in `on_start`) ends the child, which would go on sending.
        """
        try:
            answer = self._carried_out(job, on_start)
        except BaseException:
            self._process.kill()
            raise
        if answer["event"] == "refused":
            raise TargetRefused(answer["words"])
        if answer["event"] == "error":
            raise _machine_error(answer, job)
        if answer["offered"] == 0:
            raise TargetRefused(
                f"not one request was due in the measured stretch; the generator's last words:{self._tail()}"
            )
        return Driven(**{name: answer[name] for name in Driven.__dataclass_fields__ if name in answer})

    def close(self) -> None:
        """End the child: closing the line is enough for one that waits for a job."""
        self._line.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ready(self) -> int:
        answer = self._expect({"ready", "unusable"}, START_LIMIT_S)
        if answer["event"] == "unusable":
            raise StudyError(f"the locustfile cannot be used: {answer['words']}")
        return int(answer["priority"])

    def _carried_out(self, job: Job, on_start: Callable[[int, int, int], None]) -> dict[str, Any]:
        try:
            self._line.settimeout(START_LIMIT_S)
            self._line.sendall(job_line(job))
        except OSError as error:
            raise self._died() from error
        limit_s = job.times.warmup_s + job.times.measure_s + job.times.drain_s + job.load.timeout_s + MARGIN_S
        limit_s += connect_limit_s(job.load.open_connections)
        answer = self._expect({"started", "refused", "error"}, limit_s)
        if answer["event"] != "started":
            return answer
        self._engine_pid = answer.get("pid")
        on_start(answer["start_ns"], answer["t0_ns"], answer["t1_ns"])
        try:
            return self._expect({"driven", "refused", "error"}, limit_s)
        finally:
            self._engine_pid = None

    def _expect(self, events: set[str], limit_s: float) -> dict[str, Any]:
        """Return the child's next line, which has to be one of `events`."""
        end = time.monotonic() + limit_s
        while b"\n" not in self._buffer:
            self._line.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self._line.recv(65536)
            except TimeoutError as error:
                words = f"the load generator gave no sign for {limit_s:.0f} s"
                raise MachineError(f"{words}; see {self._log}{self._tail()}") from error
            except OSError as error:
                raise self._died() from error
            if not data:
                raise self._died()
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if answer.get("event") not in events:
            raise MachineError(f"the load generator said {answer.get('event')!r} out of turn; see {self._log}")
        return answer

    def _died(self) -> MachineError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        code = self._process.returncode
        return MachineError(f"the load generator ended (exit code {code}); see {self._log}{self._tail()}")

    def _tail(self) -> str:
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = log.read().decode("utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in lines)


def _start(cores: tuple[int, ...], log: Path, files: list[str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the child and return it with our end of the line to it."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "harness.load.locustfile"]  # -P: a locust.py where we run is not Locust
    arguments = [str(theirs.fileno()), str(os.getpid()), ",".join(map(str, cores)), *files]
    try:
        with theirs, log.open("ab") as output:
            process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                env=_environment(),
            )
    except OSError as error:
        ours.close()
        raise MachineError(f"cannot start the load generator: {error}") from error
    return process, ours


def _environment() -> dict[str, str]:
    """Return the caller's environment without what would change Python, Locust or gevent, and with the way to us."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "PYTHONPATH": str(Path(harness.__file__).parents[1])}


def _machine_error(answer: dict[str, Any], job: Job) -> MachineError:
    if answer.get("errno") is None:
        return MachineError(f"the load generator cannot go on: {answer['words']}")
    advice = "free some space (`harness clean` thins old runs)" if answer["errno"] in _FULL else "see to it"
    kept = "then go on with --resume. What was measured so far is kept."
    return MachineError(f"cannot write {job.samples}: {answer['words']}; {advice}, {kept}")
