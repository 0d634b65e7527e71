"""What /proc and the cgroups tell about one process of this host, and which process is meant. Readers only.

A figure that cannot be read (the process is gone, the kernel does not tell) is None, never 0. An identity names a
process for as long as the host runs: a pid alone is used again.
"""

from __future__ import annotations

import os
import re
import select
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True)
class Stat:
    """The part of /proc/<pid>/stat that is used here; `start_time` is in clock ticks since boot."""

    state: str
    threads: int
    start_time: int


def parse_stat(text: str) -> Stat:
    """Read the text of /proc/<pid>/stat. The name in parentheses may itself hold spaces and parentheses."""
    fields = text.rpartition(")")[2].split()
    return Stat(state=fields[0], threads=int(fields[17]), start_time=int(fields[19]))


def stat(pid: int) -> Stat | None:
    """Return the process's stat; None when there is no such process, or only the zombie that is left of it."""
    text = _text(_PROC / str(pid) / "stat")
    found = parse_stat(text) if text else None
    return None if found is None or found.state in {"Z", "X"} else found


def process_cpu_ns(pid: int) -> int | None:
    """Return the CPU time that a process has used, in nanoseconds, threads that have ended included.

    The kernel's per-process clock is exact. The alternatives are not: /proc/<pid>/stat counts ticks of 10 ms,
    /proc/<pid>/schedstat only the main thread, and task/*/schedstat loses the threads of a blocking pool when they end.
    The clock's number is what clock_getcpuclockid(3) computes. Child processes are not included.
    """
    if pid <= 0:
        return None  # the kernel would read 0 as "this process"
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return None


def threads(pid: int) -> int | None:
    """Return how many threads the process has now."""
    found = stat(pid)
    return None if found is None else found.threads


def switches(pid: int) -> tuple[int, int] | None:
    """Return how often the process's threads of now gave up their core (voluntary) and lost it (involuntary) so far.

    None where it has more than MOST_THREADS threads: the kernel keeps the counts by thread, a file each.
    """
    tasks = list((_PROC / str(pid) / "task").glob("*/status"))
    if not tasks or len(tasks) > MOST_THREADS:
        return None
    found = [parse_switches(_text(task)) for task in tasks]
    return sum(gave for gave, _ in found), sum(lost for _, lost in found)


def parse_switches(text: str) -> tuple[int, int]:
    """Return (voluntary, involuntary) context switches from a task's status; (0, 0) of a task that has just ended."""
    found = dict(re.findall(r"^(voluntary|nonvoluntary)_ctxt_switches:\s*(\d+)$", text, re.MULTILINE))
    return int(found.get("voluntary", 0)), int(found.get("nonvoluntary", 0))


MOST_THREADS = 64
"""Threads whose counts are read ten times a second: about 15 us each."""


def thread_names(pid: int) -> tuple[str, ...]:
    """Return the names of the process's threads now, sorted; the kernel cuts them at 15 characters."""
    return tuple(sorted(_text(file).strip() for file in (_PROC / str(pid) / "task").glob("*/comm")))


def rss_bytes(pid: int) -> int | None:
    """Return the resident memory of the process now."""
    fields = _text(_PROC / str(pid) / "statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else None


def vm_hwm_bytes(pid: int) -> int | None:
    """Return the highest resident memory of the process so far (its cgroup's maximum would count page cache too)."""
    return parse_vm_hwm(_text(_PROC / str(pid) / "status"))


def parse_vm_hwm(text: str) -> int | None:
    """Return VmHWM in bytes from the text of /proc/<pid>/status."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def most_files(pid: int) -> int | None:
    """Return how many files the process may have open; None where that is not told or without limit."""
    found = re.search(r"^Max open files\s+(\d+)", _text(_PROC / str(pid) / "limits"), re.MULTILINE)
    return int(found.group(1)) if found else None


def cgroup_cpu_throttled_s(pid: int) -> float | None:
    """Return the seconds for which a CPU quota has held up the process's cgroup, since the cgroup exists."""
    path = parse_cpu_cgroup(_text(_PROC / str(pid) / "cgroup"))
    if path is None:
        return None
    for mount in ("cpu,cpuacct", "cpu", ""):
        found = parse_throttled_s(_text(_CGROUPS / mount / path / "cpu.stat"))
        if found is not None:
            return found
    return None


def parse_cpu_cgroup(text: str) -> str | None:
    """Return the path of the cgroup that accounts CPU, from /proc/<pid>/cgroup: v1's cpu controller, else v2's one."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    return paths.get("cpu", paths.get(""))


def parse_throttled_s(text: str) -> float | None:
    """Return the throttled seconds from a cpu.stat: nanoseconds in cgroup v1, microseconds in v2."""
    for key, unit in (("throttled_time", 1e-9), ("throttled_usec", 1e-6)):
        found = re.search(rf"^{key} (\d+)$", text, re.MULTILINE)
        if found:
            return int(found.group(1)) * unit
    return None


def identity(pid: int) -> str | None:
    """Return `<pid>:<start time>:<boot id>:<pid namespace>`, which no other process ever shares; None if it is gone."""
    found = stat(pid)
    return None if found is None else f"{pid}:{found.start_time}:{_boot_id()}:{_pid_namespace()}"


def has_ended(named: str) -> bool:
    """Whether the process of that identity is known to be gone. What cannot be judged from here has not ended.

    An identity of another pid namespace of the same boot (a harness inside a container) cannot be judged.
    """
    parts = named.split(":")
    if len(parts) != 4 or not parts[0].isdigit():  # noqa: PLR2004 - the parts of an identity
        return False
    pid, _, boot, namespace = parts
    if boot != _boot_id():
        return True
    return namespace == _pid_namespace() and identity(int(pid)) != named


def wait_gone(pid: int, limit_s: float) -> bool:
    """Wait until the process has ended, at most `limit_s`; whether it has. It need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return bool(waiting.poll(limit_s * 1000))
    finally:
        os.close(descriptor)


def _boot_id() -> str:
    return _text(_PROC / "sys/kernel/random/boot_id").strip()


def _pid_namespace() -> str:
    try:
        return str((_PROC / "self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
