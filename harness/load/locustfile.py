"""The generator's child process: Locust users that carry out one window each. The only file that imports Locust.

gevent and httptools come in here too and are handed on as an `Engine`. Locust starts and stops the users and counts
requests for a cross-check. Its pacing, its statistics and its run window are never used: schedule, clock and samples
are ours. Importing this file patches the whole process, so the harness itself must never do it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
import httptools
import locust
from gevent import socket
from gevent.event import Event
from locust.env import Environment
from locust.exception import StopUser

from harness.load import samples
from harness.load.engine import Engine
from harness.load.job import COMPLETED, Job, TargetRefused
from harness.load.models import ClosedModel, Model, OpenModel
from harness.load.samples import Samples
from harness.load.verify import verify
from harness.load.wire import job_from

PRIORITY = -10
CONNECT_LIMIT_S = 5.0
_LEAD_NS = 50_000_000  # between the announcement of the clock's start and the start, so that the harness can watch
_AT_ONCE = 64  # connections being opened at a time: a listen queue of 128, the usual least, never overflows
_SPARE_FILES = 64
_PR_SET_PDEATHSIG = 1


class WindowUser(locust.User):
    """One Locust user that carries out one window; `environment.window` holds its job and takes what came of it."""

    abstract = True
    fixed_count = 1
    model: type[Model]

    @locust.task
    def carry_out(self) -> None:
        """Carry out the window once, then stop."""
        window = self.environment.window
        try:
            taken, window.outcome = _drive(self.model, window.job, window.line)
            _tell_locust(self.environment, window.job, taken)
        except TargetRefused as refused:
            window.outcome = {"event": "refused", "words": str(refused)}
        except OSError as error:
            window.outcome = {"event": "error", "words": error.strerror or str(error), "errno": error.errno}
        raise StopUser


class OpenLoopUser(WindowUser):
    """Sends when the schedule says."""

    model = OpenModel


class ClosedLoopUser(WindowUser):
    """Sends when it was answered."""

    model = ClosedModel


USERS: dict[str, type[WindowUser]] = {"open": OpenLoopUser, "closed": ClosedLoopUser}


class Line:
    """The line to the harness: a line of JSON each way."""

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor."""
        self._socket = socket.socket(fileno=descriptor)
        self._lines = self._socket.makefile("rb")

    def read(self) -> bytes:
        """Return the next line, empty when the harness is gone."""
        return bytes(self._lines.readline())

    def tell(self, **content: object) -> None:
        """Send one line."""
        self._socket.sendall(json.dumps(content).encode() + b"\n")


class Window:
    """One job on its way through a Locust user; `outcome` is what the harness is told in the end."""

    def __init__(self, job: Job, line: Line) -> None:
        """Expect the worst until the user says otherwise."""
        self.job, self.line = job, line
        self.outcome: dict[str, Any] = {"event": "error", "words": "the user ended without a result", "errno": None}


def _drive(kind: type[Model], job: Job, line: Line) -> tuple[Samples, dict[str, Any]]:
    """Carry out one window and write its samples; TargetRefused, or OSError where the machine does not play along."""
    engine = Engine(
        loop=gevent.get_hub().loop,
        parser=httptools.HttpResponseParser,
        malformed=(httptools.HttpParserError, httptools.HttpParserUpgrade),
        callback_fault=httptools.HttpParserCallbackError,
    )
    _allow_files(job.load.connections + _SPARE_FILES)
    verify(job, engine)
    ended = Event()
    model = kind(engine, job, ended.set)
    try:
        _connect(model)
        end_ns = _run(model, ended, line)
    finally:
        model.close()
    taken = model.rows.samples(model.t0_ns, model.t1_ns)
    samples.write(job.samples, taken)
    return taken, {"event": "driven", **_driven(model, taken, end_ns)}


def _run(model: Model, ended: Event, line: Line) -> int:
    """Let the clock run from warm-up to the end of the drain and return when that was."""
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection in the window would be a pause of ours in the target's latency
    try:
        model.begin(time.monotonic_ns() + _LEAD_NS)
        line.tell(event="started", start_ns=model.start_ns, t0_ns=model.t0_ns, t1_ns=model.t1_ns)
        ended.wait()
        return time.monotonic_ns()
    finally:
        gc.enable()
        gc.unfreeze()


def _driven(model: Model, taken: Samples, end_ns: int) -> dict[str, int]:
    verified = len(model.job.load.requests)
    return {
        "start_ns": model.start_ns,
        "t0_ns": model.t0_ns,
        "t1_ns": model.t1_ns,
        "end_ns": end_ns,
        "offered": len(taken.outcome),
        "dispatched": int((taken.woken_ns > 0).sum()),
        "sent_total": model.sent_total + verified,
        "answered_total": model.answered_total + verified,
        "connects": sum(connection.opened for connection in model.connections) + verified,
        "reconnects": sum(connection.broke for connection in model.connections),
    }


def _connect(model: Model) -> None:
    """Open every connection, some at a time, and wait until all are up."""
    wanted = len(model.connections)
    end = time.monotonic() + CONNECT_LIMIT_S
    opened = 0
    while len(model.free) < wanted and time.monotonic() < end:
        while opened < min(wanted, len(model.free) + _AT_ONCE):
            model.connections[opened].open()
            opened += 1
        gevent.sleep(0.001)
    if len(model.free) < wanted:
        raise TargetRefused(f"only {len(model.free)} of {wanted} connections came up within {CONNECT_LIMIT_S:.0f} s")


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files if `wanted` more need it; OSError where the system does not let us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = sum(1 for _ in Path("/proc/self/fd").iterdir())
    if soft != resource.RLIM_INFINITY and soft < held + wanted:
        if hard != resource.RLIM_INFINITY and hard < held + wanted:
            raise OSError(f"{wanted} connections and files are more than `ulimit -n` allows ({hard})")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _tell_locust(environment: Environment, job: Job, taken: Samples) -> None:
    """Fire Locust's event for every measured request, after the window: its counts are a cross-check."""
    latency_ms = (taken.done_ns - taken.intended_ns) / 1e6
    for row, outcome in enumerate(taken.outcome):
        request = job.load.requests[taken.kind[row]]
        environment.events.request.fire(  # type: ignore[no-untyped-call]  # locust's own signature
            request_type=request.method,
            name=request.name,
            response_time=max(0.0, float(latency_ms[row])),
            response_length=int(taken.bytes[row]),
            exception=None if outcome == COMPLETED else RuntimeError(f"outcome {outcome}"),
            context={},
        )


def _carry_out(job: Job, line: Line) -> dict[str, Any]:
    """Let a Locust runner start one user for the window, and stop it."""
    environment = Environment(user_classes=[USERS[job.load.model]], catch_exceptions=False)
    window = Window(job, line)
    environment.window = window  # type: ignore[attr-defined]  # ours, for our user
    runner = environment.create_local_runner()
    try:
        runner.start(1, spawn_rate=1)
        if runner.spawning_greenlet is not None:
            runner.spawning_greenlet.join()
        runner.user_greenlets.join()
    finally:
        runner.quit()
    return {**window.outcome, "locust_requests": environment.stats.total.num_requests}


def _raise_priority() -> int:
    """Ask for a better turn at our core and return what we have."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    return os.getpriority(os.PRIO_PROCESS, 0)


def main() -> None:
    """Serve jobs until the harness closes the line. Arguments: descriptor of the line, pid of the harness, cores."""
    descriptor, parent, cores = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the harness decides
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # never outlive the harness
    if os.getppid() != parent:
        sys.exit("the harness ended before its generator had started")
    os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    logging.getLogger("locust").setLevel(logging.WARNING)
    # Without this the loop would print an error of ours in a callback and go on, and the window would look like the
    # target's fault. Now it ends this process, and the harness shows the traceback.
    gevent.get_hub().SYSTEM_ERROR = (Exception,)
    line = Line(descriptor)
    line.tell(event="ready", priority=_raise_priority())
    samples.load_parquet()  # now rather than after the first window, while the harness builds the first variant
    while text := line.read():
        line.tell(**_carry_out(job_from(text), line))


if __name__ == "__main__":
    main()
