"""One HTTP/1.1 connection: sends prepared bytes and reads whole answers.

It never follows a redirect: an answer is an answer.
"""

from __future__ import annotations

from harness.load.answer import AnswerReader, NoAnswerError
from harness.load.engine import Engine
from harness.load.job import Job
from harness.load.link import Link, Listener

KEPT_BYTES = 65536
"""How much of a body is looked at where the study expects something of it."""


class Connection(Link):
    """A link that speaks HTTP. Without `keep_alive` it is opened for each request, by `send`, and closed after the answer."""

    answer: AnswerReader

    def __init__(self, engine: Engine, job: Job, number: int, listener: Listener) -> None:
        """Nothing is opened yet."""
        super().__init__(engine, job.port, number, listener)
        self.answer = AnswerReader(engine, KEPT_BYTES if _looks_at_bodies(job) else 0)
        self._keep_alive = job.load.keep_alive
        self._first: tuple[bytes, bool] | None = None

    def open(self) -> None:
        """Begin to open; a connection for one request alone is opened with it."""
        if self._keep_alive:
            self._connect()
        else:
            self._listener.idle(self)

    def send(self, index: int, payload: bytes, *, head: bool) -> None:
        """Send a whole request; `head` says that its answer has no body."""
        self.request = index
        if self._keep_alive:
            self._ask(payload, head=head)
        else:
            self._first = payload, head
            self._connect()

    def _came_up(self) -> None:
        self.answer.restart()
        if self._first is None:
            self._listener.idle(self)
            return
        (payload, head), self._first = self._first, None
        self._ask(payload, head=head)

    def _release(self) -> None:
        super()._release()
        self._first = None

    def _ask(self, payload: bytes, *, head: bool) -> None:
        self.answer.await_answer(head=head)
        self._write(payload)

    def _take(self, data: memoryview, at_ns: int) -> None:
        if self.request < 0:
            raise NoAnswerError("bytes that nobody asked for")
        if self.answer.feed(data):
            self._finish(at_ns)

    def _end(self, at_ns: int) -> None:
        if self.request < 0 or not self.answer.ended():
            raise NoAnswerError("the connection was closed")
        self._finish(at_ns)

    def _finish(self, at_ns: int) -> None:
        self._wait_s = 0.0
        keep = self.answer.keep and not self._unsent and self._keep_alive
        self._listener.answered(self, at_ns)
        self.request = -1
        if keep:
            self._listener.idle(self)
        else:
            self._open_again()


def _looks_at_bodies(job: Job) -> bool:
    return any(request.expect_contains for request in job.load.requests)
