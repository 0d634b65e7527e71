"""The generator's child process: Locust users that carry out one window each. The only file that imports Locust.

gevent and httptools come in here too and are handed on as an `Engine`. Locust starts and stops the users and counts
requests for a cross-check. Its pacing, its statistics and its run window are never used: schedule, clock and samples
are ours. Importing this file patches the whole process, so the harness itself must never do it.
"""

from __future__ import annotations

import ctypes
import gc
import ipaddress
import json
import logging
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import httptools
import locust
import numpy as np
from gevent import socket
from gevent.event import Event
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import LocalRunner
from locust.stats import StatsEntry, bucket_response_time
from locust.util.load_locustfile import load_locustfile

from harness.load import native, samples, verify_websocket, websocket
from harness.load.connection import Connection
from harness.load.engine import Engine
from harness.load.job import COMPLETED, Job, TargetRefused, connect_limit_s
from harness.load.link import Link
from harness.load.models import ClosedModel, Model, OpenModel
from harness.load.samples import Samples
from harness.load.tap import Tap
from harness.load.verify import verify
from harness.load.wire import LOOPBACK, job_from

PRIORITY = -10
_LEAD_NS = 50_000_000  # between the announcement of the clock's start and the start, so that the harness can watch
_AT_ONCE = 64  # connections being opened at a time: a listen queue of 128, the usual least, never overflows
_SPARE_FILES = 64
_MOST_SPAWNED_PER_S = 100  # Locust warns above it
_BEFORE_KILL_S = 0.02  # when users that still wait are counted, before Locust ends them
_GEVENTS_OWN = gevent.hub.Hub.SYSTEM_ERROR
_WITH_ADDRESS = 2
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Program:
    """The native engine's program and the cores of its threads."""

    path: Path
    cores: tuple[int, ...]


class WindowUser(locust.User):
    """One Locust user that carries out one window; `environment.window` holds its job and takes what came of it."""

    fixed_count = 1

    @locust.task
    def carry_out(self) -> None:
        """Carry out the window once, then stop."""
        window = self.environment.window
        try:
            taken, told = ENGINES[window.job.load.engine](window)
            samples.write(window.job.samples, taken)
            _tell_locust(self.environment, window.job, taken)
            window.outcome = {"event": "driven", "offered": len(taken.outcome), **told}
        except TargetRefused as refused:
            window.outcome = {"event": "refused", "words": str(refused)}
        except OSError as error:
            window.outcome = {"event": "error", "words": error.strerror or str(error), "errno": error.errno}
        raise StopUser


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

    def __init__(self, job: Job, line: Line, program: Program) -> None:
        """Expect the worst until the user says otherwise."""
        self.job, self.line, self.program = job, line, program
        self.outcome: dict[str, Any] = {"event": "error", "words": "the user ended without a result", "errno": None}


def _engine() -> Engine:
    return Engine(
        loop=gevent.get_hub().loop,
        parser=httptools.HttpResponseParser,
        malformed=(httptools.HttpParserError, httptools.HttpParserUpgrade),
        callback_fault=httptools.HttpParserCallbackError,
    )


def _on_the_loop(window: Window) -> tuple[Samples, dict[str, Any]]:
    """Send in this process, by callbacks of gevent's loop."""
    job, engine = window.job, _engine()
    _allow_files(job.load.connections + _SPARE_FILES)
    verify(job, engine)
    ended = Event()
    model = MODELS[job.load.model](engine, job, Connection, ended.set)
    try:
        _connect(model)
        end_ns = _run(model, ended, window.line)
    finally:
        model.close()
    taken = model.rows.samples(model.t0_ns, model.t1_ns)
    return taken, _driven(model, taken, end_ns)


def _by_the_program(window: Window) -> tuple[Samples, dict[str, Any]]:
    """Have the native engine send, and wait for it."""
    job = window.job
    _allow_files(job.load.connections + _SPARE_FILES)
    verify(job, _engine())

    def started(pid: int, start_ns: int, t0_ns: int, t1_ns: int) -> None:
        window.line.tell(event="started", start_ns=start_ns, t0_ns=t0_ns, t1_ns=t1_ns, pid=pid)

    ran = native.run(window.program.path, window.program.cores, job, started)
    verified = len(job.load.requests)
    wire = {name: ran.told[name] + verified for name in ("sent_total", "answered_total", "connects")}
    return ran.samples, {
        "start_ns": ran.start_ns,
        "t0_ns": ran.t0_ns,
        "t1_ns": ran.t1_ns,
        "end_ns": ran.told["end_ns"],
        "dispatched": ran.told["dispatched"],
        "reconnects": ran.told["reconnects"],
        "wrong_bodies": ran.told["wrong_answers"],
        **wire,
    }


def _by_websocket(window: Window) -> tuple[Samples, dict[str, Any]]:
    """Hold connections open and send messages on some of them, in this process."""
    job, engine, room, ended = window.job, _engine(), websocket.Room(), Event()
    _allow_files(job.load.open_connections + _SPARE_FILES)
    verify_websocket.verify(job)
    links: list[websocket.WebSocketLink] = []

    def link(engine: Engine, job: Job, number: int, model: Model) -> websocket.WebSocketLink:
        links.append(websocket.WebSocketLink(engine, job, number, model, room))
        return links[-1]

    model = MODELS[job.load.model](engine, job, link, ended.set)
    at_rest = websocket.Held(engine.loop)
    numbers = range(job.load.connections, job.load.open_connections)
    held = [websocket.HeldLink(engine, job, number, at_rest, room) for number in numbers]
    try:
        _bring_up(held, lambda: len(at_rest.up), "idle connections")
        _connect(model)
        end_ns = _run(model, ended, window.line)
    finally:
        model.close()
        at_rest.close()
        for one in held:
            one.close()
    taken = model.rows.samples(model.t0_ns, model.t1_ns)
    both = (*links, *held)
    return taken, {
        **_driven(model, taken, end_ns),
        # Of a WebSocket the server's HTTP side sees the handshake alone, and one more of the verification.
        "sent_total": sum(one.handshakes for one in both) + 1,
        "answered_total": sum(one.accepted for one in both) + 1,
        "connects": sum(one.opened for one in both) + 1,
        "reconnects": sum(one.broke for one in both),
    }


MODELS: dict[str, type[Model]] = {"open": OpenModel, "closed": ClosedModel}
ENGINES: dict[str, Callable[[Window], tuple[Samples, dict[str, Any]]]] = {
    "http": _on_the_loop,
    "native": _by_the_program,
    "websocket": _by_websocket,
}
"""Every engine that our own user carries out: from a window to its samples and the other numbers of `Driven`.

TargetRefused when the target does not take the load, OSError where the machine does not play along. A locustfile is no
entry: it brings users of its own.
"""


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
        "dispatched": int((taken.woken_ns > 0).sum()),
        "sent_total": model.sent_total + verified,
        "answered_total": model.answered_total + verified,
        "connects": sum(connection.opened for connection in model.connections) + verified,
        "reconnects": sum(connection.broke for connection in model.connections),
        "wrong_bodies": model.wrong_bodies,
    }


def _connect(model: Model) -> None:
    """Open every connection and wait until all are up."""
    _bring_up(model.connections, lambda: len(model.free), "connections")


def _bring_up(links: Sequence[Link], count_up: Callable[[], int], what: str) -> None:
    """Open links, some at a time, until `count_up` says that all are up; TargetRefused when it takes too long."""
    wanted, opened = len(links), 0
    limit_s = connect_limit_s(wanted)
    end = time.monotonic() + limit_s
    while (up := count_up()) < wanted:
        if time.monotonic() > end:
            why = next((f" ({link.fault})" for link in reversed(links) if link.fault), "")
            raise TargetRefused(f"only {up} of {wanted} {what} came up within {limit_s:.0f} s{why}")
        while opened < min(wanted, up + _AT_ONCE):
            links[opened].open()
            opened += 1
        gevent.sleep(0.001)


def _allow_files(wanted: int) -> None:
    """Raise the limit of open files if `wanted` more need it; OSError where the system does not let us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = sum(1 for _ in Path("/proc/self/fd").iterdir())
    if soft != resource.RLIM_INFINITY and soft < held + wanted:
        if hard != resource.RLIM_INFINITY and hard < held + wanted:
            raise OSError(f"{wanted} connections and files are more than `ulimit -n` allows ({hard})")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _tell_locust(environment: Environment, job: Job, taken: Samples) -> None:
    """Merge the measured requests into Locust's statistics after the window, an entry a kind: a cross-check of counts.

    Firing its event for each would take a second for what the native engine sends in five.
    """
    latency_ms = np.maximum(0.0, (taken.done_ns - taken.intended_ns) / 1e6)
    for kind, request in enumerate(job.load.requests):
        of_kind = taken.kind == kind
        if not of_kind.any():
            continue
        entry = StatsEntry(environment.stats, request.name, request.method)
        entry.num_requests = int(of_kind.sum())
        entry.num_failures = int((taken.outcome[of_kind] != COMPLETED).sum())
        entry.total_response_time = int(latency_ms[of_kind].sum())
        entry.total_content_length = int(taken.bytes[of_kind].sum())
        for whole_ms, count in zip(*np.unique(np.rint(latency_ms[of_kind]), return_counts=True), strict=True):
            entry.response_times[bucket_response_time(whole_ms)] += int(count)
        environment.stats.entries[(request.name, request.method)].extend(entry)
        environment.stats.total.extend(entry)


def _carry_out(job: Job, line: Line, program: Program) -> dict[str, Any]:
    """Let a Locust runner start one user for the window, and stop it."""
    environment = Environment(user_classes=[WindowUser], catch_exceptions=False)
    window = Window(job, line, program)
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


def _read_users(file: Path) -> list[type[locust.User]]:
    """Import a user's locustfile and return its users; ValueError in words where it cannot be used."""
    # Its users may fail as they like: Locust counts that. Only without a file of theirs is a fault on the loop ours.
    gevent.get_hub().SYSTEM_ERROR = _GEVENTS_OWN
    try:
        users, shapes = load_locustfile(str(file))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ValueError(f"{last.filename}:{last.lineno}: {type(error).__name__}: {error}") from error
    if shapes:
        raise ValueError(f"{file} has a LoadTestShape; the study says how many users there are, and for how long")
    if not users:
        raise ValueError(f"{file} has no user class")
    return list(users.values())


def _carry_out_file(users: list[type[locust.User]], job: Job, line: Line) -> dict[str, Any]:
    """Let the users of a locustfile run through one window, as they are."""
    tap = Tap(job.load.timeout_s)
    environment = Environment(
        user_classes=users,
        events=locust.events,
        host=f"http://{LOOPBACK}:{job.port}",
        stop_timeout=job.times.drain_s,
    )
    locust.events.request.add_listener(tap.took)  # type: ignore[no-untyped-call]  # locust's own signature
    runner = environment.create_local_runner()
    try:
        runner.start(job.load.connections, spawn_rate=min(job.load.connections, _MOST_SPAWNED_PER_S))
        if runner.spawning_greenlet is not None:
            runner.spawning_greenlet.join()
        start_ns = time.monotonic_ns() + _LEAD_NS
        t0_ns = start_ns + int(job.times.warmup_s * 1e9)
        t1_ns = t0_ns + int(job.times.measure_s * 1e9)
        line.tell(event="started", start_ns=start_ns, t0_ns=t0_ns, t1_ns=t1_ns)
        gevent.sleep((t1_ns - time.monotonic_ns()) / 1e9)
        waiting = _stop(runner, job.times.drain_s)
        end_ns = time.monotonic_ns()
        counted = environment.stats.total.num_requests
    except OSError as error:
        return {"event": "error", "words": error.strerror or str(error), "errno": error.errno}
    finally:
        runner.quit()
        locust.events.request.remove_listener(tap.took)  # type: ignore[no-untyped-call]  # the same
    taken = tap.samples(t0_ns, t1_ns, waiting)
    samples.write(job.samples, taken)
    return {
        "event": "driven",
        "start_ns": start_ns,
        "t0_ns": t0_ns,
        "t1_ns": t1_ns,
        "end_ns": end_ns,
        "offered": len(taken.outcome),
        "dispatched": len(taken.outcome),
        "sent_total": tap.reported + waiting,
        "answered_total": tap.answered,
        "connects": 0,
        "reconnects": 0,
        "locust_requests": counted,
    }


def _stop(runner: LocalRunner, drain_s: float) -> int:
    """Let the users end what they are in and return how many had not when the drain was over."""
    stopping = gevent.spawn(runner.stop)
    stopping.join(max(0.0, drain_s - _BEFORE_KILL_S))
    waiting = int(runner.user_count)
    stopping.join()
    return waiting


def _raise_priority() -> int:
    """Ask for a better turn at our core and return what we have."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    return os.getpriority(os.PRIO_PROCESS, 0)


def _refuse_other_addresses(event: str, arguments: tuple[Any, ...]) -> None:
    """Let nothing in this process connect or send elsewhere than to this host's loopback: an audit hook of Python."""
    if event not in {"socket.connect", "socket.sendto", "socket.sendmsg"} or len(arguments) < _WITH_ADDRESS:
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_loopback(str(address[0])):
        raise PermissionError(f"load goes to loopback addresses only, never to {address[0]}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    """Serve jobs until the harness closes the line.

    Arguments: descriptor of the line, pid of the harness, cores, and the paths of the native program and of a locustfile,
    each empty where there is none.
    """
    descriptor, parent, cores = int(sys.argv[1]), int(sys.argv[2]), tuple(map(int, sys.argv[3].split(",")))
    program, file = Program(Path(sys.argv[4]), cores), sys.argv[5]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the harness decides
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # never outlive the harness
    if os.getppid() != parent:
        sys.exit("the harness ended before its generator had started")
    os.sched_setaffinity(0, cores)
    sys.addaudithook(_refuse_other_addresses)
    logging.getLogger("locust").setLevel(logging.WARNING)
    # Without this the loop would print an error of ours in a callback and go on, and the window would look like the
    # target's fault. Now it ends this process, and the harness shows the traceback.
    gevent.get_hub().SYSTEM_ERROR = (Exception,)
    line = Line(descriptor)
    try:
        users = _read_users(Path(file)) if file else []
    except ValueError as error:
        line.tell(event="unusable", words=str(error))
        return
    line.tell(event="ready", priority=_raise_priority())
    samples.load_parquet()  # now rather than after the first window, while the harness builds the first variant
    while text := line.read():
        job = job_from(text)
        line.tell(**_carry_out_file(users, job, line) if users else _carry_out(job, line, program))


if __name__ == "__main__":
    main()
