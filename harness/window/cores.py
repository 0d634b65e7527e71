"""Which cores the target, the generator and the harness get. Decided once a run, printed and recorded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MachineError


@dataclass(frozen=True)
class CoreMap:
    """Core numbers of each party.

    `shared` says in words that target and generator have cores in common, `siblings` that they have only hyper-threads of
    one physical core to themselves; both are empty where they are apart.
    """

    target: tuple[int, ...]
    generator: tuple[int, ...]
    harness: tuple[int, ...]
    shared: str = ""
    siblings: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What every window of this map is DEGRADED for."""
        return tuple(note for note in (self.shared, self.siblings) if note)


def available() -> tuple[int, ...]:
    """Return the cores that this process may run on, in rising order."""
    return tuple(sorted(os.sched_getaffinity(0)))


def siblings(cores: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the cores in groups that share one physical core (hyper-threads), by their lowest number.

    Where the host does not tell, each core is a group of its own.
    """
    groups: dict[tuple[int, ...], None] = {}
    for core in cores:
        try:
            text = _SIBLINGS.format(core=core)
            told = parse_cores(Path(text).read_text(encoding="ascii"))
        except (OSError, ValueError):
            told = (core,)
        groups[tuple(one for one in told if one in cores) or (core,)] = None
    return tuple(sorted(groups))


_SIBLINGS = "/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"


def parse_cores(text: str) -> tuple[int, ...]:
    """Return the numbers of a list such as "0-1,4"; ValueError where it is none."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)


def core_map(
    cores: tuple[int, ...], target_cpus: int, groups: tuple[tuple[int, ...], ...] = (), *, spread: bool = False
) -> CoreMap:
    """Give the target the last `target_cpus` cores, the generator the first, the harness a third one if there is one.

    With `spread` the generator, an engine with threads, gets all others but the harness's.

    The first core tends to serve interrupts and the system's own work, so the target keeps away from it. `groups` are the
    hyper-threads of each physical core: where there is room for it, generator and harness stay off the physical cores of
    the target, since two busy hyper-threads slow each other down by about a third. Generator and target share cores only
    where there are not enough. MachineError when the target asks for more than there are.
    """
    if target_cpus > len(cores):
        raise MachineError(
            f"the study gives the target {target_cpus} cores but this process may use {len(cores)}: "
            f"set target.cpus to {max(1, len(cores) - 1)} or less, or run on a larger machine"
        )
    physical = groups or tuple((core,) for core in cores)
    ordered = [core for group in physical for core in group]  # hyper-threads of one physical core stand together
    target = tuple(ordered[len(ordered) - target_cpus :])
    free = ordered[: len(ordered) - target_cpus]
    if not free:
        return CoreMap(target, cores, cores, "generator and target share cores: there is no free core")
    taken = {core for group in physical if set(group) & set(target) for core in group}
    apart = [core for core in free if core not in taken]
    others = apart or free
    beside = "" if apart else "generator and target share a physical core: its hyper-threads slow each other down"
    generator = others[:-1] or others if spread else others[:1]
    rest = [core for core in others if core not in generator]
    return CoreMap(target, tuple(generator), tuple(rest[:1] or generator[:1]), siblings=beside)
