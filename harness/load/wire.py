"""A job as one line of JSON between the harness and its generator, and the exact bytes of each kind of request."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path

from harness.load.job import Job
from harness.study.model import Load, Request, WindowTimes

LOOPBACK = "127.0.0.1"
"""The only address that load ever goes to; the port is all that a job can choose."""


def job_line(job: Job) -> bytes:
    """Return the job as one line."""
    content = {**asdict(job), "samples": str(job.samples)}
    for request in content["load"]["requests"]:
        request["body"] = base64.b64encode(request["body"]).decode("ascii")
    return json.dumps(content).encode() + b"\n"


def job_from(line: bytes) -> Job:
    """Return the job of one line."""
    content = json.loads(line)
    requests = tuple(
        Request(**{**row, "body": base64.b64decode(row["body"]), "headers": tuple(map(tuple, row["headers"]))})
        for row in content["load"]["requests"]
    )
    return Job(
        port=content["port"],
        load=Load(**{**content["load"], "requests": requests}),
        times=WindowTimes(**content["times"]),
        seed=content["seed"],
        samples=Path(content["samples"]),
    )


def request_bytes(request: Request, port: int) -> bytes:
    """Return the request as it goes over the wire, the same bytes every time; HTTP/1.1 keeps the connection alive."""
    given = {name.lower() for name, _ in request.headers}
    headers = [("Host", f"{LOOPBACK}:{port}"), ("User-Agent", "tokio-harness"), ("Accept", "*/*")]
    headers = [(name, value) for name, value in headers if name.lower() not in given] + list(request.headers)
    if (request.body or request.method in {"POST", "PUT", "PATCH"}) and "content-length" not in given:
        headers.append(("Content-Length", str(len(request.body))))
    head = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*head, "", ""]).encode("latin-1", errors="replace") + request.body
