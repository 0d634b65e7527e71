"""One HTTP/1.1 connection on an event loop: sends prepared bytes, reads whole answers, says when it breaks.

It works by callbacks of the loop instead of a greenlet, which saves two switches a request. It never retries and never
follows a redirect: an answer is an answer.
"""

from __future__ import annotations

import errno
import time
from _socket import socket  # the kernel's socket itself: gevent's would wait a second time for what the loop waits for
from collections.abc import Callable
from socket import AF_INET, IPPROTO_TCP, SO_ERROR, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY
from typing import Protocol

from harness.load.answer import AnswerReader, NoAnswerError
from harness.load.engine import READABLE, WRITABLE, Engine, Watcher
from harness.load.job import Job
from harness.load.wire import LOOPBACK

FIRST_WAIT_S, LONGEST_WAIT_S = 0.01, 0.32
"""Waits before a connection that broke without one answer is opened again, doubling: a dead target must not cause a
storm that would keep the generator's own core busy."""


KEPT_BYTES = 65536
"""How much of a body is looked at where the study expects something of it."""


class Listener(Protocol):
    """Is told what happens on a connection."""

    def answered(self, connection: Connection, at_ns: int) -> None:
        """The whole answer to the request in flight had come at `at_ns`; `connection.answer` holds it."""

    def broken(self, connection: Connection) -> None:
        """The connection broke; the request in flight, if any, has no answer."""

    def idle(self, connection: Connection) -> None:
        """The connection can take a request."""


class Connection:
    """A connection that is opened again by itself when it ends.

    `request` is the index of the request in flight, -1 for none. `opened` counts how often it came up, `broke` how
    often it ended without the target having announced it. Without `keep_alive` it is opened for each request, by
    `send`, and closed after the answer.
    """

    def __init__(self, engine: Engine, job: Job, number: int, listener: Listener) -> None:
        """`number` tells connections apart in the samples. Nothing is opened yet."""
        self.number = number
        self.request = -1
        self.opened = self.broke = 0
        self.answer = AnswerReader(engine, KEPT_BYTES if _looks_at_bodies(job) else 0)
        self._port, self._keep_alive = job.port, job.load.keep_alive
        self._first: tuple[bytes, bool] | None = None
        self._loop, self._buffer = engine.loop, engine.buffer
        self._listener = listener
        self._socket: socket
        self._reader: Watcher | None = None
        self._writer: Watcher | None = None
        self._timer: Watcher | None = None
        self._is_open = self._closed = False
        self._unsent = b""
        self._wait_s = FIRST_WAIT_S

    # Opening and closing

    def open(self) -> None:
        """Begin to open; `Listener.idle` follows when it is up, or another attempt after a while."""
        if self._keep_alive:
            self._connect()
        else:
            self._listener.idle(self)

    def _connect(self) -> None:
        self._socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
        self._is_open = True
        self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        code = self._socket.connect_ex((LOOPBACK, self._port))
        if code == 0:
            self._up()
        elif code == errno.EINPROGRESS:
            self._writer = self._watch(WRITABLE, self._connecting)
        else:
            self._failed()

    def close(self) -> None:
        """Close for good."""
        self._closed = True
        self._release()

    def give_up(self) -> None:
        """Close and open again, because nobody waits any more for the answer that is due."""
        self.broke += 1
        self.request = -1
        self._open_again()

    def _connecting(self) -> None:
        code = self._socket.getsockopt(SOL_SOCKET, SO_ERROR)
        self._stop_writing()
        if code == 0:
            self._up()
        else:
            self._failed()

    def _failed(self) -> None:
        if self.request >= 0:
            self._break()
        else:
            self._open_again()

    def _up(self) -> None:
        self.opened += 1
        self.answer.restart()
        self._reader = self._watch(READABLE, self._readable)
        if self._first is None:
            self._listener.idle(self)
            return
        (payload, head), self._first = self._first, None
        self._write(payload, head=head)

    def _break(self) -> None:
        self.broke += 1
        self._release()
        self._listener.broken(self)
        self.request = -1
        self._open_again()

    def _open_again(self) -> None:
        """Open at once if an answer came since the last time, else after a wait that doubles each time."""
        self._release()
        if self._closed:
            return
        wait_s, self._wait_s = self._wait_s, min(max(2 * self._wait_s, FIRST_WAIT_S), LONGEST_WAIT_S)
        if wait_s == 0:
            self.open()
        else:
            self._timer = self._loop.timer(wait_s)
            self._timer.start(self._waited)

    def _waited(self) -> None:
        self._release()
        self.open()

    def _watch(self, events: int, callback: Callable[[], None]) -> Watcher:
        watcher = self._loop.io(self._socket.fileno(), events)
        watcher.start(callback)
        return watcher

    def _stop_writing(self) -> None:
        _give_back(self._writer)
        self._writer = None

    def _release(self) -> None:
        """Stop the watchers before the descriptor goes: another socket may get its number at once."""
        for watcher in (self._reader, self._writer, self._timer):
            _give_back(watcher)
        self._reader = self._writer = self._timer = None
        if self._is_open:
            self._socket.close()
            self._is_open = False
        self._unsent = b""
        self._first = None

    # Sending

    def send(self, index: int, payload: bytes, *, head: bool) -> None:
        """Send a whole request; `head` says that its answer has no body."""
        self.request = index
        if self._keep_alive:
            self._write(payload, head=head)
        else:
            self._first = payload, head
            self._connect()

    def _write(self, payload: bytes, *, head: bool) -> None:
        self.answer.await_answer(head=head)
        try:
            sent = self._socket.send(payload)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(payload):
            self._unsent = payload[sent:]
            self._writer = self._watch(WRITABLE, self._writable)

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._stop_writing()

    # Reading

    def _readable(self) -> None:
        try:
            count = self._socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        at_ns = time.monotonic_ns()  # before parsing, which is our time and not the target's
        try:
            if self.request < 0:  # closed while idle, or bytes that nobody asked for
                self._break()
            elif count == 0:
                self._end(at_ns)
            elif self.answer.feed(self._buffer[:count]):
                self._finish(at_ns)
        except NoAnswerError:
            self._break()

    def _end(self, at_ns: int) -> None:
        if self.answer.ended():
            self._finish(at_ns)
        else:
            self._break()

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


def _give_back(watcher: Watcher | None) -> None:
    if watcher is not None:
        watcher.stop()
        watcher.close()
