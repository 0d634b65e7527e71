"""The open and the closed model: who sends when, and what becomes of every request. Runs on a loop, in the child.

Open: the schedule alone decides when a request is due. A due request takes the connection that is idle longest, as one
of many independent clients would; where none is idle it waits in a bounded queue with its intended time. Closed: every
connection sends its next request when it has its answer. Each request ends in exactly one outcome, and none is sent
twice. The time-out runs from the intended time: a request that is still queued then is never sent, one in flight is
given up together with its connection, whose answer would come too late.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from harness.load import schedule
from harness.load.engine import Engine
from harness.load.job import COMPLETED, DROPPED, FAILED, TIMED_OUT, Job
from harness.load.link import Link
from harness.load.rows import PENDING, Rows
from harness.load.timer import TimerFd
from harness.load.wire import payload

QUEUE_LIMIT = 10_000
"""Requests that may wait for a connection. The time-out empties the queue long before at most rates (300 a second and
2 s make 600); what comes on top of it is dropped, so a stuck target costs a bounded amount of memory and sweeping."""

NEVER = 2**63 - 1
"""A time (ns) that does not come."""

_SWEEP_S = 0.01  # an answer after the time-out is never taken, however late the sweep is


class Model(ABC):
    """What both models share: connections, time-outs, counting. It is the listener of its connections."""

    def __init__(
        self, engine: Engine, job: Job, link: Callable[[Engine, Job, int, Model], Link], ended: Callable[[], None]
    ) -> None:
        """Prepare the bytes of each kind; `ended` is called when the drain is over. Nothing is opened yet."""
        self.job, self.rows = job, Rows()
        self.start_ns = self.t0_ns = self.t1_ns = 0
        self.sent_total = self.answered_total = 0
        self.wrong_bodies = 0
        self.free: deque[Link] = deque()
        self.connections = [link(engine, job, number, self) for number in range(job.load.connections)]
        self._running = self._begun = False
        self._ended = ended
        self._payloads = [payload(request, job) for request in job.load.requests]
        self._heads = [request.method == "HEAD" for request in job.load.requests]
        self._expected = [(request.expect_status, request.expect_contains) for request in job.load.requests]
        self._timeout_ns = int(job.load.timeout_s * 1e9)
        self._sweeper = engine.loop.timer(_SWEEP_S, _SWEEP_S)
        self._timer = TimerFd(engine.loop, self._due)

    def begin(self, start_ns: int) -> None:
        """Start the clock: warm-up at `start_ns`, measurement after it."""
        times = self.job.times
        self.start_ns = start_ns
        self.t0_ns = start_ns + int(times.warmup_s * 1e9)
        self.t1_ns = self.t0_ns + int(times.measure_s * 1e9)
        first_ns = self._prepare()
        self._running = True
        self._timer.set(first_ns)
        self._sweeper.start(self._sweep)

    def close(self) -> None:
        """Stop everything and close every connection."""
        self._running = False
        self._timer.close()
        self._sweeper.stop()
        self._sweeper.close()
        for connection in self.connections:
            connection.close()

    def answered(self, connection: Link, at_ns: int) -> None:
        """Note an answer: timed out if it came too late, completed if it is what the study expects, else failed."""
        index, rows, answer = connection.request, self.rows, connection.answer
        self.answered_total += 1
        if at_ns - rows.intended[index] > self._timeout_ns:
            rows.outcome[index] = TIMED_OUT
            return
        rows.done[index], rows.status[index], rows.size[index] = at_ns, answer.status, answer.size
        status, contains = self._expected[rows.kind[index]]
        rows.outcome[index] = COMPLETED if answer.status == status else FAILED
        if contains and answer.status == status and contains not in answer.excerpt:
            rows.outcome[index] = FAILED
            self.wrong_bodies += 1

    def broken(self, connection: Link) -> None:
        """Note that the request in flight will have no answer."""
        if connection.request >= 0:
            self.rows.outcome[connection.request] = FAILED
        elif connection in self.free:
            self.free.remove(connection)

    @abstractmethod
    def idle(self, connection: Link) -> None:
        """Use the connection again."""

    def read(self, at_ns: int) -> None:
        """Send what became due while an answer was dealt with.

        The loop would deal with every other link that is ready first, and a broadcast makes all of them ready at once.
        """
        if self._running and self._next_ns() <= at_ns:
            self._due()

    @abstractmethod
    def _next_ns(self) -> int:
        """Return when something is due next; `NEVER` where nothing is."""

    @abstractmethod
    def _prepare(self) -> int:
        """Get ready and return when `_due` is to be called first."""

    @abstractmethod
    def _due(self) -> None:
        """Send what is due and set the timer for what comes next."""

    @abstractmethod
    def _sweep(self) -> None:
        """Time out what is too old, and end when the drain is over."""

    def _send(self, connection: Link, index: int, now_ns: int) -> None:
        rows, kind = self.rows, self.rows.kind[index]
        rows.sent[index], rows.connection[index] = now_ns, connection.number
        self.sent_total += 1
        connection.send(index, self._payloads[kind], head=self._heads[kind])

    def _give_up(self, index: int) -> None:
        self.rows.outcome[index] = TIMED_OUT
        number = self.rows.connection[index]
        if number >= 0 and self.connections[number].request == index:
            self.connections[number].give_up()

    def _end_if_drained(self, now_ns: int, *, waiting: bool) -> None:
        if now_ns < self.t1_ns:
            return
        left = waiting or any(connection.request >= 0 for connection in self.connections)
        if not left or now_ns >= self.t1_ns + int(self.job.times.drain_s * 1e9):
            self._running = False
            self._sweeper.stop()
            self._ended()


class OpenModel(Model):
    """Requests are due when the schedule says, whatever the service does."""

    def _prepare(self) -> int:
        self.rows.plan(schedule.arrivals(self.job.load, self.job.times, self.job.seed), self.start_ns)
        self._next = 0  # the first request that is not due yet
        self._oldest = 0  # the first request that the sweep has not seen past its time-out
        self._queue: deque[int] = deque()
        return self.rows.intended[0] if self.rows.intended else self.t1_ns

    def _due(self) -> None:
        rows, intended, count = self.rows, self.rows.intended, len(self.rows.intended)
        while self._next < count:
            now = time.monotonic_ns()
            index = self._next
            if intended[index] > now:
                self._timer.set(intended[index])
                return
            self._next += 1
            rows.woken[index] = now
            if self.free:
                self._send(self.free.popleft(), index, now)
            elif len(self._queue) < QUEUE_LIMIT:
                self._queue.append(index)
            else:
                rows.outcome[index] = DROPPED

    def _next_ns(self) -> int:
        intended = self.rows.intended
        return intended[self._next] if self._next < len(intended) else NEVER

    def idle(self, connection: Link) -> None:
        """Take the request that waits longest, if any is still in time."""
        if self._running and self._queue:
            now, rows = time.monotonic_ns(), self.rows
            while self._queue:
                index = self._queue.popleft()
                if now - rows.intended[index] <= self._timeout_ns:
                    self._send(connection, index, now)
                    return
                rows.outcome[index] = TIMED_OUT
        self.free.append(connection)

    def _sweep(self) -> None:
        """Time out what is too old; intended times rise, so the sweep never looks at a request twice."""
        now, rows, queue = time.monotonic_ns(), self.rows, self._queue
        while self._oldest < self._next and now - rows.intended[self._oldest] > self._timeout_ns:
            if rows.outcome[self._oldest] == PENDING:
                self._give_up(self._oldest)
            self._oldest += 1
        while queue and rows.outcome[queue[0]] != PENDING:
            queue.popleft()
        self._end_if_drained(now, waiting=bool(queue) or self._next < len(rows.intended))


class ClosedModel(Model):
    """Every connection sends its next request when it has its answer and has thought. Nothing queues or is dropped."""

    def _prepare(self) -> int:
        load, seed = self.job.load, self.job.seed
        numbers = range(load.connections)
        self._kinds = [schedule.closed_kinds(load, seed, number).tolist() for number in numbers]
        self._pauses: list[list[int]] = []
        if load.think_s:
            self._pauses = [schedule.closed_thinking_ns(load, seed, number).tolist() for number in numbers]
        self._turns = [0] * load.connections
        self._thinking: list[tuple[int, int]] = []  # (when it has thought, connection), a heap
        self._thinks_until = [0] * load.connections
        return self.start_ns

    def _due(self) -> None:
        if not self._begun:
            self._begun = True
            waiting, self.free = self.free, deque()
            for connection in waiting:
                self.idle(connection)
        while self._thinking:
            now, (due_ns, number) = time.monotonic_ns(), self._thinking[0]
            if due_ns > now:
                self._timer.set(due_ns)
                return
            heappop(self._thinking)
            if self._thinks_until[number] == due_ns:
                self._take_turn(self.connections[number], due_ns, now)

    def _next_ns(self) -> int:
        return self._thinking[0][0] if self._thinking else NEVER

    def idle(self, connection: Link) -> None:
        """Send the next request of this connection at once, or let it think first, until the window is over."""
        now, number = time.monotonic_ns(), connection.number
        if not self._running or not self._begun:
            self.free.append(connection)
        elif self._pauses:
            due_ns = now + self._pauses[number][self._turns[number] % schedule.CLOSED_CYCLE]
            self._thinks_until[number] = due_ns
            heappush(self._thinking, (due_ns, number))
            self._timer.set(self._thinking[0][0])
        else:
            self._take_turn(connection, now, now)

    def broken(self, connection: Link) -> None:
        """Note it; a connection that broke while it thought begins to think anew when it is back."""
        super().broken(connection)
        if self._begun:
            self._thinks_until[connection.number] = 0

    def _take_turn(self, connection: Link, due_ns: int, now_ns: int) -> None:
        if now_ns >= self.t1_ns or due_ns >= self.t1_ns:
            self.free.append(connection)
            return
        number = connection.number
        turn = self._turns[number]
        self._turns[number] = turn + 1
        index = self.rows.add(self._kinds[number][turn % schedule.CLOSED_CYCLE], due_ns, now_ns)
        self._send(connection, index, now_ns)

    def _sweep(self) -> None:
        now, intended = time.monotonic_ns(), self.rows.intended
        for connection in self.connections:
            if connection.request >= 0 and now - intended[connection.request] > self._timeout_ns:
                self._give_up(connection.request)
        self._end_if_drained(now, waiting=False)
