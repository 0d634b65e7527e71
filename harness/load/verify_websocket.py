"""Opens one WebSocket and sends each kind of message once before anything is measured."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, RejectConnection
from wsproto.utilities import RemoteProtocolError

from harness.load.job import Job, TargetRefused
from harness.load.verify import LEAST_LIMIT_S, TLS_RECORD, TlsError
from harness.load.websocket import MARK, PLACE, about, handshake, message, plain
from harness.load.wire import LOOPBACK
from harness.study.loads import SWITCHING
from harness.study.model import Request, WebSocket

_FIRST_NUMBER = 999_999_999_000  # no window has so many messages; a study has at most 64 kinds


def verify(job: Job) -> None:
    """Return when the target took the handshake and answered one message of each kind; TargetRefused with what came."""
    asked, limit_s = about(job), max(LEAST_LIMIT_S, job.load.timeout_s)
    try:
        with socket.create_connection((LOOPBACK, job.port), timeout=limit_s) as connection:
            frames = WSConnection(ConnectionType.CLIENT)
            connection.sendall(frames.send(handshake(job)))
            _await(connection, frames, limit_s, lambda event: isinstance(event, AcceptConnection), "no handshake")
            for kind, request in enumerate(job.load.requests):
                _verify_kind(connection, frames, request, _FIRST_NUMBER + kind, limit_s, asked)
    except TlsError as error:
        raise TargetRefused(f"{asked.path} was answered in TLS: the target speaks TLS, the load plain ws") from error
    except (RemoteProtocolError, UnicodeDecodeError) as error:  # the latter: a header that is no ASCII
        raise TargetRefused(f"{asked.path} speaks no WebSocket ({error})") from error
    except OSError as error:
        raise TargetRefused(f"{asked.path} had no answer ({type(error).__name__}: {error})") from error


def _verify_kind(
    connection: socket.socket, frames: WSConnection, request: Request, number: int, limit_s: float, asked: WebSocket
) -> None:
    connection.sendall(message(frames, request.body, number, binary=asked.binary))
    mark = MARK % number if PLACE in request.body else b""
    came = bytearray()
    whole = True

    def answers(event: Event) -> bool:
        nonlocal whole
        if not isinstance(event, Message):
            return False
        if whole:
            came.clear()
        came.extend(plain(event))
        whole = event.message_finished
        return whole and mark in came

    _await(connection, frames, limit_s, answers, f"no {asked.delivery} of a message {request.name!r}")
    if request.expect_contains not in came:
        raise TargetRefused(f"the answer to a message {request.name!r} does not contain what the study expects")


def _await(
    connection: socket.socket, frames: WSConnection, limit_s: float, wanted: Callable[[Event], bool], lacks: str
) -> None:
    """Read until `wanted` is true of an event, answering pings; TargetRefused when it does not come."""
    ends = time.monotonic() + limit_s
    while time.monotonic() < ends:
        connection.settimeout(max(0.001, ends - time.monotonic()))
        try:
            data = connection.recv(65536)
        except TimeoutError:
            break
        if not data:
            raise TargetRefused(f"{lacks}: the target closed the connection")
        if data.startswith(TLS_RECORD):  # neither HTTP nor a frame begins so
            raise TlsError
        frames.receive_data(data)
        for event in frames.events():
            if isinstance(event, RejectConnection):
                raise TargetRefused(f"the handshake was answered {event.status_code} instead of {SWITCHING}")
            if isinstance(event, CloseConnection):
                raise TargetRefused(f"{lacks}: the target closed the connection (code {int(event.code)})")
            if isinstance(event, Ping):
                connection.sendall(frames.send(event.response()))
            if wanted(event):
                return
    raise TargetRefused(f"{lacks} within {limit_s:g} s")
