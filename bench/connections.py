"""`make bench-connections`: what a held-open WebSocket connection costs, and what 100,000 of them would.

The hub of `target_templates/` runs on one core as a process of its own, once for each number of connections; this
process holds them from 127.0.0.1, .2 ... and reads the hub's memory, threads and CPU time: while nobody says anything,
while one connection has its messages echoed, while one broadcasts to all. A line through the measured points gives the
cost of a connection, and what it says at 100,000 stands beside the interval of that prediction. The chat of
studies/chat.yaml is held as well, for the memory that a service pays which has set no read buffer. With --keep the
points go to docs/measured/connections.json and the page to docs/connections.md. About three minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import secrets
import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy import stats
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection as Frames
from wsproto.events import Request as Handshake
from wsproto.events import TextMessage

from harness import variant
from harness.ledger import provenance
from harness.load.link import FROM_EACH
from harness.load.wire import LOOPBACK
from harness.opening import FILES_BESIDE
from harness.study import load as read_study
from harness.study import manifest
from harness.study.model import Level, Study
from harness.target import build, inspect
from harness.target.process import ProcessBackend
from harness.target.service import Placement, Service
from harness.window import gates, quiet
from harness.window.cores import CoreMap, available, core_map, siblings

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "bench" / "connections.yaml"
CHAT = ROOT / "studies" / "chat.yaml"
KEPT = ROOT / "docs" / "measured" / "connections.json"
PAGE = ROOT / "docs" / "connections.md"

SMALL, LIBRARY = 1024, 131_072  # bytes of the read buffer: the hub's own default, and the library's
COUNTS = {SMALL: (0, 2000, 4000, 8000, 12_000, 16_000), LIBRARY: (0, 2000, 4000, 8000)}
"""How many are held; of the library's buffer fewer, since 8,000 already take a gibibyte."""
CHAT_COUNTS = (0, 1000, 2000, 4000)
ASKED_FOR = 100_000
ROUNDS = 2
CONFIDENCE = 0.95
READY_LIMIT_S, HEARD_LIMIT_S, QUIET_LIMIT_S = 20.0, 30.0, 3.0
SETTLE_S, IDLE_S = 0.5, 3.0
ECHOES, BROADCASTS = 5000, 10
TEXT = "x" * 64
SWITCHED = b"HTTP/1.1 101 "
_IP_BIND_ADDRESS_NO_PORT = 24  # as in harness/load/link.py


@dataclass(frozen=True)
class Point:
    """What one start of the hub showed with so many connections held.

    `threads` is the most of three readings: idle, under echo, under broadcast. `kernel_bytes` is what the kernel's slabs
    grew by while the connections were opened: both ends of each, and whatever else the host did meanwhile.
    """

    read_buffer: int
    connections: int
    workers: int
    threads: int
    rss_bytes: int
    peak_rss_bytes: int
    kernel_bytes: int
    idle_cpu_share: float
    echo_cpu_us: float
    broadcast_cpu_ms: float


@dataclass(frozen=True)
class Line:
    """A least-squares line: its slope, and what it says at `ASKED_FOR`, each as (low, estimate, high)."""

    slope: tuple[float, float, float]
    asked_for: tuple[float, float, float]


def main() -> None:
    """Measure every point, print it, and keep the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="also write docs/connections.md and its JSON")
    parser.add_argument("--most", type=int, default=max(COUNTS[SMALL]), help="hold at most so many connections")
    asked = parser.parse_args()
    most = min(asked.most, _allow_files() - FILES_BESIDE)
    cores = core_map(available(), 1, siblings(available()))
    os.sched_setaffinity(0, cores.generator)
    points, in_chat, disturbed = [], [], 0
    for read_buffer, count in planned(most):
        if not quiet.wait_until_quiet((*cores.target, *cores.generator), gates.LIMITS.foreign_degraded, QUIET_LIMIT_S):
            disturbed += 1
            print("others use the cores: what follows is not to be trusted", flush=True)
        points.append(measured(read_study(STUDY), cores, read_buffer, count))
        print(_told(points[-1]), flush=True)
    for count in (count for count in (*CHAT_COUNTS, *reversed(CHAT_COUNTS)) if count <= most):
        in_chat.append(held_by_chat(read_study(CHAT), cores, count))
        print(f"chat, {count:>6,} connections: resident {in_chat[-1]['rss_bytes'] / 2**20:.3g} MiB", flush=True)
    content = {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": provenance.machine(),
        "tokio": provenance.locked_version(manifest.TEMPLATES / "Cargo.lock", "tokio"),
        "disturbed": disturbed,
        "points": [asdict(point) for point in points],
        "chat": in_chat,
    }
    text = page(content)
    if asked.keep:
        KEPT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(text, encoding="utf-8")


def planned(most: int) -> Iterator[tuple[int, int]]:
    """Yield (read buffer, connections) of every start in its order: up, then down, so that a drift of the host cancels."""
    for number in range(ROUNDS):
        for read_buffer, counts in COUNTS.items():
            held = [count for count in counts if count <= most]
            yield from ((read_buffer, count) for count in (held if number % 2 == 0 else reversed(held)))


# One start of a target


@contextmanager
def _started(study: Study, values: dict[str, Level], cores: CoreMap) -> Iterator[tuple[Service, Placement]]:
    """Yield the study's target with `values`, ready and in its place; it is ended in any case."""
    program = build.build(study, variant.of(study, values))
    port, admin_port = inspect.free_ports()
    placement = Placement(cores.target, None, port, admin_port, secrets.token_hex(8))
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessBackend(Path(folder) / "children.json").serve(program, placement) as service,
    ):
        inspect.wait_ready(service, placement, has_admin=True, limit_s=READY_LIMIT_S)
        yield service, placement


def held_by_chat(study: Study, cores: CoreMap, count: int) -> dict[str, int]:
    """Start the chat, hold `count` silent connections in one room, and return its threads and resident memory (bytes)."""
    with (
        _started(study, {"receipts": "ended"}, cores) as (service, placement),
        closing(Held(placement.port, "/rooms/kitchen", count)),
    ):
        time.sleep(SETTLE_S)
        rss_bytes = _known(inspect.rss_bytes(service.pid))
        return {"connections": count, "threads": _threads(service), "rss_bytes": rss_bytes}


def measured(study: Study, cores: CoreMap, read_buffer: int, count: int) -> Point:
    """Start the hub, hold `count` connections, and return what it takes."""
    with _started(study, {"read_buffer": read_buffer}, cores) as (service, placement):
        port = placement.port
        kernel_bytes = _slab_bytes()
        with closing(Held(port, "/topics/all", count)) as held:
            kernel_bytes = _slab_bytes() - kernel_bytes
            time.sleep(SETTLE_S)
            rss_bytes, threads = _known(inspect.rss_bytes(service.pid)), [_threads(service)]
            with _cpu(service) as idle:
                time.sleep(IDLE_S)
            with closing(Held(port, "/echo", 1)) as one, _cpu(service) as echo:
                for _ in range(ECHOES):
                    one.say()
                    one.hear(1)
                threads.append(_threads(service))
            with closing(Held(port, "/topics/all", 1, beside=held)) as speaker, _cpu(service) as broadcast:
                for _ in range(BROADCASTS):
                    speaker.say()
                    speaker.hear(count + 1)
                threads.append(_threads(service))
        return Point(
            read_buffer=read_buffer,
            connections=count,
            workers=int(str(inspect.read_runtime(placement)["workers"])),
            threads=max(threads),
            rss_bytes=rss_bytes,
            peak_rss_bytes=_known(inspect.vm_hwm_bytes(service.pid)),
            kernel_bytes=kernel_bytes,
            idle_cpu_share=idle[0] / (IDLE_S * 1e9),
            echo_cpu_us=echo[0] / ECHOES / 1e3,
            broadcast_cpu_ms=broadcast[0] / BROADCASTS / 1e6,
        )


class Held:
    """WebSockets of this process that are held open; the first of them can say something."""

    def __init__(self, port: int, path: str, count: int, beside: Held | None = None) -> None:
        """Open `count`, one after the other; `beside` are others whose messages are heard as well."""
        self._opening = WSConnection(ConnectionType.CLIENT).send(Handshake(host=LOOPBACK, target=path))
        self._message = Frames(ConnectionType.CLIENT).send(TextMessage(TEXT))
        self.heard = select.epoll() if beside is None else beside.heard
        self.sockets: list[socket.socket] = []
        first = 0 if beside is None else len(beside.sockets)
        for number in range(first, first + count):
            self.sockets.append(self._opened(port, number))
            self.heard.register(self.sockets[-1], select.EPOLLIN)

    def say(self) -> None:
        """Say TEXT."""
        self.sockets[0].sendall(self._message)

    def hear(self, messages: int) -> None:
        """Wait until so many have come, on whichever connections; ends the program when they do not."""
        left = messages * (len(TEXT) + 2)  # the head of a short frame from a server
        end = time.monotonic() + HEARD_LIMIT_S
        while left > 0:
            ready = self.heard.poll(HEARD_LIMIT_S, 4096)
            if not ready or time.monotonic() > end:
                sys.exit(f"{left} bytes of {messages} messages did not come within {HEARD_LIMIT_S:g} s")
            for descriptor, _ in ready:
                left -= len(os.read(descriptor, 65536))

    def close(self) -> None:
        """Close all of its own."""
        for one in self.sockets:
            one.close()

    def _opened(self, port: int, number: int) -> socket.socket:
        made = socket.socket()
        made.settimeout(READY_LIMIT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if number >= FROM_EACH:
            made.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            made.bind((f"127.0.0.{1 + number // FROM_EACH}", 0))
        made.connect((LOOPBACK, port))
        made.sendall(self._opening)
        answer = made.recv(4096)
        if not answer.startswith(SWITCHED):
            sys.exit(f"connection {number} was answered {answer[:60]!r}")
        return made


@contextmanager
def _cpu(service: Service) -> Iterator[list[int]]:
    """Yield a list that holds the service's CPU time of the block (ns) when it is over."""
    taken: list[int] = []
    before = _known(inspect.process_cpu_ns(service.pid))
    yield taken
    taken.append(_known(inspect.process_cpu_ns(service.pid)) - before)


def _threads(service: Service) -> int:
    return _known(inspect.threads(service.pid))


def _known(figure: int | None) -> int:
    if figure is None:
        sys.exit("the hub has gone, or this host does not tell its figures")
    return figure


def _slab_bytes() -> int:
    found = re.search(r"^Slab:\s+(\d+) kB$", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _allow_files() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


# From points to the page: pure


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """Return the least-squares line through (connections, figure): Student's t for the slope, and for one new figure.

    Assumes that the figure grows in a straight line, with errors that are independent and alike everywhere.
    """
    x, y = np.array(points, dtype=float).T
    count, mean = len(x), x.mean()
    square = float(((x - mean) ** 2).sum())
    slope = float(((x - mean) * (y - y.mean())).sum()) / square
    left = y - y.mean() - slope * (x - mean)
    error = float(np.sqrt((left**2).sum() / (count - 2)))
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 2))
    of_slope = quantile * error / square**0.5
    of_new = quantile * error * (1 + 1 / count + (ASKED_FOR - mean) ** 2 / square) ** 0.5
    at = float(y.mean() + slope * (ASKED_FOR - mean))
    return Line((slope - of_slope, slope, slope + of_slope), (at - of_new, at, at + of_new))


@dataclass(frozen=True)
class Extrapolated:
    """A field of the points that a line is put through, and its unit and factor for one connection and for all."""

    what: str
    read_buffer: int
    field: str
    each: tuple[str, float]
    whole: tuple[str, float]


_MEMORY = ("KiB", 2.0**-10), ("MiB", 2.0**-20)
_US, _MS_BY_US, _MS, _PERCENT = ("us", 1.0), ("us", 1e3), ("ms", 1.0), ("% of a core", 100.0)
EXTRAPOLATED = (
    Extrapolated("resident memory, read buffer 1 KiB", SMALL, "rss_bytes", *_MEMORY),
    Extrapolated("its peak, after echoes and broadcasts", SMALL, "peak_rss_bytes", *_MEMORY),
    Extrapolated("resident memory, read buffer 128 KiB", LIBRARY, "rss_bytes", *_MEMORY),
    Extrapolated("kernel's memory, both ends", SMALL, "kernel_bytes", *_MEMORY),
    Extrapolated("CPU time of one broadcast to all, read buffer 1 KiB", SMALL, "broadcast_cpu_ms", _MS_BY_US, _MS),
    Extrapolated("CPU time of one broadcast to all, read buffer 128 KiB", LIBRARY, "broadcast_cpu_ms", _MS_BY_US, _MS),
    Extrapolated("CPU time of one echo", SMALL, "echo_cpu_us", _US, _US),
    Extrapolated("CPU while nobody says anything", SMALL, "idle_cpu_share", _PERCENT, _PERCENT),
)


def page(content: dict[str, Any]) -> str:
    """Return docs/connections.md for what `--keep` stored. Pure."""
    machine, rows = content["machine"], content["points"]
    most = max(row["connections"] for row in rows)
    lines = [
        "# What a held-open connection costs",
        "",
        f"Generated by `make bench-connections` ({content['at']}); not edited by hand. The target `hub` on one core as a",
        f"process, Tokio {content['tokio']}; absolute figures are those of this machine: {machine['cpu_model']},",
        f"{machine['cores']} cores{', virtual' if machine['virtual'] else ''}, kernel {machine['kernel']}. A process may have",
        f"{machine['open_files'][1]:,} files here, so at most {most:,} connections were held.",
        "",
        *_disturbed(content["disturbed"]),
        f"## At {ASKED_FOR:,} connections",
        "",
        f"A line through the measured points, with its {CONFIDENCE:.0%} interval; at {ASKED_FOR:,} that of one new measurement.",
        "",
        f"| figure | each connection adds | at {ASKED_FOR:,} |",
        "|---|---:|---:|",
        *(_extrapolated(figure, rows) for figure in EXTRAPOLATED),
        "",
        *_BEYOND,
        "",
        *_chat_told(content["chat"]),
        "",
        "## Threads",
        "",
        *_threads_told(rows),
        "",
        "## Measured",
        "",
        f"Medians of {ROUNDS} starts each. Echoes go one by one over one connection beside the held ones; a broadcast is one",
        f"message of {len(TEXT)} bytes to all of them.",
        "",
        f"| read buffer | connections | threads | {' | '.join(_COLUMNS)} |",
        f"|---:|---:|---:|{'---:|' * len(_COLUMNS)}",
        *_measured_lines(rows),
        "",
    ]
    return "\n".join(lines)


_BEYOND = (
    "Beyond what was measured the line is a guess that nothing new begins. What is known to begin: a process needs a limit of",
    "more than 100,000 files, and one client address has some 28,000 ports towards one port. A read buffer is zeroed by every",
    "read: a large one is resident even where nothing comes, and costs CPU time each time that its connection wakes. The",
    "kernel's memory is not in the resident memory; client and server share this host, so a server alone has half of it.",
)
_COLUMNS = {
    "resident MiB": ("rss_bytes", 2.0**-20),
    "peak MiB": ("peak_rss_bytes", 2.0**-20),
    "kernel MiB": ("kernel_bytes", 2.0**-20),
    "idle CPU %": ("idle_cpu_share", 100.0),
    "echo us": ("echo_cpu_us", 1.0),
    "broadcast ms": ("broadcast_cpu_ms", 1.0),
}
"""Columns of the measured table: the field of a point, and its factor."""


def _disturbed(starts: int) -> list[str]:
    if not starts:
        return []
    return [f"Others used the cores before {starts} of the starts: the CPU figures are not to be trusted.", ""]


def _extrapolated(figure: Extrapolated, rows: Sequence[dict[str, Any]]) -> str:
    line = fit([(row["connections"], row[figure.field]) for row in rows if row["read_buffer"] == figure.read_buffer])
    return f"| {figure.what} | {_interval(line.slope, *figure.each)} | {_interval(line.asked_for, *figure.whole)} |"


def _interval(ends: tuple[float, float, float], unit: str, factor: float) -> str:
    low, estimate, high = (_figure(end * factor) for end in ends)
    return f"{estimate} {unit} ({low} to {high})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - thousands have no fraction


def _chat_told(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what a member of the chat costs, which is the library's read buffer and little else."""
    line = fit([(row["connections"], row["rss_bytes"]) for row in rows])
    held = max(row["connections"] for row in rows)
    return [
        "## A member of the chat",
        "",
        "The target `chat` sets no read buffer, as most services; its members say nothing here. Each of them adds",
        f"{_interval(line.slope, *_MEMORY[0])} of resident memory, up to {held:,} held; {ASKED_FOR:,} would take",
        f"{_interval(line.asked_for, *_MEMORY[1])}.",
    ]


def _threads_told(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the threads of all starts say; other than main, probe and workers would be news."""
    beside, workers = {row["threads"] - row["workers"] for row in rows}, {row["workers"] for row in rows}
    if beside != {2} or len(workers) != 1:
        return [
            f"Beside the workers there were {sorted(beside)} threads; 2 were expected, the main thread and the probe."
        ]
    count = workers.pop()
    return [
        f"{count + 2} at every number of connections, idle or not: the main thread, the probe and {count} worker(s).",
        "`enable_io` makes no thread for the driver: the worker that has nothing to do waits for the sockets.",
    ]


def _measured_lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for read_buffer, count in sorted({(row["read_buffer"], row["connections"]) for row in rows}):
        of = [row for row in rows if (row["read_buffer"], row["connections"]) == (read_buffer, count)]
        medians = [median(row[name] for row in of) * factor for name, factor in _COLUMNS.values()]
        told = " | ".join(_figure(value) for value in medians)
        yield f"| {read_buffer:,} | {count:,} | {max(row['threads'] for row in of)} | {told} |"


def _told(point: Point) -> str:
    row = asdict(point)
    told = ", ".join(f"{name} {_figure(row[field] * factor)}" for name, (field, factor) in _COLUMNS.items())
    return f"read buffer {point.read_buffer:>7,}, {point.connections:>6,} connections: {point.threads} threads, {told}"


if __name__ == "__main__":
    main()
