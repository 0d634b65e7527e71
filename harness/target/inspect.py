"""What a running service tells: that it is ready, that it is ours, and which settings are in force.

Asks 127.0.0.1 and /proc only; starts, stops and judges nothing. Figures of a process come from `proc`.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Mapping

from harness import variant as variants
from harness.study import knobs
from harness.study.model import Level, Study
from harness.target import render, sockets
from harness.target.proc import (
    cgroup_cpu_throttled_s,
    most_files,
    process_cpu_ns,
    rss_bytes,
    switches,
    thread_names,
    threads,
    vm_hwm_bytes,
)
from harness.target.service import Placement, Service, TargetFailed
from harness.variant import Variant

__all__ = [
    "cgroup_cpu_throttled_s",
    "check_in_force",
    "connection_count",
    "free_ports",
    "in_force",
    "inside",
    "most_files",
    "process_cpu_ns",
    "read_runtime",
    "request_count",
    "rss_bytes",
    "scrape",
    "switches",
    "threads",
    "vm_hwm_bytes",
    "wait_ready",
]

POLL_S = 0.005
_ANSWER_LIMIT_S = 1.0
_SCRAPE_LIMIT_S = 0.5
_MOST_BYTES = 2**20
_MOST_INSIDE_BYTES = 16 * 2**20
_OK = 200


def free_ports() -> tuple[int, int]:
    """Return two ports of 127.0.0.1 that were free a moment ago: the service's and the admin one."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


def wait_ready(service: Service, placement: Placement, *, has_admin: bool, limit_s: float) -> None:
    """Wait until the service answers on its own sockets.

    Raises TargetFailed when it ends, is not ready within `limit_s` seconds, or another process holds one of its ports.
    """
    ports = (placement.port, placement.admin_port) if has_admin else (placement.port,)
    end = time.monotonic() + limit_s
    while (missing := _missing(placement, has_admin=has_admin)) is not None:
        ended = service.exited()
        if ended is not None:
            held = _held(ports, service.pid)
            raise TargetFailed(f"{held}the service {ended.words} before it was ready", service.log())
        if time.monotonic() >= end:
            held = _held(ports, service.pid)
            raise TargetFailed(f"{held}the service was not ready within {limit_s:g} s: {missing}", service.log())
        time.sleep(POLL_S)
    if held := _held(ports, service.pid):
        raise TargetFailed(f"{held}what answers there is not the service that was started", service.log())


def _missing(placement: Placement, *, has_admin: bool) -> str | None:
    """Return what the service still owes before it is ready, None when nothing."""
    if has_admin and _get(placement.admin_port, "/healthz", _ANSWER_LIMIT_S)[0] != _OK:
        return f"/healthz on its admin port {placement.admin_port} does not answer 200"
    try:
        socket.create_connection(("127.0.0.1", placement.port), _ANSWER_LIMIT_S).close()
    except OSError:
        return f"nothing accepts connections on its port {placement.port}"
    return None


def _held(ports: tuple[int, ...], pid: int) -> str:
    for port in ports:
        holder = sockets.foreign_holder(port, pid)
        if holder is not None:
            return f"port {port} is held by another process ({holder.words}); "
    return ""


def in_force(service: Service, placement: Placement, *, has_admin: bool) -> dict[str, object]:
    """Return what the service says about itself; of an own crate without a probe, what its threads show.

    Raises TargetFailed when `/runtime` does not answer, or answers for another service than the one that was started.
    """
    if not has_admin:
        names = Counter(thread_names(service.pid))
        return {"threads": threads(service.pid), "thread_names": dict(sorted(names.items()))}
    answer = read_runtime(placement)
    if not answer:
        raise TargetFailed("/runtime does not answer with the settings in force", service.log())
    if answer.get("nonce") != placement.nonce:
        raise TargetFailed(f"port {placement.admin_port} is answered by another service than the one that was started")
    return answer


def read_runtime(placement: Placement) -> dict[str, object]:
    """Return the JSON object of `/runtime`; empty when none came."""
    status, body = _get(placement.admin_port, "/runtime", _ANSWER_LIMIT_S)
    try:
        answer = json.loads(body) if status == _OK else None
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def check_in_force(study: Study, variant: Variant, answer: Mapping[str, object]) -> tuple[str, ...]:
    """Return in which ways the settings in force are not the variant's; empty when they are. Pure.

    The Builder has no getters: flavor and workers are read from the runtime, options from the environment, the version
    of Tokio from the lock file that was compiled in, and the other knobs are only known to have been rendered. Without
    a probe there is only the number of threads: all workers start with the runtime, beside the main thread.
    """
    expected = _expected_runtime(study, variant)
    if not study.target.has_admin:
        return _too_few_threads(expected, answer.get("threads"))
    told = answer.get("options")
    options = {f"OPT_{name}".upper(): text for name, text in told.items()} if isinstance(told, dict) else {}
    wanted = {**dict.fromkeys(options), **render.environment(study, variant)}
    return (*_differences(expected, answer), *_another_tokio(study, variant, answer), *_differences(wanted, options))


def _another_tokio(study: Study, variant: Variant, answer: Mapping[str, object]) -> tuple[str, ...]:
    """Return a sentence where a template was built with another version of Tokio than the variant's."""
    wanted, told = knobs.built_with(variants.runtime_values(study, variant)), answer.get("tokio", "not told")
    if study.target.form != "template" or str(told).startswith(f"{wanted}."):
        return ()
    return (f"tokio in force is {told}, the variant has {wanted}",)


def _differences(wanted: Mapping[str, Level | None], told: Mapping[str, object]) -> tuple[str, ...]:
    """Return a sentence for each name whose value differs; None wanted: the variant has no such thing."""
    return tuple(
        f"{name} in force is {told.get(name, 'not told')}, the variant has {'none' if value is None else value}"
        for name, value in wanted.items()
        if told.get(name) != value
    )


def _expected_runtime(study: Study, variant: Variant) -> dict[str, Level]:
    """Return flavor and workers as the variant has them; of a committed runtime.rs only what it plainly sets."""
    values = variants.runtime_values(study, variant)
    flavor = values.get("flavor", "multi_thread")
    workers = 1 if flavor == "current_thread" else values.get("worker_threads", study.target.cpus)
    if variants.is_verbatim(study, variant):
        return {"workers": workers} if "worker_threads" in values else {}
    return {"flavor": flavor, "workers": workers}


def _too_few_threads(expected: Mapping[str, Level], seen: object) -> tuple[str, ...]:
    workers = expected.get("workers")
    single = expected.get("flavor") == "current_thread"
    if single or not isinstance(workers, int) or not isinstance(seen, int) or seen > workers:
        return ()
    return (f"the service has {seen} threads, too few for a main thread and the {workers} workers of the variant",)


def scrape(admin_port: int) -> str:
    """Return the Prometheus text of `/metrics`; empty when none came in time."""
    status, body = _get(admin_port, "/metrics", _SCRAPE_LIMIT_S)
    return body if status == _OK else ""


def inside(admin_port: int, path: str, limit_s: float) -> tuple[str | None, str]:
    """Return (text, why not) of a path below `/debug`, which a diagnostic build answers; one of them is empty or None."""
    status, body = _get(admin_port, path, limit_s, _MOST_INSIDE_BYTES)
    if status == _OK:
        return body, ""
    if not status:
        return None, f"{path} did not answer within {limit_s:g} s"
    return None, body.strip()[:500] or f"{path} answers {status}"


def request_count(text: str) -> int | None:
    """Return how many requests the service has counted, from its Prometheus text."""
    return _total(text, "http_requests_total")


def connection_count(text: str) -> int | None:
    """Return how many connections the service has accepted, from its Prometheus text."""
    return _total(text, "http_connections_total")


def _total(text: str, name: str) -> int | None:
    found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? ([0-9.eE+]+)$", text, re.MULTILINE)
    return int(sum(float(value) for value in found)) if found else None


def _get(port: int, path: str, limit_s: float, most_bytes: int = _MOST_BYTES) -> tuple[int, str]:
    """Return (status, body of at most `most_bytes`) of one GET over a connection of its own; (0, "") when none came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=limit_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(most_bytes).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
