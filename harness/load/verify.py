"""Asks the target once for each kind of request before anything is measured, with the bytes that the load sends."""

from __future__ import annotations

import socket
import time

from harness.load.answer import AnswerReader, NoAnswerError
from harness.load.connection import KEPT_BYTES
from harness.load.engine import Engine
from harness.load.job import Job, TargetRefused
from harness.load.wire import LOOPBACK, request_bytes
from harness.study.model import Request

LEAST_LIMIT_S = 5.0
"""A first answer may take longer than the time-out of the load: lazy set-up is not a fault."""
_EXCERPT_SHOWN = 200
TLS_RECORD = (b"\x15\x03", b"\x16\x03")  # an alert or a handshake of any version (RFC 8446, 5.1)


class TlsError(Exception):
    """The target answered in TLS."""


def verify(job: Job, engine: Engine) -> None:
    """Return when every kind had its expected status; TargetRefused with what came instead."""
    limit_s = max(LEAST_LIMIT_S, job.load.timeout_s)
    for request in job.load.requests:
        what = f"{request.method} {request.path}"
        try:
            answer = _ask(request, job.port, engine, limit_s)
        except TlsError as error:
            raise TargetRefused(
                f"{what} was answered in TLS: the target speaks TLS, the load plain HTTP/1.1"
            ) from error
        except (OSError, NoAnswerError) as error:
            raise TargetRefused(f"{what} had no answer ({_in_words(error)})") from error
        if answer.status != request.expect_status:
            text = _printable(answer.excerpt)
            told = f": {text}" if text else ""
            raise TargetRefused(f"{what} answered {answer.status} instead of {request.expect_status}{told}")
        if request.expect_contains not in answer.excerpt:
            wanted, came = _printable(request.expect_contains), _printable(answer.excerpt)
            raise TargetRefused(f"{what} answered a body without {wanted!r}, which the study expects: {came!r}")


def _ask(request: Request, port: int, engine: Engine, limit_s: float) -> AnswerReader:
    """Return the whole answer; OSError or NoAnswerError without one, or when it takes longer than `limit_s` in all."""
    ends = time.monotonic() + limit_s
    answer = AnswerReader(engine, KEPT_BYTES)
    with socket.create_connection((LOOPBACK, port), timeout=limit_s) as connection:
        connection.sendall(request_bytes(request, port))
        answer.await_answer(head=request.method == "HEAD")
        while time.monotonic() < ends:
            connection.settimeout(max(0.001, ends - time.monotonic()))
            data = connection.recv(65536)
            if answer.size == answer.status == 0 and data.startswith(TLS_RECORD):
                raise TlsError
            if answer.feed(data) if data else answer.ended():
                return answer
            if not data:
                raise NoAnswerError("the connection was closed")
    raise TimeoutError(f"no whole answer within {limit_s:g} s")


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _printable(body: bytes) -> str:
    """Return the beginning of a body as one line that no terminal takes for a command."""
    text = " ".join(body.decode("utf-8", errors="replace").split())[:_EXCERPT_SHOWN]
    return "".join(letter if letter.isprintable() else "?" for letter in text)
