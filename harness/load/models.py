"""The open and the closed model: who sends when, and what becomes of every request. Runs on gevent's loop, in the child.

Open: the schedule alone decides when a request is due. A due request takes the connection that is idle longest, as one
of many independent clients would; where none is idle it waits in a bounded queue with its intended time. Closed: every
connection sends its next request when it has its answer. Each request ends in exactly one outcome.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gevent.event import Event

from harness.load import schedule
from harness.load.connection import Connection
from harness.load.job import COMPLETED, DROPPED, FAILED, TIMED_OUT, UNFINISHED, Job
from harness.load.samples import Samples
from harness.load.timer import TimerFd
from harness.load.wire import request_bytes

_PENDING = -1
_SWEEP_S = 0.01
_QUEUE_SPARE = 1000


@dataclass
class Rows:
    """What is known of each request so far, a list a column, an element a request."""

    intended: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    woken: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    outcome: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    connection: list[int] = field(default_factory=list)

    def samples(self, t0_ns: int, t1_ns: int) -> Samples:
        """Return the requests whose intended time lies in [t0, t1); what has no outcome yet is unfinished."""
        intended = np.array(self.intended, dtype=np.int64)
        inside = (intended >= t0_ns) & (intended < t1_ns)
        outcome = np.array(self.outcome, dtype=np.int8)
        outcome[outcome == _PENDING] = UNFINISHED
        return Samples(
            intended_ns=intended[inside],
            woken_ns=np.array(self.woken, dtype=np.int64)[inside],
            sent_ns=np.array(self.sent, dtype=np.int64)[inside],
            done_ns=np.array(self.done, dtype=np.int64)[inside],
            outcome=outcome[inside],
            status=np.array(self.status, dtype=np.int16)[inside],
            bytes=np.minimum(np.array(self.size, dtype=np.int64), 2**31 - 1).astype(np.int32)[inside],
            kind=np.array(self.kind, dtype=np.int16)[inside],
            connection=np.array(self.connection, dtype=np.int32)[inside],
        )


class Model:
    """What both models share: connections, time-outs, counting."""

    def __init__(self, loop: Any, job: Job) -> None:  # noqa: ANN401 - gevent has no types
        """Prepare the bytes of each kind; nothing is opened yet."""
        self.job, self.rows, self.ended = job, Rows(), Event()
        self.start_ns = self.t0_ns = self.t1_ns = 0
        self.sent_total = self.answered_total = 0
        self.running = False
        self._loop = loop
        self._payloads = [request_bytes(request, job.port) for request in job.load.requests]
        self._heads = [request.method == "HEAD" for request in job.load.requests]
        self._expected = [request.expect_status for request in job.load.requests]
        self._timeout_ns = int(job.load.timeout_s * 1e9)
        self.connections = [Connection(loop, job.port, number, self) for number in range(job.load.connections)]
        self.free: deque[Connection] = deque()
        self._sweeper = loop.timer(_SWEEP_S, _SWEEP_S)

    def begin(self, start_ns: int) -> None:
        """Start the clock: warm-up at `start_ns`, measurement after it."""
        times = self.job.times
        self.start_ns = start_ns
        self.t0_ns = start_ns + int(times.warmup_s * 1e9)
        self.t1_ns = self.t0_ns + int(times.measure_s * 1e9)
        self._prepare()
        self.running = True
        self._sweeper.start(self._sweep)

    def close(self) -> None:
        """Stop everything and close every connection."""
        self.running = False
        self._sweeper.stop()
        self._sweeper.close()
        for connection in self.connections:
            connection.close()

    # Listener -----------------------------------------------------------------------------------------------------

    def answered(self, connection: Connection, status: int, size: int, at_ns: int) -> None:
        """Note an answer: completed if the status is the expected one, failed otherwise."""
        index, rows = connection.request, self.rows
        self.answered_total += 1
        rows.done[index], rows.status[index], rows.size[index] = at_ns, status, size
        rows.outcome[index] = COMPLETED if status == self._expected[rows.kind[index]] else FAILED

    def broken(self, connection: Connection) -> None:
        """Note that the request in flight will have no answer."""
        if connection.request >= 0:
            self.rows.outcome[connection.request] = FAILED
        if connection in self.free:
            self.free.remove(connection)

    def idle(self, connection: Connection) -> None:
        """Use the connection again."""
        raise NotImplementedError

    def _prepare(self) -> None:
        raise NotImplementedError

    def _sweep(self) -> None:
        raise NotImplementedError

    def _send(self, connection: Connection, index: int, now_ns: int) -> None:
        rows, kind = self.rows, self.rows.kind[index]
        rows.sent[index], rows.connection[index] = now_ns, connection.number
        connection.request = index
        self.sent_total += 1
        connection.send(self._payloads[kind], head=self._heads[kind])

    def _give_up(self, index: int) -> None:
        """Time out one request; its connection would answer too late, so it starts anew."""
        self.rows.outcome[index] = TIMED_OUT
        for connection in self.connections:
            if connection.request == index:
                connection.request = -1
                connection.restart()
                return


class OpenModel(Model):
    """Requests are due when the schedule says, whatever the service does."""

    def _prepare(self) -> None:
        plan = schedule.arrivals(self.job.load, self.job.times, self.job.seed)
        count, rows = len(plan.offsets_ns), self.rows
        rows.intended = (plan.offsets_ns + self.start_ns).tolist()
        rows.kind = plan.kinds.tolist()
        rows.woken, rows.sent, rows.done = [0] * count, [0] * count, [0] * count
        rows.outcome, rows.status, rows.size, rows.connection = (
            [_PENDING] * count,
            [0] * count,
            [0] * count,
            [-1] * count,
        )
        self._count, self._next, self._oldest = count, 0, 0
        self._queue: deque[int] = deque()
        # What waits longer than the time-out leaves the queue, so it never holds much more than rate x time-out.
        self._queue_limit = int(2 * (self.job.load.rate or 0) * self.job.load.timeout_s) + _QUEUE_SPARE
        self._timer = TimerFd(self._loop, self._due)
        self._timer.set(rows.intended[0] if count else self.t1_ns)

    def close(self) -> None:
        """Stop the timer too."""
        if self.start_ns:
            self._timer.close()
        super().close()

    def _due(self) -> None:
        rows, intended = self.rows, self.rows.intended
        while self._next < self._count:
            now = time.monotonic_ns()
            index = self._next
            if intended[index] > now:
                self._timer.set(intended[index])
                return
            self._next += 1
            rows.woken[index] = now
            if self.free:
                self._send(self.free.popleft(), index, now)
            elif len(self._queue) < self._queue_limit:
                self._queue.append(index)
            else:
                rows.outcome[index] = DROPPED

    def idle(self, connection: Connection) -> None:
        """Take the request that waits longest, if any."""
        queue, outcome = self._waiting(), self.rows.outcome
        while queue:
            index = queue.popleft()
            if outcome[index] == _PENDING:
                self._send(connection, index, time.monotonic_ns())
                return
        self.free.append(connection)

    def _waiting(self) -> deque[int]:
        return self._queue if self.running else deque()

    def _sweep(self) -> None:
        """Time out what is too old (in order of intended times), and end when nothing is left or the drain is over."""
        now, rows = time.monotonic_ns(), self.rows
        while self._oldest < self._next and rows.intended[self._oldest] + self._timeout_ns <= now:
            if rows.outcome[self._oldest] == _PENDING:
                self._give_up(self._oldest)
            self._oldest += 1
        drained = now >= self.t1_ns and self._next == self._count and self._nothing_pending()
        if drained or now >= self.t1_ns + int(self.job.times.drain_s * 1e9):
            self.ended.set()

    def _nothing_pending(self) -> bool:
        return all(connection.request < 0 for connection in self.connections) and not any(
            self.rows.outcome[index] == _PENDING for index in self._queue
        )


class ClosedModel(Model):
    """Every connection sends its next request as soon as it has its answer."""

    def _prepare(self) -> None:
        load, seed = self.job.load, self.job.seed
        self._kinds = [schedule.closed_kinds(load, seed, number).tolist() for number in range(load.connections)]
        self._turn = [0] * load.connections
        self._timer = TimerFd(self._loop, self._start)
        self._timer.set(self.start_ns)

    def close(self) -> None:
        """Stop the timer too."""
        if self.start_ns:
            self._timer.close()
        super().close()

    def _start(self) -> None:
        waiting, self.free = self.free, deque()
        for connection in waiting:
            self.idle(connection)

    def idle(self, connection: Connection) -> None:
        """Send the next request of this connection, until the window is over."""
        now = time.monotonic_ns()
        if not self.running or now < self.start_ns or now >= self.t1_ns:
            self.free.append(connection)
            return
        turn = self._turn[connection.number]
        self._turn[connection.number] = turn + 1
        self._send(connection, self._new_row(self._kinds[connection.number][turn % schedule.CLOSED_CYCLE], now), now)

    def _new_row(self, kind: int, now_ns: int) -> int:
        rows = self.rows
        rows.intended.append(now_ns)
        rows.woken.append(now_ns)
        rows.kind.append(kind)
        for column, empty in ((rows.sent, 0), (rows.done, 0), (rows.status, 0), (rows.size, 0), (rows.connection, -1)):
            column.append(empty)
        rows.outcome.append(_PENDING)
        return len(rows.intended) - 1

    def _sweep(self) -> None:
        now, intended = time.monotonic_ns(), self.rows.intended
        busy = [connection for connection in self.connections if connection.request >= 0]
        for connection in busy:
            if intended[connection.request] + self._timeout_ns <= now:
                self._give_up(connection.request)
        if now >= self.t1_ns and (not busy or now >= self.t1_ns + int(self.job.times.drain_s * 1e9)):
            self.ended.set()
