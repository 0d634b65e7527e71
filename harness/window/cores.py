"""Which cores the target, the generator and the harness get. Decided once a run, printed and recorded."""

from __future__ import annotations

import os
from dataclasses import dataclass

from harness.errors import MachineError


@dataclass(frozen=True)
class CoreMap:
    """Core numbers of each party. `shared` says in words what two parties have to share, or is empty."""

    target: tuple[int, ...]
    generator: tuple[int, ...]
    harness: tuple[int, ...]
    shared: str = ""


def available() -> tuple[int, ...]:
    """Return the cores that this process may run on, in rising order."""
    return tuple(sorted(os.sched_getaffinity(0)))


def core_map(cores: tuple[int, ...], target_cpus: int) -> CoreMap:
    """Give the target the last `target_cpus` cores, the generator the first, the harness a third one if there is one.

    The first core tends to serve interrupts and the system's own work, so the target keeps away from it. Generator and
    target share cores only where there are not enough. MachineError when the target asks for more than there are.
    """
    if target_cpus > len(cores):
        raise MachineError(
            f"the study gives the target {target_cpus} cores but this process may use {len(cores)}: "
            f"set target.cpus to {max(1, len(cores) - 1)} or less, or run on a larger machine"
        )
    target = cores[len(cores) - target_cpus :]
    free = cores[: len(cores) - target_cpus]
    if not free:
        return CoreMap(target, cores, cores, "generator and target share cores: there is no free core")
    return CoreMap(target, free[:1], free[1:2] or free[:1])
