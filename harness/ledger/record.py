"""The lines of the ledger: one record a window, one record a decision. Versioned; old lines stay readable.

Format history:
1  first version
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from harness.study.model import Level
from harness.variant import Phase, Role
from harness.window.measurement import Figures, HostFacts, ServerFacts, StageTimes, Validity

SCHEMA = 1


class WindowRecord(BaseModel):
    """One line of windows.jsonl: what was asked for, and what came of it.

    `n` counts windows from 1; `after` is the number of decisions taken before this window, which fixes the order
    between the two files. `values` is the variant's canonical assignment. `started` and `ended` are Unix seconds.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    n: int
    after: int
    phase: Phase
    role: Role
    block: int
    position: int
    attempt: int
    variant: str
    values: Mapping[str, Level]
    proposed: Mapping[str, Level] = {}
    schedule_seed: int
    started: float
    ended: float
    validity: Validity
    reasons: tuple[str, ...] = ()
    metrics: Figures | None = None
    by_request: Mapping[str, Figures] = {}
    host: HostFacts = HostFacts()
    server: ServerFacts = ServerFacts()
    stages: StageTimes = StageTimes()
    in_force: Mapping[str, Any] = {}
    image: str = ""
    new_variant: bool = False
    log: str = ""


class DecisionRecord(BaseModel):
    """One line of decisions.jsonl. `after` is the number of windows in the ledger when it was taken."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    k: int
    after: int
    kind: Literal["suggest", "plan", "notice", "inert", "restart", "freeze", "look", "verdict"]
    at: float
    content: Mapping[str, Any]


class History(BaseModel):
    """The whole ledger in memory, in the order in which it was written: what `search` and `judge` are functions of."""

    model_config = ConfigDict(frozen=True)

    windows: tuple[WindowRecord, ...] = ()
    decisions: tuple[DecisionRecord, ...] = ()

    def decision(self, kind: str) -> Mapping[str, Any] | None:
        """Return the content of the last decision of that kind, or None."""
        found = [record.content for record in self.decisions if record.kind == kind]
        return found[-1] if found else None

    @property
    def restarts(self) -> tuple[Mapping[str, Any], ...]:
        """The blocks that were measured again because the host moved."""
        return tuple(record.content for record in self.decisions if record.kind == "restart")

    @property
    def set_aside(self) -> frozenset[int]:
        """The numbers of windows whose block was measured again."""
        return frozenset(n for restart in self.restarts for n in restart["windows"])

    def of_phase(self, phase: Phase) -> tuple[WindowRecord, ...]:
        """Return the windows of one phase, in order, without those that were set aside."""
        aside = self.set_aside
        return tuple(record for record in self.windows if record.phase == phase and record.n not in aside)
