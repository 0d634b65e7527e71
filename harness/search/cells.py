"""A cell: a place in the design that wants one window. Owns the rules for running a window again.

An INVALID window is run again once, a FAILED one is retried once; what came of it then stands. Decided by validity
alone, never by a figure of the window.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.ledger.record import History, WindowRecord
from harness.study.model import Level
from harness.variant import Phase, Role, Step, Variant
from harness.window.measurement import Validity

QUIET_LIMIT_S, LONGEST_WAIT_S = 60.0, 480.0
"""How long the window after an INVALID one waits for a quiet host; twice as long after each further one in a row, up to
the second.

A neighbour of a shared machine comes in bursts of minutes, and a job of the night has them: the five in a row that end
a run are at most 15 minutes of waiting."""


@dataclass(frozen=True)
class Cell:
    """What is to be measured at one place; a `Step` is one attempt at it."""

    phase: Phase
    role: Role
    block: int
    position: int
    variant: Variant
    schedule_seed: int
    proposed: Mapping[str, Level] = field(default_factory=dict)

    def attempt(self, number: int) -> Step:
        """Return the step that measures this cell for the `number`-th time, counted from 0."""
        return Step(
            phase=self.phase,
            role=self.role,
            block=self.block,
            position=self.position,
            attempt=number,
            variant=self.variant,
            schedule_seed=self.schedule_seed,
            proposed=dict(self.proposed),
        )


def first_open(history: History, phase: Phase, cells: Iterable[Cell]) -> Step | None:
    """Return the next attempt at the first cell that is not settled, None when all are."""
    attempts = by_place(history.of_phase(phase))
    for cell in cells:
        made = attempts.get((cell.block, cell.position), [])
        if not settled(made):
            return cell.attempt(len(made))
    return None


def by_place(records: Sequence[WindowRecord]) -> dict[tuple[int, int], list[WindowRecord]]:
    """Return the attempts at each (block, position) of one phase, in order."""
    places: dict[tuple[int, int], list[WindowRecord]] = {}
    for record in records:
        places.setdefault((record.block, record.position), []).append(record)
    return places


def settled(attempts: Sequence[WindowRecord]) -> bool:
    """Whether a cell needs no further window: it has a usable one, or was INVALID twice or FAILED twice."""
    return bool(attempts) and (attempts[-1].validity.usable or _repeated(attempts))


def failed_for_good(attempts: Sequence[WindowRecord]) -> bool:
    """Whether the cell's variant FAILED twice there."""
    return settled(attempts) and attempts[-1].validity is Validity.FAILED


def infeasible(records: Sequence[WindowRecord]) -> frozenset[str]:
    """Return the ids of the variants that FAILED twice at one place."""
    groups: dict[tuple[str, int, int], list[WindowRecord]] = {}
    for record in records:
        groups.setdefault((record.phase, record.block, record.position), []).append(record)
    return frozenset(group[0].variant for group in groups.values() if failed_for_good(group))


def quiet_limit_s(before: Sequence[WindowRecord]) -> float:
    """Return for how many seconds the window after `before` may wait for a quiet host; 0 unless the last was INVALID."""
    in_a_row = sum(1 for _ in itertools.takewhile(lambda one: one.validity is Validity.INVALID, reversed(before)))
    return min(QUIET_LIMIT_S * 2 ** (in_a_row - 1), LONGEST_WAIT_S) if in_a_row else 0.0


def _repeated(attempts: Sequence[WindowRecord]) -> bool:
    return sum(record.validity is attempts[-1].validity for record in attempts) > 1
