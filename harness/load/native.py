"""The native engine's end in the generator's child: writes the job of the Rust program, runs it, reads its columns.

Schedule, kinds and request bytes are computed here, by the same code as for every engine; the program only carries them
out. What the files hold is described in `native/README.md`.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.load import schedule
from harness.load.job import SAMPLE_COLUMNS, Job, TargetRefused
from harness.load.models import QUEUE_LIMIT
from harness.load.samples import Samples
from harness.load.wire import request_bytes

LEAD_NS = 50_000_000
CONNECT_LIMIT_NS = 5_000_000_000
WATCHED_BEYOND_S = 0.1
"""How long after its window the program's process is kept, alive or not."""


@dataclass(frozen=True)
class Ran:
    """What the program said after a window, by its own names (see `load.job.Driven`), and its samples."""

    samples: Samples
    told: dict[str, int]
    start_ns: int
    t0_ns: int
    t1_ns: int


def run(program: Path, cores: tuple[int, ...], job: Job, started: Callable[[int, int, int, int], None]) -> Ran:
    """Carry out one window; `started(pid, start_ns, t0_ns, t1_ns)` is called when the schedule's clock starts.

    TargetRefused when connections did not come up, OSError when the program cannot go on.
    """
    with tempfile.TemporaryDirectory(prefix="native-", dir=job.samples.parent) as name:
        folder = Path(name)
        columns = folder / "samples"
        file = _write_job(job, cores, folder, columns)
        command = [str(program.absolute()), file.name]  # in the folder, so that no path has to fit into the job's lines
        with subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            try:
                times = _words(process, "started", job)
                start_ns, t0_ns, t1_ns = (int(word) for word in times)
                started(process.pid, start_ns, t0_ns, t1_ns)
                told = dict(_pair(word) for word in _words(process, "driven", job))
                # Whoever watches reads its CPU clock when the window is over, which goes when the process is reaped.
                time.sleep(max(0.0, (t1_ns - time.monotonic_ns()) / 1e9 + WATCHED_BEYOND_S))
            finally:
                process.kill()
        return Ran(_read(columns, told.pop("rows")), told, start_ns, t0_ns, t1_ns)


def _words(process: subprocess.Popen[bytes], expected: str, job: Job) -> list[str]:
    """Return the words of the program's next line, which has to begin with `expected`."""
    line = process.stdout.readline().decode() if process.stdout else ""
    word, *words = line.split() or [""]
    if word == expected:
        return words
    if word == "refused":
        limit_s = CONNECT_LIMIT_NS / 1e9
        raise TargetRefused(f"only {words[0]} of {job.load.connections} connections came up within {limit_s:.0f} s")
    if word == "error":
        raise OSError(int(words[0]), " ".join(words[1:]))
    raise OSError(f"the native load generator ended with exit code {process.wait()} instead of a result")


def _pair(word: str) -> tuple[str, int]:
    name, _, value = word.partition("=")
    return name, int(value)


def _write_job(job: Job, cores: tuple[int, ...], folder: Path, columns: Path) -> Path:
    load, times = job.load, job.times
    payloads = [request_bytes(request, job.port, keep_alive=load.keep_alive) for request in load.requests]
    (folder / "payloads").write_bytes(b"".join(payloads))
    requests = _write_schedule(job, folder / "schedule")
    lines = {
        "port": job.port,
        "model": load.model,
        "connections": load.connections,
        "threads": min(len(cores), load.connections),
        "cores": ",".join(map(str, cores)),
        "keep_alive": int(load.keep_alive),
        "queue_limit": QUEUE_LIMIT,
        "timeout_ns": int(load.timeout_s * 1e9),
        "lead_ns": LEAD_NS,
        "warmup_ns": int(times.warmup_s * 1e9),
        "measure_ns": int(times.measure_s * 1e9),
        "drain_ns": int(times.drain_s * 1e9),
        "connect_limit_ns": CONNECT_LIMIT_NS,
        "payloads": "payloads",
        "schedule": "schedule",
        "requests": requests,
        "think": int(load.think_s > 0),
        "samples": columns.name,
    }
    text = [f"{name} {value}" for name, value in lines.items()]
    for index, (request, payload) in enumerate(zip(load.requests, payloads, strict=True)):
        text.append(f"kind {request.expect_status} {int(request.method == 'HEAD')} {len(payload)}")
        if request.expect_contains:
            text.append(f"contains {index} {request.expect_contains.hex()}")
    (folder / "job").write_text("\n".join(text) + "\n", encoding="utf-8")
    return folder / "job"


def _write_schedule(job: Job, file: Path) -> int:
    """Write the schedule and return its length: requests of an open load, turns of each connection of a closed one."""
    load = job.load
    if load.model == "open":
        plan = schedule.arrivals(load, job.times, job.seed)
        file.write_bytes(plan.offsets_ns.astype("<i8").tobytes() + plan.kinds.astype("<i2").tobytes())
        return len(plan.offsets_ns)
    numbers = range(load.connections)
    parts = [schedule.closed_kinds(load, job.seed, number).astype("<i2").tobytes() for number in numbers]
    if load.think_s:
        parts += [schedule.closed_thinking_ns(load, job.seed, number).astype("<i8").tobytes() for number in numbers]
    file.write_bytes(b"".join(parts))
    return schedule.CLOSED_CYCLE


def _read(file: Path, rows: int) -> Samples:
    """Return the columns of SAMPLE_COLUMNS, which stand one after the other; OSError where rows are missing."""
    content = file.read_bytes()
    columns: dict[str, npt.NDArray[np.generic]] = {}
    at = 0
    for name, kind in SAMPLE_COLUMNS.items():
        size = np.dtype(kind).itemsize * rows
        columns[name] = np.frombuffer(content[at : at + size], dtype=np.dtype(kind).newbyteorder("<"))
        at += size
    if at != len(content):
        raise OSError(f"the native load generator wrote {len(content)} bytes of samples instead of {at}")
    return Samples(**columns)  # type: ignore[arg-type]  # each column has the type that its name says
