"""One HTTP/1.1 connection on gevent's loop: sends prepared bytes, reads whole answers, says when it breaks.

It works by callbacks of the loop instead of a greenlet, which saves two switches a request. It never retries and never
follows a redirect: an answer is an answer. Only the generator's child process imports this file.
"""

from __future__ import annotations

import errno
import socket as sockets
import time
from pathlib import Path
from typing import Any, Protocol

import httptools
from gevent import monkey

from harness.load.wire import LOOPBACK

socket: Any = monkey.get_original("socket", "socket")
"""The operating system's socket: the loop's watchers wait for it, gevent's own wrapper would do so a second time."""

READ, WRITE = 1, 2
BACK_OFF_S = 0.02
"""Wait before opening again a connection that broke without one answer: a dead target must not cause a storm."""


class Listener(Protocol):
    """Is told what happens on a connection."""

    def answered(self, connection: Connection, status: int, size: int, at_ns: int) -> None:
        """The whole answer to the request in flight is there."""

    def broken(self, connection: Connection) -> None:
        """The connection broke; the request in flight, if any, has no answer."""

    def idle(self, connection: Connection) -> None:
        """The connection can take a request."""


class Connection:
    """A connection that is opened again by itself when it ends."""

    def __init__(self, loop: Any, port: int, number: int, listener: Listener) -> None:  # noqa: ANN401 - gevent has no types
        """`number` tells connections apart in the samples."""
        self.number = number
        self.request = -1
        """Index of the request in flight, -1 for none; set by the listener before `send`."""
        self.opened = 0
        self.broke = 0
        self._loop, self._port, self._listener = loop, port, listener
        self._socket: Any = None
        self._reader: Any = None
        self._writer: Any = None
        self._timer: Any = None
        self._closed = False
        self._unsent = b""
        self._answers = 0
        self._keep = True
        self._reset_answer()

    # Opening and closing -----------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to open; `Listener.idle` follows when it is up, or another attempt after a while."""
        self._socket = socket(sockets.AF_INET, sockets.SOCK_STREAM | sockets.SOCK_NONBLOCK)
        self._socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        code = self._socket.connect_ex((LOOPBACK, self._port))
        if code == 0:
            self._up()
        elif code == errno.EINPROGRESS:
            self._writer = self._watch(WRITE, self._connecting)
        else:
            self._reopen_later()

    def close(self) -> None:
        """Close for good."""
        self._closed = True
        self._release()

    def restart(self) -> None:
        """Close and open again, because the answer that is due will never be waited for."""
        self.broke += 1
        self._release()
        self.open()

    def _connecting(self) -> None:
        code = self._socket.getsockopt(sockets.SOL_SOCKET, sockets.SO_ERROR)
        self._stop_writer()
        if code == 0:
            self._up()
        else:
            self._reopen_later()

    def _up(self) -> None:
        self.opened += 1
        self._answers = 0
        self.request = -1
        self._reset_answer()
        self._reader = self._watch(READ, self._readable)
        self._listener.idle(self)

    def _reopen_later(self) -> None:
        self._release()
        self._timer = self._loop.timer(BACK_OFF_S)
        self._timer.start(self._reopen)

    def _reopen(self) -> None:
        self._timer = None
        if not self._closed:
            self.open()

    def _watch(self, events: int, callback: Any) -> Any:  # noqa: ANN401 - gevent has no types
        watcher = self._loop.io(self._socket.fileno(), events)
        watcher.start(callback)
        return watcher

    def _stop_writer(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    def _release(self) -> None:
        """Stop the watchers before the descriptor goes: another socket may get its number at once."""
        self._stop_writer()
        if self._reader is not None:
            self._reader.stop()
            self._reader.close()
            self._reader = None
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._unsent = b""

    def _break(self) -> None:
        self.broke += 1
        answers = self._answers
        self._release()
        self._listener.broken(self)
        self.request = -1
        if self._closed:
            return
        if answers:
            self.open()
        else:
            self._reopen_later()

    # Sending -----------------------------------------------------------------------------------------------------

    def send(self, payload: bytes, *, head: bool) -> None:
        """Send a whole request; `head` says that its answer has no body."""
        self._head = head
        try:
            sent = self._socket.send(payload)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return
        if sent < len(payload):
            self._unsent = payload[sent:]
            self._writer = self._watch(WRITE, self._writable)

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
            self._stop_writer()

    # Reading -----------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = self._socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        if not data:
            self._ended()
            return
        if self.request < 0:
            self._break()  # bytes that nobody asked for: the stream is out of step
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._break()
            return
        if self._complete:
            self._finish(keep=self._keep)

    def _ended(self) -> None:
        """The peer closed: the end of an answer without a length, or a break."""
        if self.request >= 0 and self._in_body and not self._has_length:
            self._finish(keep=False)
        else:
            self._break()

    def _finish(self, *, keep: bool) -> None:
        at_ns = time.monotonic_ns()
        self._answers += 1
        status, size = self._status, self._size
        self._reset_answer(fresh_parser=self._head)
        if keep:
            self._listener.answered(self, status, size, at_ns)
            self.request = -1
            self._listener.idle(self)
            return
        self._release()
        self._listener.answered(self, status, size, at_ns)
        self.request = -1
        self.open()

    def _reset_answer(self, *, fresh_parser: bool = True) -> None:
        if fresh_parser or self._keep is False:
            self._parser = httptools.HttpResponseParser(self)
        self._status = self._size = 0
        self._complete = self._in_body = self._has_length = self._head = False
        self._keep = True

    # Called by httptools.

    def on_header(self, name: bytes, _value: bytes) -> None:
        """Note whether the answer says where it ends."""
        if len(name) in {14, 17} and name.lower() in {b"content-length", b"transfer-encoding"}:
            self._has_length = True

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._status = self._parser.get_status_code()
        self._in_body = True
        if self._head:
            self._keep = self._parser.should_keep_alive()
            self._complete = True

    def on_body(self, data: bytes) -> None:
        """Count the body."""
        self._size += len(data)

    def on_message_complete(self) -> None:
        """Note that the answer is whole."""
        self._keep = self._parser.should_keep_alive()
        self._complete = True


def file_limit() -> int:
    """Raise the limit of open files as far as it goes and return it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(soft, hard)


def open_files() -> int:
    """Return how many descriptors this process holds."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
