"""What the host did during a window: CPU time used on each core, steal. Readers of /proc and cgroups, nothing judged."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_ROOT_CPUACCT = Path("/sys/fs/cgroup/cpuacct/cpuacct.usage_percpu")


@dataclass(frozen=True)
class CpuUse:
    """CPU nanoseconds since boot: used by all tasks of each core, and taken away by the hypervisor from each core."""

    used_ns: Mapping[int, int]
    steal_ns: Mapping[int, int]


def read_cpu_use() -> CpuUse:
    """Read the host's CPU account.

    cgroup v1 counts run time of each core exactly; elsewhere /proc/stat counts it in ticks of 10 ms, which is coarse
    but unbiased over a window of seconds. Interrupt time is left out: it belongs to nobody's account.
    """
    text = Path("/proc/stat").read_text(encoding="ascii")
    used, steal = parse_proc_stat(text)
    try:
        exact = parse_usage_percpu(_ROOT_CPUACCT.read_text(encoding="ascii"))
    except OSError:
        exact = {}
    return CpuUse(exact or used, steal)


def read_cpu_pressure_us() -> int | None:
    """Return for how many microseconds since boot some task has waited for a core (PSI); None where the host is without."""
    try:
        return parse_pressure_us(Path("/proc/pressure/cpu").read_text(encoding="ascii"))
    except OSError:
        return None


def parse_pressure_us(text: str) -> int | None:
    """Return the total of the line `some` in the text of /proc/pressure/cpu."""
    found = re.search(r"^some .*\btotal=(\d+)$", text, re.MULTILINE)
    return int(found.group(1)) if found else None


def parse_proc_stat(text: str) -> tuple[dict[int, int], dict[int, int]]:
    """Return (used, steal) nanoseconds of each core from the text of /proc/stat (user + nice + system; steal)."""
    used: dict[int, int] = {}
    steal: dict[int, int] = {}
    for line in text.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name != "cpu":
            ticks = [int(field) for field in fields]
            used[int(name[3:])] = sum(ticks[:3]) * NS_PER_TICK
            steal[int(name[3:])] = (ticks[7] if len(ticks) > 7 else 0) * NS_PER_TICK  # noqa: PLR2004 - proc(5)
    return used, steal


def parse_usage_percpu(text: str) -> dict[int, int]:
    """Return nanoseconds of each core from the text of cgroup v1's cpuacct.usage_percpu."""
    return {core: int(field) for core, field in enumerate(text.split())}


def share(before: Mapping[int, int], after: Mapping[int, int], cores: tuple[int, ...], wall_ns: int) -> float:
    """Return the CPU time spent on `cores` between two readings, in cores (1.0 is one core fully used)."""
    return sum(after.get(core, 0) - before.get(core, 0) for core in cores) / max(1, wall_ns)
