"""The harness's end of the load generator: one child process that lives through the run. Never imports Locust itself."""

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

from harness.errors import MachineError
from harness.load.job import Driven, Job, TargetRefused
from harness.load.wire import job_line

START_LIMIT_S = 60.0
_MARGIN_S = 30.0
_FULL = {errno.ENOSPC, errno.EDQUOT}


class LocustGenerator:
    """Starts the child on its own cores and hands it one job after the other."""

    def __init__(self, cores: tuple[int, ...], log: Path) -> None:
        """Start the child on `cores`; what it writes goes to `log`. MachineError when it does not come up."""
        self._log = log
        ours, theirs = socket.socketpair()
        with ours, theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "harness.load.locustfile",
                    str(theirs.fileno()),
                    str(os.getpid()),
                    ",".join(str(core) for core in cores),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
            )
            self._line = ours.dup()
        self._buffer = b""
        self.priority = int(self._expect({"ready"}, START_LIMIT_S)["priority"])
        """The child's nice value: negative where the machine lets it be raised."""

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def drive(self, job: Job, on_start: Callable[[int, int, int], None]) -> Driven:
        """Have one window of load carried out; see `load.job.Generator`."""
        try:
            self._line.sendall(job_line(job))
        except OSError as error:
            raise self._died() from error
        limit_s = job.times.warmup_s + job.times.measure_s + job.times.drain_s + job.load.timeout_s + _MARGIN_S
        answer = self._expect({"started", "refused", "error"}, limit_s)
        if answer["event"] == "started":
            on_start(answer["start_ns"], answer["t0_ns"], answer["t1_ns"])
            answer = self._expect({"driven", "refused", "error"}, limit_s)
        if answer["event"] == "refused":
            raise TargetRefused(answer["words"])
        if answer["event"] == "error":
            raise _machine_error(answer, job)
        return Driven(**{name: answer[name] for name in Driven.__dataclass_fields__})

    def close(self) -> None:
        """End the child: closing the line is enough for a healthy one."""
        self._line.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _expect(self, events: set[str], limit_s: float) -> dict[str, Any]:
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
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in lines)


def _machine_error(answer: dict[str, Any], job: Job) -> MachineError:
    if answer.get("errno") is not None:
        advice = "free some space (`harness clean` thins old runs)" if answer["errno"] in _FULL else "see to it"
        kept = "then go on with --resume. What was measured so far is kept."
        return MachineError(f"cannot write {job.samples}: {answer['words']}; {advice}, {kept}")
    return MachineError(f"the load generator cannot go on: {answer['words']}")
