"""What is known of each request while a window runs: a list a column, an element a request."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from harness.load.job import UNFINISHED
from harness.load.samples import Samples
from harness.load.schedule import Schedule

PENDING = -1
"""The outcome of a request that has none yet."""


@dataclass
class Rows:
    """The columns of SAMPLE_COLUMNS so far. Lists, because Python reads and writes them faster than typed arrays."""

    intended: list[int] = field(default_factory=list)
    kind: list[int] = field(default_factory=list)
    woken: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    outcome: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    connection: list[int] = field(default_factory=list)

    def plan(self, schedule: Schedule, start_ns: int) -> None:
        """Make room for all requests of an open schedule, so that nothing grows while the window runs."""
        count = len(schedule.offsets_ns)
        self.intended = (schedule.offsets_ns + start_ns).tolist()
        self.kind = schedule.kinds.tolist()
        self.woken, self.sent, self.done = [0] * count, [0] * count, [0] * count
        self.outcome, self.connection = [PENDING] * count, [-1] * count
        self.status, self.size = [0] * count, [0] * count

    def add(self, kind: int, intended_ns: int, woken_ns: int) -> int:
        """Append a request of the closed model, intended when its connection is free and has thought; return its index."""
        self.intended.append(intended_ns)
        self.woken.append(woken_ns)
        self.kind.append(kind)
        self.sent.append(0)
        self.done.append(0)
        self.outcome.append(PENDING)
        self.status.append(0)
        self.size.append(0)
        self.connection.append(-1)
        return len(self.intended) - 1

    def samples(self, t0_ns: int, t1_ns: int) -> Samples:
        """Return the requests whose intended time lies in [t0, t1); what has no outcome yet is unfinished."""
        intended = np.array(self.intended, dtype=np.int64)
        inside = (intended >= t0_ns) & (intended < t1_ns)
        outcome = np.array(self.outcome, dtype=np.int8)
        outcome[outcome == PENDING] = UNFINISHED
        return Samples(
            intended_ns=intended[inside],
            woken_ns=np.array(self.woken, dtype=np.int64)[inside],
            sent_ns=np.array(self.sent, dtype=np.int64)[inside],
            done_ns=np.array(self.done, dtype=np.int64)[inside],
            outcome=outcome[inside],
            status=np.array(self.status, dtype=np.int16)[inside],
            bytes=np.minimum(np.array(self.size, dtype=np.int64), 2**31 - 1).astype(np.int32)[inside],
            kind=np.array(self.kind, dtype=np.int16)[inside],
            connection=np.array(self.connection, dtype=np.int32)[inside],
        )
