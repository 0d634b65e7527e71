"""The generator's child process: Locust users that carry out one window each. The only file that imports Locust.

Locust starts and stops the users and counts requests for a cross-check. Its pacing, its statistics and its run window
are never used: the schedule, the clock and the samples are ours. Importing this file patches the whole process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import http.client
import json
import logging
import os
import signal
import sys
import time
from typing import Any

import gevent
import locust  # first: it patches sockets and threads for gevent
from gevent import socket as gsocket
from locust.env import Environment
from locust.exception import StopUser

from harness.load import samples
from harness.load.connection import file_limit, open_files
from harness.load.job import COMPLETED, Job
from harness.load.models import ClosedModel, Model, OpenModel
from harness.load.wire import LOOPBACK, job_from

PRIORITY = -10
_LEAD_NS = 50_000_000
_CONNECT_LIMIT_S = 5.0
_MODELS: dict[str, type[Model]] = {"open": OpenModel, "closed": ClosedModel}


class Refused(Exception):  # noqa: N818 - becomes TargetRefused in the harness
    """The target did not take the load."""


class WindowUser(locust.User):
    """One Locust user that carries out one window; `environment.window` holds its job and takes its result."""

    abstract = True
    fixed_count = 1
    wait_time = locust.constant(0)

    @locust.task
    def window(self) -> None:
        """Carry out the window once, then stop."""
        window = self.environment.window
        try:
            window.result = _drive(window.job, window.control)
            _tell_locust(self.environment, window.job)
        except Refused as refused:
            window.result = {"event": "refused", "words": str(refused)}
        except OSError as error:
            window.result = {"event": "error", "words": f"{error.strerror or error}", "errno": error.errno}
        raise StopUser


class OpenLoopUser(WindowUser):
    """Sends when the schedule says."""


class ClosedLoopUser(WindowUser):
    """Sends when it was answered."""


USERS = {"open": OpenLoopUser, "closed": ClosedLoopUser}


class Window:
    """One job on its way through a Locust user."""

    def __init__(self, job: Job, control: Control) -> None:
        self.job, self.control = job, control
        self.result: dict[str, Any] = {"event": "error", "words": "the user ended without a result", "errno": None}


class Control:
    """The line to the harness: a line of JSON each way."""

    def __init__(self, descriptor: int) -> None:
        self._socket = gsocket.socket(fileno=descriptor)
        self._lines = self._socket.makefile("rb")

    def read(self) -> bytes:
        """Return the next line, empty when the harness is gone."""
        return bytes(self._lines.readline())

    def tell(self, **content: object) -> None:
        """Send one line."""
        self._socket.sendall(json.dumps(content).encode() + b"\n")


def _drive(job: Job, control: Control) -> dict[str, Any]:
    _verify(job)
    model = _MODELS[job.load.model](gevent.get_hub().loop, job)
    try:
        _connect(model)
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection in the window would be a pause of ours in the target's latency
        model.begin(time.monotonic_ns() + _LEAD_NS)
        control.tell(event="started", start_ns=model.start_ns, t0_ns=model.t0_ns, t1_ns=model.t1_ns)
        model.ended.wait()
        end_ns = time.monotonic_ns()
    finally:
        gc.enable()
        gc.unfreeze()
        model.close()
    taken = model.rows.samples(model.t0_ns, model.t1_ns)
    samples.write(job.samples, taken)
    kinds = len(job.load.requests)
    return {
        "event": "driven",
        "start_ns": model.start_ns,
        "t0_ns": model.t0_ns,
        "t1_ns": model.t1_ns,
        "end_ns": end_ns,
        "offered": len(taken.outcome),
        "dispatched": int((taken.woken_ns > 0).sum()),
        "sent_total": model.sent_total + kinds,
        "answered_total": model.answered_total + kinds,
        "connects": sum(connection.opened for connection in model.connections) + kinds,
        "reconnects": sum(connection.broke for connection in model.connections),
    }


def _verify(job: Job) -> None:
    """Ask once for each kind of request and refuse a wrong answer, before anything is measured."""
    for request in job.load.requests:
        connection = http.client.HTTPConnection(LOOPBACK, job.port, timeout=max(5.0, job.load.timeout_s))
        try:
            connection.request(request.method, request.path, request.body or None, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read(2000)
        except (OSError, http.client.HTTPException) as error:
            words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise Refused(f"{request.method} {request.path} had no answer ({words})") from error
        finally:
            connection.close()
        if answer.status != request.expect_status:
            text = " ".join(body.decode("utf-8", errors="replace").split())[:200]
            raise Refused(
                f"{request.method} {request.path} answered {answer.status} instead of {request.expect_status}"
                f"{': ' + text if text else ''}"
            )


def _connect(model: Model) -> None:
    """Open every connection and wait until all are up."""
    wanted = len(model.connections)
    if wanted + open_files() + 16 > file_limit():
        raise OSError(
            f"{wanted} connections need more than the {file_limit()} files that this process may open (ulimit -n)"
        )
    for connection in model.connections:
        connection.open()
    end = time.monotonic() + _CONNECT_LIMIT_S
    while len(model.free) < wanted and time.monotonic() < end:
        gevent.sleep(0.001)
    if len(model.free) < wanted:
        raise Refused(f"only {len(model.free)} of {wanted} connections came up within {_CONNECT_LIMIT_S:.0f} s")


def _tell_locust(environment: Environment, job: Job) -> None:
    """Fire Locust's event for every measured request, after the window: its counts are a cross-check."""
    taken = samples.read(job.samples)
    fire: Any = environment.events.request.fire
    latency_ms = (taken.done_ns - taken.intended_ns) / 1e6
    for row, outcome in enumerate(taken.outcome):
        request = job.load.requests[taken.kind[row]]
        fire(
            request_type=request.method,
            name=request.name,
            response_time=max(0.0, float(latency_ms[row])),
            response_length=int(taken.bytes[row]),
            exception=None if outcome == COMPLETED else RuntimeError(f"outcome {outcome}"),
            context={},
        )


def _carry_out(job: Job, control: Control) -> dict[str, Any]:
    """Let a fresh Locust environment with one user run the window."""
    environment = Environment(user_classes=[USERS[job.load.model]])
    window = Window(job, control)
    environment.window = window  # type: ignore[attr-defined]  # ours, for our user
    runner = environment.create_local_runner()
    try:
        runner.start(1, spawn_rate=1)
        if runner.spawning_greenlet is not None:
            runner.spawning_greenlet.join()
        runner.user_greenlets.join()
    finally:
        runner.quit()
    locust_requests = environment.stats.total.num_requests
    return {**window.result, "locust_requests": locust_requests}


def _raise_priority() -> int:
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    return os.getpriority(os.PRIO_PROCESS, 0)


def main() -> None:
    """Serve jobs until the harness closes the line. Arguments: descriptor of the line, pid of the harness, cores."""
    descriptor, parent, cores = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the harness
    if os.getppid() != parent:
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the harness decides
    os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    logging.getLogger("locust").setLevel(logging.WARNING)
    control = Control(descriptor)
    control.tell(event="ready", priority=_raise_priority())
    while line := control.read():
        control.tell(**_carry_out(job_from(line), control))


if __name__ == "__main__":
    main()
