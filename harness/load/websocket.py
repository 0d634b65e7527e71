"""WebSocket connections: held open, they carry messages, and a message is answered by its echo or by its delivery.

wsproto (sans-I/O) speaks the protocol; sockets, times and accounting are those of every link. A message that carries its
number (`{id}` in its body) is known again whatever else the target sends, and a late echo is never taken for the next
one. Without a number the sender's next message is its answer, so a link whose message timed out has to be opened again.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection as Frames
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    RejectConnection,
    TextMessage,
)
from wsproto.events import (
    Request as Handshake,
)
from wsproto.utilities import RemoteProtocolError

from harness.load.answer import NoAnswerError
from harness.load.connection import KEPT_BYTES
from harness.load.engine import Engine, Loop
from harness.load.job import Job
from harness.load.link import Link, Listener
from harness.load.wire import LOOPBACK
from harness.study.loads import SWITCHING
from harness.study.model import WebSocket

MARK = b"hx%012d"
_MARKED = re.compile(rb"hx(\d{12})")
PLACE = b"{id}"
_REOPEN_EVERY_S, _REOPENED_AT_ONCE = 0.02, 4  # 200 a second are some 5 % of a core


@dataclass
class Delivered:
    """What came back for a message: its size, and the beginning of it."""

    status: int = SWITCHING
    size: int = 0
    excerpt: bytes = b""


@dataclass
class Room:
    """Who is there, and which messages who has not got yet. Shared by the links of a broadcast."""

    members: set[WebSocketLink] = field(default_factory=set)
    waiting: dict[int, tuple[WebSocketLink, set[WebSocketLink]]] = field(default_factory=dict)

    def sent(self, index: int, sender: WebSocketLink) -> None:
        """Note that every member of now has to get message `index`."""
        self.waiting[index] = (sender, set(self.members))

    def forget(self, index: int) -> None:
        """Wait for message `index` no more."""
        self.waiting.pop(index, None)

    def got(self, index: int, member: WebSocketLink) -> WebSocketLink | None:
        """Note a delivery; return the sender when it was the last one."""
        sender, left = self.waiting.get(index, (None, set()))
        left.discard(member)
        if sender is None or left:
            return None
        del self.waiting[index]
        return sender

    def left(self, member: WebSocketLink) -> list[WebSocketLink]:
        """Note that a member is gone; return the senders of the messages that it will never get."""
        self.members.discard(member)
        lost = [index for index, (_, left) in self.waiting.items() if member in left]
        return [sender for index in lost if (sender := self.waiting.pop(index)[0]) is not member]


class WebSocketLink(Link):
    """A held-open connection. `handshakes` counts those it asked for, `accepted` those that the target took."""

    answer: Delivered

    def __init__(self, engine: Engine, job: Job, number: int, listener: Listener, room: Room) -> None:
        """`room` is that of all links which send."""
        super().__init__(engine, job.port, number, listener)
        self.answer = Delivered()
        self.handshakes = self.accepted = 0
        self._about = about(job)
        self._handshake = handshake(job)
        self._room = room
        self._has_number = self._is_ending = False
        self._size, self._excerpt = 0, bytearray()
        self._frames: WSConnection | Frames

    def send(self, index: int, payload: bytes, *, head: bool) -> None:  # noqa: ARG002 - a message has no head
        """Send a message; one whose body says `{id}` carries its number there."""
        self.request = index
        self._has_number = PLACE in payload
        if self._about.delivery == "broadcast":
            self._room.sent(index, self)
        self._write(message(self._frames, payload, index, binary=self._about.binary))

    def give_up(self) -> None:
        """Wait no more for this message; its late echo will be known by its number and passed over.

        Without a number, or where the target has not even read all of it, the connection goes with it.
        """
        if self._has_number and not self._unsent:
            self._room.forget(self.request)
            self.request = -1
            self._listener.idle(self)
        else:
            self._leave()
            super().give_up()

    def lose(self) -> None:
        """Note that a receiver is gone: the message in flight will not reach everybody."""
        if self.request >= 0:
            self._listener.broken(self)
            self.request = -1
            self._listener.idle(self)

    def finish(self, answer: Delivered, at_ns: int) -> None:
        """Note that the message in flight is answered."""
        self.answer = answer
        self._wait_s = 0.0
        self._listener.answered(self, at_ns)
        self.request = -1
        if not self._is_ending:
            self._listener.idle(self)

    def _came_up(self) -> None:
        self.handshakes += 1
        self._size, self._excerpt = 0, bytearray()
        self._is_ending = False
        self._frames = WSConnection(ConnectionType.CLIENT)
        self._write(self._frames.send(self._handshake))

    def _break(self) -> None:
        self._leave()
        super()._break()

    def _leave(self) -> None:
        self._room.forget(self.request)
        for sender in self._room.left(self):
            sender.lose()

    def _take(self, data: memoryview, at_ns: int) -> None:
        broke = self.broke
        events = _events(self._frames, bytes(data))
        # Nothing can be sent any more once the target has closed, which is the last thing that it says.
        self._is_ending = bool(events) and isinstance(events[-1], CloseConnection)
        for event in events:
            self._heard(event, at_ns)
            if self.broke != broke:  # what was done about it ended the connection
                return

    def _heard(self, event: Event, at_ns: int) -> None:
        if isinstance(event, Message):
            self._gather(event, at_ns)
        elif isinstance(event, Ping):
            if not self._is_ending:
                self._write(self._frames.send(event.response()))
        elif isinstance(event, AcceptConnection):
            self.accepted += 1
            if isinstance(self._frames, WSConnection) and self._frames.connection is not None:
                self._frames = (
                    self._frames.connection
                )  # the handshake's parser, half of what a connection costs, can go
            if not self._is_ending:
                self._accepted()
        elif isinstance(event, RejectConnection):
            raise NoAnswerError(f"the handshake was answered {event.status_code} instead of {SWITCHING}")
        elif isinstance(event, CloseConnection):
            raise NoAnswerError(f"the target closed the connection with code {int(event.code)}")

    def _gather(self, event: Message[Any], at_ns: int) -> None:
        """Put the parts of a message together: its size, and as much as is looked at."""
        part = plain(event)
        self._size += len(part)
        self._excerpt += part[: KEPT_BYTES - len(self._excerpt)]
        if event.message_finished:
            whole = Delivered(size=self._size, excerpt=bytes(self._excerpt))
            self._size, self._excerpt = 0, bytearray()
            self._told(whole, at_ns)

    def _accepted(self) -> None:
        self._room.members.add(self)
        self._listener.idle(self)

    def _told(self, whole: Delivered, at_ns: int) -> None:
        """Take a whole message; one that answers nothing (a greeting, a late echo) is passed over."""
        if self._about.delivery == "broadcast":
            for number in _MARKED.findall(whole.excerpt):  # more than one where the target puts messages together
                sender = self._room.got(int(number), self)
                if sender is not None:
                    sender.finish(whole, at_ns)
        elif self.request >= 0 and (not self._has_number or MARK % self.request in whole.excerpt):
            self.finish(whole, at_ns)


class HeldLink(WebSocketLink):
    """A connection that sends nothing and waits for nothing; it answers pings, and is opened again in its turn."""

    def __init__(self, engine: Engine, job: Job, number: int, held: Held, room: Room) -> None:
        """`held` gives the turns."""
        super().__init__(engine, job, number, held, room)
        self._held = held
        self._handshake = handshake(job, self._about.idle_path)

    def _accepted(self) -> None:
        self._listener.idle(self)

    def _told(self, whole: Delivered, at_ns: int) -> None:
        """Pass over what is broadcast."""

    def _open_again(self) -> None:
        self._release()
        if not self._closed:
            self._held.waits(self)


class Held:
    """The listener of held links; `up` are those that are there now.

    Those that ended are opened again a few at a time: all at once, tens of thousands would starve the messages.
    """

    def __init__(self, loop: Loop) -> None:
        """Begin with none."""
        self.up: set[Link] = set()
        self._ended: deque[Link] = deque()
        self._timer = loop.timer(_REOPEN_EVERY_S, _REOPEN_EVERY_S)
        self._timer.start(self._reopen)

    def close(self) -> None:
        """Open nothing any more."""
        self._timer.stop()
        self._timer.close()

    def answered(self, link: Link, at_ns: int) -> None:
        """Never called: nothing is asked."""

    def broken(self, link: Link) -> None:
        """Note that it is gone; `link.broke` counts it."""
        self.up.discard(link)

    def idle(self, link: Link) -> None:
        """Note that it is up."""
        self.up.add(link)

    def read(self, at_ns: int) -> None:
        """Nothing of these is ever due."""

    def waits(self, link: Link) -> None:
        """Open it when its turn comes."""
        self._ended.append(link)

    def _reopen(self) -> None:
        for _ in range(min(_REOPENED_AT_ONCE, len(self._ended))):
            self._ended.popleft().open()


def about(job: Job) -> WebSocket:
    """Return what the study says of its websocket load."""
    return job.load.websocket or WebSocket("/")


def handshake(job: Job, path: str = "") -> Handshake:
    """Return the request that opens a connection, with the study's own headers; at the messages' path without another."""
    given = {name.lower(): value for name, value in job.load.requests[0].headers}
    return Handshake(
        host=given.pop("host", f"{LOOPBACK}:{job.port}"),
        target=path or about(job).path,
        subprotocols=[name.strip() for name in given.pop("sec-websocket-protocol", "").split(",") if name.strip()],
        extra_headers=[(name.encode(), value.encode()) for name, value in given.items()],
    )


def message(frames: WSConnection | Frames, payload: bytes, index: int, *, binary: bool) -> bytes:
    """Return the frame of a message that carries its number, where `payload` has a place for it."""
    body = payload.replace(PLACE, MARK % index)
    return frames.send(BytesMessage(data=body) if binary else TextMessage(data=body.decode()))


def plain(message: Message[Any]) -> bytes:
    """Return the bytes of a message or of a part of one."""
    data = message.data
    return data.encode() if isinstance(data, str) else bytes(data)


def _events(frames: WSConnection | Frames, data: bytes) -> list[Event]:
    try:
        frames.receive_data(data)
        return list(frames.events())
    except (RemoteProtocolError, UnicodeDecodeError) as error:  # the latter: a header that is no ASCII
        raise NoAnswerError(f"the handshake was answered wrongly: {error}") from error
