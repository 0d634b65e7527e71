"""What the rules look at: the windows of one variant, with their figures, host facts and series. Pure records.

A column that a window's series has not is not known, which is never the same as 0: a rule that needs it does not fire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.diagnose.limits import limit
from harness.study import quantities
from harness.study.knobs import PER_CORE
from harness.study.model import UNSET, Level, Study
from harness.window.measurement import Figures, HostFacts

Floats = npt.NDArray[np.float64]

BLOCKING_CAP = 512
"""Tokio's own `max_blocking_threads`, facts/tokio.md 3.1."""
KEEP_ALIVE_S = 10.0
"""Tokio's own `thread_keep_alive` in seconds, facts/tokio.md 3.1."""
EVENT_INTERVAL = 61
"""Tokio's own `event_interval` in scheduler ticks, facts/tokio.md 3.1."""


@dataclass(frozen=True)
class Window:
    """One measured window: its number in the ledger, its figures, what the host said, its series by column.

    Each column has one value a row, unknown values are NaN; `t_s` is seconds since t0. `workers` is what the running
    service said, None where it said nothing.
    """

    n: int
    figures: Figures
    host: HostFacts
    series: Mapping[str, Floats]
    workers: int | None = None

    def column(self, name: str) -> Floats | None:
        """Return the values of a column in order, None where nothing of it is known."""
        values = self.series.get(name)
        return None if values is None or np.isnan(values).all() else values

    def mean(self, name: str) -> float | None:
        """Return the mean of a column's known values."""
        values = self.column(name)
        return None if values is None else float(np.nanmean(values))


@dataclass(frozen=True)
class Facts:
    """The usable windows of one variant of a study, at least one; `values` is the variant's canonical assignment.

    `died`: none was usable, because the service did not survive; these are the windows up to its end.
    """

    study: Study
    values: Mapping[str, Level]
    windows: tuple[Window, ...]
    died: bool = False

    @property
    def cores(self) -> int:
        """Cores that the target has to itself."""
        return self.study.target.cpus

    @property
    def workers(self) -> int:
        """Worker threads in force: as the service said, else as the variant sets them."""
        said = [window.workers for window in self.windows if window.workers]
        if said:
            return said[0]
        if self.values.get("flavor") == "current_thread":
            return 1
        return int(self.values.get("worker_threads", self.cores))

    @property
    def blocking_cap(self) -> int:
        """Most threads that the blocking pool may have; of several runtimes each has one."""
        pools = self.workers if self.values.get("flavor") == PER_CORE else 1
        return pools * int(self.values.get("max_blocking_threads", BLOCKING_CAP))

    @property
    def keep_alive_s(self) -> float:
        """Seconds after which an idle thread of the blocking pool ends."""
        level = self.values.get("thread_keep_alive", UNSET)
        return KEEP_ALIVE_S if level == UNSET else quantities.duration_s(level)

    @property
    def event_interval(self) -> int:
        """Scheduler ticks after which a busy worker looks for I/O."""
        return int(self.values.get("event_interval", EVENT_INTERVAL))

    @property
    def under_load_s(self) -> float:
        """Seconds of one window from the first request to t1."""
        return self.study.window.warmup_s + self.study.window.measure_s

    @property
    def brief(self) -> tuple[str, ...]:
        """What is to be said where the windows are too few to show that a symptom repeats; empty where they are not."""
        count = len(self.windows)
        if count >= limit("windows_sure") or self.study.window.measure_s >= limit("length_sure_s"):
            return ()
        return ("Only one usable window: it may not repeat.",)

    def knows(self, column: str) -> bool:
        """Whether any window has a known value of that column."""
        return any(window.column(column) is not None for window in self.windows)

    def columns(self, *, prefix: str, suffix: str) -> tuple[str, ...]:
        """Return the known columns so named, in the order of the numbers between, such as worker_0_busy_share."""
        named = {name for window in self.windows for name in window.series}
        found = [name for name in named if name.startswith(prefix) and name.endswith(suffix)]
        numbered = {name: int(number) for name in found if (number := name[len(prefix) : -len(suffix)]).isdigit()}
        return tuple(sorted((name for name in numbered if self.knows(name)), key=numbered.__getitem__))

    def median(self, of: Callable[[Window], float | None]) -> float | None:
        """Return the median over the windows of a figure, None where no window knows it."""
        return middle([value for window in self.windows if (value := of(window)) is not None])

    def median_mean(self, column: str) -> float | None:
        """Return the median over the windows of a column's mean."""
        return self.median(lambda window: window.mean(column))

    def typical(self, of: Callable[[Window], float | None]) -> int:
        """Return the number of the window whose figure is the middle one: the one to draw."""
        rated = sorted((value, window.n) for window in self.windows if (value := of(window)) is not None)
        return rated[len(rated) // 2][1] if rated else self.windows[0].n


def middle(values: Sequence[float]) -> float | None:
    """Return the median of known values, None of nothing."""
    return float(np.median(values)) if len(values) else None


def requests_per_s(window: Window, measured_s: float) -> float:
    """Return the requests that a window answered, a second."""
    return window.figures.completed / measured_s
