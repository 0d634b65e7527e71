"""A job as one line of JSON between the harness and its generator, and the exact bytes of each kind of request."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.load.job import Job
from harness.study.model import Load, Piece, Request, WebSocket, WindowTimes

LOOPBACK = "127.0.0.1"
"""The only address that load ever goes to; the port is all that a job can choose."""


def job_line(job: Job) -> bytes:
    """Return the job as one line."""
    return json.dumps(asdict(job), default=_plain).encode() + b"\n"


def job_from(line: bytes) -> Job:
    """Return the job of one line."""
    content = json.loads(line)
    load = content["load"]
    about = {
        **load,
        "requests": tuple(_request(row) for row in load["requests"]),
        "pieces": tuple(Piece(**row) for row in load["pieces"]),
        "trace_s": tuple(load["trace_s"]),
        "websocket": None if load["websocket"] is None else WebSocket(**load["websocket"]),
        "locustfile": None if load["locustfile"] is None else Path(load["locustfile"]),
    }
    return Job(
        port=content["port"],
        load=Load(**about),
        times=WindowTimes(**content["times"]),
        seed=content["seed"],
        samples=Path(content["samples"]),
    )


def _plain(value: object) -> str:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)


def _request(row: dict[str, Any]) -> Request:
    headers = tuple((name, value) for name, value in row["headers"])
    raw = {name: base64.b64decode(row[name]) for name in ("body", "expect_contains")}
    return Request(**{**row, **raw, "headers": headers})


def payload(request: Request, job: Job) -> bytes:
    """Return what a link is handed for a request: its bytes, or of a message over a WebSocket the body alone."""
    if job.load.websocket is not None:
        return request.body
    return request_bytes(request, job.port, keep_alive=job.load.keep_alive)


def request_bytes(request: Request, port: int, *, keep_alive: bool = True) -> bytes:
    """Return the request as it goes over the wire, the same bytes every time; HTTP/1.1 keeps the connection alive."""
    given = {name.lower() for name, _ in request.headers}
    headers = [("Host", f"{LOOPBACK}:{port}"), ("User-Agent", "tokio-harness"), ("Accept", "*/*")]
    headers = [(name, value) for name, value in headers if name.lower() not in given] + list(request.headers)
    if (request.body or request.method in {"POST", "PUT", "PATCH"}) and "content-length" not in given:
        headers.append(("Content-Length", str(len(request.body))))
    if not keep_alive:
        headers.append(("Connection", "close"))
    head = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*head, "", ""]).encode("latin-1", errors="replace") + request.body
