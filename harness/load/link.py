"""One TCP connection to the target on an event loop: opens again by itself when it ends, writes, reads, says when it breaks.

What the bytes mean is the matter of its subclasses. It works by callbacks of the loop instead of a greenlet, which saves
two switches a request. It never retries.
"""

from __future__ import annotations

import errno
import os
import time
from _socket import socket  # the kernel's socket itself: gevent's would wait a second time for what the loop waits for
from abc import ABC, abstractmethod
from collections.abc import Callable
from socket import AF_INET, IPPROTO_IP, IPPROTO_TCP, SO_ERROR, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY
from typing import Protocol

from harness.load.answer import NoAnswerError
from harness.load.engine import READABLE, WRITABLE, Engine, Watcher
from harness.load.wire import LOOPBACK

FIRST_WAIT_S, LONGEST_WAIT_S = 0.01, 0.32
"""Waits before a connection that broke without one answer is opened again, doubling: a dead target must not cause a
storm that would keep the generator's own core busy."""

FROM_EACH = 10_000
"""Connections from one source address: about 28,000 local ports are the usual most. More come from 127.0.0.2 and on."""

_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen by connect, which knows the other end; not in Python's socket


class Listener(Protocol):
    """Is told what happens on a link."""

    def answered(self, link: Link, at_ns: int) -> None:
        """The whole answer to the request in flight had come at `at_ns`; `link.answer` holds it."""

    def broken(self, link: Link) -> None:
        """The request in flight, if any, will have no answer; or the link broke while it had none."""

    def idle(self, link: Link) -> None:
        """The link can take a request."""

    def read(self, at_ns: int) -> None:
        """What a link had at `at_ns` is dealt with; called before the loop turns to the next link that is ready."""


class Answer(Protocol):
    """What came back on a link."""

    status: int
    size: int
    excerpt: bytes


class Link(ABC):
    """A connection that is opened again by itself when it ends.

    `request` is the index of the request in flight, -1 for none. `opened` counts how often it was opened and not refused,
    the time that may still be going on included: over loopback the kernel hands a connection to the server before the
    client looks. `broke` counts how often it ended without the target having announced it; `fault` says why the last
    time. `number` tells links apart in the samples and chooses the source address.
    """

    answer: Answer

    def __init__(self, engine: Engine, port: int, number: int, listener: Listener) -> None:
        """Nothing is opened yet."""
        self.number = number
        self.request = -1
        self.opened = self.broke = 0
        self.fault = ""
        self._port = port
        self._loop, self._buffer = engine.loop, engine.buffer
        self._listener = listener
        self._socket: socket
        self._reader: Watcher | None = None
        self._writer: Watcher | None = None
        self._timer: Watcher | None = None
        self._is_open = self._closed = False
        self._unsent = b""
        self._wait_s = FIRST_WAIT_S

    @abstractmethod
    def send(self, index: int, payload: bytes, *, head: bool) -> None:
        """Send request `index`, whole; `head` says that its answer has no body."""

    @abstractmethod
    def _came_up(self) -> None:
        """Go on: the connection is there."""

    @abstractmethod
    def _take(self, data: memoryview, at_ns: int) -> None:
        """Take what came; NoAnswerError when it is nothing that was asked for."""

    def _end(self, _at_ns: int) -> None:
        """Take the end of the connection."""
        raise NoAnswerError("the connection was closed")

    # Opening and closing

    def open(self) -> None:
        """Begin to open; `Listener.idle` follows when it is up, or another attempt after a while."""
        self._connect()

    def _connect(self) -> None:
        self._socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK)
        self._is_open = True
        self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        if self.number >= FROM_EACH:
            self._socket.setsockopt(IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            self._socket.bind((f"127.0.0.{1 + self.number // FROM_EACH}", 0))
        code = self._socket.connect_ex((LOOPBACK, self._port))
        if code in {0, errno.EINPROGRESS}:
            self.opened += 1
        if code == errno.EINPROGRESS:
            self._writer = self._watch(WRITABLE, self._connecting)
        else:
            self._connected(code)

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
        if code:
            self.opened -= 1
        self._connected(code)

    def _connected(self, code: int) -> None:
        if code == 0:
            self._reader = self._watch(READABLE, self._readable)
            self._came_up()
            return
        self.fault = os.strerror(code)
        if self.request >= 0:
            self._break()
        else:
            self._open_again()

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

    # Writing

    def _write(self, data: bytes) -> None:
        """Write all of it, what the kernel does not take now later; the link may break at once."""
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(data):
            self._unsent = data[sent:]
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
            if count == 0:
                self._end(at_ns)
            else:
                self._take(self._buffer[:count], at_ns)
        except NoAnswerError as error:
            self.fault = str(error)
            self._break()
        self._listener.read(at_ns)


def _give_back(watcher: Watcher | None) -> None:
    if watcher is not None:
        watcher.stop()
        watcher.close()
