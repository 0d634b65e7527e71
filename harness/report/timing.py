"""Where the wall time of a run went: from the stages of its windows. Pure."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.ledger.record import WindowRecord
from harness.report.read import Run

PAUSE_S = 90.0
"""Between two windows the loop waits a minute for a quiet host at the most: a longer gap is a run that was interrupted and
went on later."""

STAGES = {
    "build": "build_s",
    "start": "start_s",
    "connect": "connect_s",
    "warm-up": "warmup_s",
    "measure": "measure_s",
    "drain": "drain_s",
    "stop": "stop_s",
}
"""Stage as people call it -> its field in the stages of a window."""


@dataclass(frozen=True)
class Timing:
    """Seconds of a run. `wall_s` reaches from the start to the last event, without `paused_s`.

    `measuring_s` is the sum of [t0, t1); under load is warm-up, measure and drain, its share
    that of the wall time after the first build. Overhead is what else a window
    takes, as a mean over the windows that came to measure: all, those of a variant seen before, those of a new one.
    The run's first window, which may build all dependencies, is left out of the means. None: there was no other window.
    """

    wall_s: float
    paused_s: float
    measuring_s: float
    under_load_s: float
    under_load_share: float | None
    overhead_per_window_s: float | None
    overhead_seen_s: float | None
    overhead_new_s: float | None


@dataclass(frozen=True)
class Stage:
    """One part of the wall time, summed over all windows; `share` is of the wall time."""

    name: str
    seconds: float
    share: float


def timing(run: Run) -> Timing:
    """Return the account of the run's wall time."""
    windows = run.history.windows
    elapsed, paused = _elapsed(run)
    loaded = sum(_under_load(record) for record in windows)
    measured = [record for record in windows if record.stages.measure_s > 0]
    working = elapsed - paused - (windows[0].stages.build_s if windows else 0.0)
    later = [record for record in measured if record.n > 1]
    return Timing(
        wall_s=elapsed - paused,
        paused_s=paused,
        measuring_s=sum(record.stages.measure_s for record in windows),
        under_load_s=loaded,
        under_load_share=loaded / working if working > 0 else None,
        overhead_per_window_s=_mean_overhead(later),
        overhead_seen_s=_mean_overhead([record for record in later if not record.new_variant]),
        overhead_new_s=_mean_overhead([record for record in later if record.new_variant]),
    )


def stages(run: Run) -> tuple[Stage, ...]:
    """Return the parts of the wall time in the order of a window; "other" is all that lies between windows."""
    wall_s = timing(run).wall_s
    spent = {
        name: sum(getattr(record.stages, field) for record in run.history.windows) for name, field in STAGES.items()
    }
    spent["other"] = max(0.0, wall_s - sum(spent.values()))
    whole = sum(spent.values())
    return tuple(Stage(name, seconds, seconds / whole if whole else 0.0) for name, seconds in spent.items())


def _elapsed(run: Run) -> tuple[float, float]:
    """Return (seconds from the start to the last event, seconds of pauses in between)."""
    spans = [(record.started, record.ended) for record in run.history.windows]
    spans += [(decision.at, decision.at) for decision in run.history.decisions]
    events = [(run.started, run.started), *sorted(spans)]
    gaps = [max(0.0, after[0] - before[1]) for before, after in itertools.pairwise(events)]
    last = max(end for _, end in events)
    return last - run.started, sum(gap for gap in gaps if gap > PAUSE_S)


def _under_load(record: WindowRecord) -> float:
    return record.stages.warmup_s + record.stages.measure_s + record.stages.drain_s


def _mean_overhead(windows: Sequence[WindowRecord]) -> float | None:
    overheads = [max(0.0, record.stages.total_s - _under_load(record)) for record in windows]
    return statistics.fmean(overheads) if overheads else None
