"""Looks at a running service: ready or not, whose socket, which settings in force, what it uses. Never changes anything."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

from harness import variant as variants
from harness.study.model import UNSET, Study
from harness.target.build import level_text
from harness.target.service import Exit, Placement, Service, TargetFailed
from harness.variant import Variant

LOOPBACK = "127.0.0.1"
_POLL_S = 0.004
_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def free_ports() -> tuple[int, int]:
    """Return two ports of 127.0.0.1 that nobody holds at this moment."""
    with socket.socket() as one, socket.socket() as two:
        one.bind((LOOPBACK, 0))
        two.bind((LOOPBACK, 0))
        return one.getsockname()[1], two.getsockname()[1]


def wait_ready(service: Service, placement: Placement, *, has_admin: bool, limit_s: float) -> None:
    """Wait until the service answers, and make sure that it is the service that we started.

    TargetFailed when it ends, when somebody else holds its port, or when nothing comes within `limit_s`.
    """
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        ended = service.exited()
        if ended is not None:
            raise TargetFailed(ended_in_words("the service ended before it was ready", ended, service), service.log())
        if _listens(placement, has_admin):
            _require_own_socket(service, placement)
            return
        time.sleep(_POLL_S)
    raise TargetFailed(f"the service was not ready within {limit_s:.0f} s", service.log())


def ended_in_words(what: str, ended: Exit, service: Service) -> str:
    """Return how a service ended, with the last line that it wrote, which usually says why."""
    last = service.log(1).strip()[:200]
    return f"{what}: {ended.words}{': ' + last if last else ''}"


def _listens(placement: Placement, has_admin: bool) -> bool:
    if has_admin:
        return get(placement.admin_port, "/healthz")[0] == 200  # noqa: PLR2004 - HTTP OK
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((LOOPBACK, placement.port)) == 0


def _require_own_socket(service: Service, placement: Placement) -> None:
    """Refuse a port that another process holds: the load would measure a stranger."""
    inodes = listening_inodes(placement.port)
    try:
        if not inodes or inodes & _socket_inodes(service.pid):
            return
    except PermissionError:
        return  # not ours to look into; the nonce of /runtime still proves whose answer it is
    raise TargetFailed(f"port {placement.port} is held by another process{_holder(inodes)}", service.log())


def listening_inodes(port: int) -> set[int]:
    """Return the inodes of the sockets that listen on `port` of any local address (IPv4 and IPv6)."""
    found: set[int] = set()
    for name in ("tcp", "tcp6"):
        try:
            text = Path(f"/proc/net/{name}").read_text(encoding="ascii")
        except OSError:
            continue
        found |= parse_listening(text, port)
    return found


def parse_listening(text: str, port: int) -> set[int]:
    """Return the inodes of listening sockets (state 0A) on `port` from the text of /proc/net/tcp."""
    rows = (line.split() for line in text.splitlines()[1:])
    return {int(row[9]) for row in rows if row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == port}


def _socket_inodes(pid: int) -> set[int]:
    found: set[int] = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found


def _holder(inodes: set[int]) -> str:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if inodes & _socket_inodes(int(process.name)):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f" (pid {process.name}, {name})"
        except OSError:
            continue
    return ""


def in_force(service: Service, placement: Placement, *, has_admin: bool) -> dict[str, Any]:
    """Return what `/runtime` says; without an admin port what /proc tells: the number of threads of the process."""
    if not has_admin:
        return {"threads": threads(service.pid)}
    status, body = get(placement.admin_port, "/runtime", timeout_s=2.0)
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise TargetFailed(f"/runtime answered {status} and no JSON object: {body[:200]!r}", service.log())
    if answer.get("nonce") != placement.nonce:
        raise TargetFailed(
            "another service answers on the admin port: the nonce of /runtime is not ours", service.log()
        )
    return answer


def check_in_force(study: Study, variant: Variant, answer: dict[str, Any]) -> tuple[str, ...]:
    """Return in words what is in force otherwise than the variant says; pure.

    Builder has no getters: flavor, workers and options are read back, the other knobs are known only as rendered.
    """
    if not study.target.has_admin:
        return ()
    faults = []
    if not variants.is_verbatim(study, variant):
        values = variants.runtime_values(study, variant)
        flavor = values.get("flavor", "multi_thread")
        workers = 1 if flavor == "current_thread" else values.get("worker_threads", study.target.cpus)
        wanted = {"flavor": flavor, "workers": workers}
        faults = [
            f"{name} in force is {answer.get(name, UNSET)!r}, the variant says {value!r}"
            for name, value in wanted.items()
            if answer.get(name) != value
        ]
    options = answer.get("options") or {}
    for name, level in {**study.target.settings, **variants.option_values(study, variant)}.items():
        if options.get(name) != level_text(level):
            faults.append(f"{name} in force is {options.get(name, UNSET)!r}, the variant says {level_text(level)!r}")
    return tuple(faults)


def get(port: int, path: str, timeout_s: float = 0.5) -> tuple[int, str]:
    """Return (status, body) of a GET to 127.0.0.1:`port`; status 0 where nobody answers. The body is bounded to 1 MiB."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(2**20).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def scrape(admin_port: int) -> str:
    """Return the text of `/metrics`, empty where it does not come within half a second."""
    status, body = get(admin_port, "/metrics")
    return body if status == 200 else ""  # noqa: PLR2004 - HTTP OK


def request_count(metrics: str) -> int | None:
    """Return `http_requests_total` of a Prometheus text; None where it is missing."""
    found = re.search(r"^http_requests_total (\d+)", metrics, re.MULTILINE)
    return int(found.group(1)) if found else None


# Figures of a process from /proc. None where the process is gone or the host does not tell.


def process_cpu_ns(pid: int) -> int | None:
    """Return the CPU nanoseconds of a process, all its threads, those that ended included.

    A container's cgroup (v1) counts exactly; elsewhere utime + stime of /proc/<pid>/stat, which the kernel derives from
    exact run time but prints in ticks of 10 ms. /proc/<pid>/task would lose the blocking threads that ended.
    """
    exact = _container_cpuacct(pid)
    if exact is not None:
        return exact
    fields = _stat_fields(pid)
    return None if fields is None else (int(fields[11]) + int(fields[12])) * _NS_PER_TICK


def start_ticks(pid: int) -> int | None:
    """Return when the process started, in clock ticks since boot: with the pid it names one process for ever."""
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[19])


def state(pid: int) -> str | None:
    """Return the state letter of a process ("R", "S", "Z" ...), None where there is none."""
    fields = _stat_fields(pid)
    return None if fields is None else fields[0]


def boot_id() -> str:
    """Return the id of this boot of the kernel."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def rss_bytes(pid: int) -> int | None:
    """Return the resident memory of a process."""
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[21]) * _PAGE


def threads(pid: int) -> int | None:
    """Return how many threads a process has."""
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[17])


def vm_hwm_bytes(pid: int) -> int | None:
    """Return the largest resident memory so far (VmHWM); a cgroup's maximum would count page cache too."""
    text = _read(f"/proc/{pid}/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", text or "", re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat after the command's name, which may hold spaces and brackets."""
    text = _read(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split() if text else None


def _container_cpuacct(pid: int) -> int | None:
    group = re.search(r"^\d+:[^:]*\bcpuacct\b[^:]*:(/.*docker.*)$", _read(f"/proc/{pid}/cgroup") or "", re.MULTILINE)
    if group is None:
        return None
    text = _read(f"/sys/fs/cgroup/cpuacct{group.group(1)}/cpuacct.usage")
    return int(text) if text else None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
