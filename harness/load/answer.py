"""Reads the answers that come on one connection, one after the other, to their last byte.

Bodies are counted, not kept, except for the first bytes of a verification. It never decides what an answer is worth.
"""

from __future__ import annotations

from harness.load.engine import Engine

_OK = 200
_LENGTHS = {len(b"content-length"), len(b"transfer-encoding")}


class NoAnswerError(Exception):
    """The bytes are no HTTP/1 answer."""


class AnswerReader:
    """`await_answer`, then `feed` what comes until it is true; then `status`, `size` and `keep` are the answer's."""

    def __init__(self, engine: Engine, keep_bytes: int = 0) -> None:
        """Keep the first `keep_bytes` bytes of each body in `excerpt`."""
        self._engine, self._keep_bytes = engine, keep_bytes
        self.restart()

    def restart(self) -> None:
        """Begin anew, on a fresh connection."""
        self._parser = self._engine.parser(self)
        self._head = False
        self.await_answer(head=False)

    def await_answer(self, *, head: bool) -> None:
        """Expect the next answer; `head` says that it has no body whatever its header says."""
        if self._head:  # the parser still waits for the body that the last header announced
            self._parser = self._engine.parser(self)
        self._head = head
        self.complete = False
        self.keep = True
        self._clear()

    def feed(self, data: bytes | memoryview) -> bool:
        """Take what came and return whether the answer is complete; NoAnswerError when it is none."""
        try:
            self._parser.feed_data(data)
        except self._engine.callback_fault:
            raise  # our own mistake must not look like the target's
        except self._engine.malformed as error:
            if not self.complete:
                raise NoAnswerError(str(error)) from error
            self.keep = False  # more than one answer came: the first one counts, the connection is out of step
        return self.complete

    def ended(self) -> bool:
        """Whether the end of the connection completes the answer: one that does not say where it ends, ends there."""
        self.keep = False
        return self._in_body and not self._has_length

    def _clear(self) -> None:
        self.status = self.size = 0
        self.excerpt = b""
        self._in_body = self._has_length = False

    # Called by the parser.

    def on_message_begin(self) -> None:
        """Notice an answer that nobody asked for."""
        if self.complete:
            self.keep = False

    def on_header(self, name: bytes, _value: bytes) -> None:
        """Notice whether the answer says where it ends."""
        if len(name) in _LENGTHS and name.lower() in {b"content-length", b"transfer-encoding"}:
            self._has_length = True

    def on_headers_complete(self) -> None:
        """Take the status of the first final answer."""
        if self.complete:
            return
        self.status = self._parser.get_status_code()
        self._in_body = self.status >= _OK
        if self._head and self._in_body:
            self._finish()

    def on_body(self, data: bytes) -> None:
        """Count the body."""
        if self.complete:
            return
        self.size += len(data)
        if len(self.excerpt) < self._keep_bytes:
            self.excerpt = (self.excerpt + data)[: self._keep_bytes]

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was an interim one (1xx) before the real one."""
        if self.complete:
            return
        if self._in_body:
            self._finish()
        else:
            self._clear()

    def _finish(self) -> None:
        self.keep = self._parser.should_keep_alive()
        self.complete = True
