"""What the hot path needs from foreign libraries, as types: an event loop and an HTTP parser.

Only `locustfile` knows that they are gevent's and httptools'; everything else here takes them as arguments. Nothing in
this file may import them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

READABLE, WRITABLE = 1, 2


class Watcher(Protocol):
    """Something that a loop waits for."""

    def start(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop each time that it happens."""

    def stop(self) -> None:
        """Stop calling."""

    def close(self) -> None:
        """Give it back to the loop; it must not be used again."""


class Loop(Protocol):
    """An event loop on one thread."""

    MAXPRI: int
    """The priority of what is called first among all that is ready at once."""

    def io(self, fd: int, events: int, ref: bool = True, priority: int | None = None) -> Watcher:
        """Watch a descriptor for READABLE or WRITABLE; it must be closed only after its watchers."""

    def timer(self, after: float, repeat: float = 0.0) -> Watcher:
        """Watch the clock: once after so many seconds, then every `repeat` seconds unless that is 0."""


class Parser(Protocol):
    """A parser of HTTP/1 answers that calls the `on_...` methods of the object that it was made for."""

    def feed_data(self, data: Any) -> None:  # noqa: ANN401 - any buffer, which Python 3.11 has no type for
        """Parse what came."""

    def get_status_code(self) -> int:
        """Return the status, once the header is complete."""

    def should_keep_alive(self) -> bool:
        """Whether the connection can be used again, once the header is complete."""


@dataclass(frozen=True)
class Engine:
    """The foreign parts, made once.

    `malformed` is what a parser raises on bytes that are no answer, `callback_fault` on a fault in our own callback.
    All connections read into the one `buffer`, because a loop has one thread and what is read is parsed at once: that
    costs 1.5 us a read, where a fresh buffer of 256 KiB was measured at 22 us.
    """

    loop: Loop
    parser: Callable[[object], Parser]
    malformed: tuple[type[Exception], ...]
    callback_fault: type[Exception]
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(65536)))
