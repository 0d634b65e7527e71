"""Reads the samples and series of a run and reduces them to the points of a chart: exact first, thinned after.

Reads only the columns that are needed. A file that is not there (thinned by `harness clean`, never written) or that
cannot be read is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.ledger.record import WindowRecord
from harness.load.job import COMPLETED
from harness.report import tables
from harness.report.read import Run

Floats = npt.NDArray[np.float64]

MOST_POINTS = 120
BEYOND = 10
"""Fewest requests beyond a percentile for it to be drawn."""

SHOWN = {
    "busy_share": ("workers busy", "share of time"),
    "cpu": ("CPU", "cores"),
    "polls_s": ("polls", "a second"),
    "global_queue_depth": ("global queue", "tasks"),
    "remote_schedules_s": ("scheduled from outside the workers", "a second"),
    "steals_s": ("tasks stolen", "a second"),
    "forced_yields_s": ("yields forced by the budget", "a second"),
    "blocking_threads": ("blocking threads", "threads"),
    "blocking_queue_depth": ("blocking queue", "jobs"),
    "alive_tasks": ("alive tasks", "tasks"),
    "threads": ("threads of the process", "threads"),
    "nonvoluntary_switches": ("core taken away from a thread", "a second"),
    "voluntary_switches": ("threads that went to sleep", "a second"),
    "throttled_s": ("stopped by a CPU quota", "share of time"),
    "sockets": ("descriptors of the I/O driver", "descriptors"),
    "rss_bytes": ("resident memory", "MiB"),
}
"""Column of series.parquet -> (title, unit), in the order in which they are drawn."""

OF_THE_CLIENT = {
    "p95_ms": ("the client's p95, by intended send", "ms"),
    "completed_s": ("completed, by intended send", "a second"),
}
"""What the client saw in the same stretches of time -> (title, unit), in the order in which they are drawn."""

STRETCHES = 28
"""Stretches of a window for which the client's view is drawn, if each has FEWEST requests."""
FEWEST = 20

SCALE = {"rss_bytes": 1 / 2**20}


@dataclass(frozen=True)
class Percentiles:
    """One side's latency by percentile: pooled over its windows, and the range that single windows span.

    `quantile` runs from 0.1 towards 1, `ms` are from the intended send; requests without a success rank above all
    others and read as the time-out. `low_ms` and `high_ms` are of the first quantiles only, as far as one window tells.
    """

    quantile: tuple[float, ...]
    ms: tuple[float, ...]
    low_ms: tuple[float, ...]
    high_ms: tuple[float, ...]
    requests: int
    windows: int


@dataclass(frozen=True)
class Series:
    """One figure of the server over one window, means of equal stretches of time; `t_s` counts from t0."""

    column: str
    title: str
    unit: str
    t_s: tuple[float, ...]
    values: tuple[float, ...]


def percentiles(run: Run, records: Sequence[WindowRecord]) -> Percentiles | None:
    """Return the latency distribution of these windows, None where no sample is left."""
    found = (_latencies(run, record) for record in records)
    each = [latencies for latencies in found if latencies is not None and latencies.size]
    if not each:
        return None
    pooled = np.sort(np.concatenate(each))
    at = _quantiles(pooled.size)
    # A single window tells less of the tail than all of them: its range ends where it has too few requests beyond.
    own = at[at <= _quantiles(min(latencies.size for latencies in each))[-1]]
    of_windows = np.array([_at_ranks(np.sort(latencies), own) for latencies in each])
    return Percentiles(
        quantile=tuple(at.tolist()),
        ms=tuple(_at_ranks(pooled, at).tolist()),
        low_ms=tuple(of_windows.min(axis=0).tolist()),
        high_ms=tuple(of_windows.max(axis=0).tolist()),
        requests=int(pooled.size),
        windows=len(each),
    )


def series(run: Run, record: WindowRecord) -> tuple[Series, ...]:
    """Return what the server's side of one window looked like, a series for each figure that it told."""
    table = _columns(_series_file(run, record), ("t_s", *SHOWN))
    times = table.get("t_s")
    if times is None or not times.size:
        return ()
    thinned = ((name, *_thinned(times, table[name] * SCALE.get(name, 1.0))) for name in SHOWN if name in table)
    return tuple(Series(name, *SHOWN[name], t, values) for name, t, values in thinned if t)


def client(run: Run, record: WindowRecord) -> tuple[Series, ...]:
    """Return what the client saw over one window, of equal stretches of time; nothing where no sample is left."""
    names = ("intended_ns", "done_ns", "outcome")
    table = _columns(run.folder.window(record.n) / "samples.parquet", names)
    if table.keys() != set(names) or table["intended_ns"].size < FEWEST:
        return ()
    measure_s, timeout_ms = run.study.window.measure_s, run.study.load.timeout_s * 1000
    # The window begins at t0, which no column holds: the first request is intended within a moment of it.
    at_s = (table["intended_ns"] - table["intended_ns"][0]) / 1e9
    done = table["outcome"] == COMPLETED
    ms = np.where(done, (table["done_ns"] - table["intended_ns"]) / 1e6, timeout_ms)
    count = int(min(STRETCHES, max(1, at_s.size // FEWEST)))
    length_s = measure_s / count
    stretch = np.minimum((at_s / length_s).astype(int), count - 1)
    there = [index for index in range(count) if np.any(stretch == index)]
    middle = tuple((index + 0.5) * length_s for index in there)
    p95 = tuple(float(np.quantile(ms[stretch == index], 0.95)) for index in there)
    rate = tuple(float(np.count_nonzero(done & (stretch == index)) / length_s) for index in there)
    values = {"p95_ms": p95, "completed_s": rate}
    return tuple(Series(name, *OF_THE_CLIENT[name], middle, values[name]) for name in OF_THE_CLIENT)


def columns(run: Run, record: WindowRecord) -> dict[str, Floats]:
    """Return every column of one window's series as numbers, unknown ones NaN; nothing where there is no series."""
    return {name: values.astype(np.float64) for name, values in _columns(_series_file(run, record), None).items()}


def drawn(column: str, table: Mapping[str, Floats]) -> Series | None:
    """Return one column of `columns` as a series to draw, None where nothing of it is known."""
    if column not in table or "t_s" not in table:
        return None
    title, unit = SHOWN.get(column, (column.replace("_", " "), ""))
    t, values = _thinned(table["t_s"], table[column] * SCALE.get(column, 1.0))
    return Series(column, title, unit, t, values) if t else None


def typical_pair(run: Run) -> tuple[WindowRecord, WindowRecord] | None:
    """Return the (tested, baseline) pair whose objectives have the middle ratio: the one to look into."""
    rated = []
    for tested, base in run.pairs:
        first, second = tables.objective(run, tested), tables.objective(run, base)
        if first is not None and second:
            rated.append((first / second, tested.n, (tested, base)))
    return sorted(rated)[len(rated) // 2][2] if rated else None


def _quantiles(requests: int) -> Floats:
    """Return quantiles from 10 %, evenly spaced in nines, up to the last one with BEYOND requests beyond it."""
    first, deepest = -math.log10(0.9), max(math.log10(requests / BEYOND), 0.5)
    return np.asarray(1 - 10 ** -np.linspace(first, deepest, MOST_POINTS))


def _at_ranks(sorted_ms: Floats, quantiles: Floats) -> Floats:
    """Return the nearest-rank percentiles, the same rule as for the figures of a window."""
    ranks = np.maximum(1, np.ceil(quantiles * sorted_ms.size - 1e-9)).astype(int)
    return np.asarray(sorted_ms[np.minimum(ranks, sorted_ms.size) - 1])


def _latencies(run: Run, record: WindowRecord) -> Floats | None:
    names = ("intended_ns", "done_ns", "outcome", "kind")
    table = _columns(run.folder.window(record.n) / "samples.parquet", names)
    if not {"intended_ns", "done_ns", "outcome"} <= table.keys():
        return None
    ms = (table["done_ns"] - table["intended_ns"]) / 1e6
    latencies = np.where(table["outcome"] == COMPLETED, ms, run.study.load.timeout_s * 1000)
    kinds, of = list(record.by_request), run.study.objective.of
    if of in kinds and "kind" in table:
        latencies = latencies[table["kind"] == kinds.index(of)]
    return np.asarray(latencies, dtype=np.float64)


def _series_file(run: Run, record: WindowRecord) -> Path:
    return run.folder.window(record.n) / "series.parquet"


def _columns(file: Path, names: Sequence[str] | None) -> dict[str, npt.NDArray[Any]]:
    """Return the named columns that the file has (None: all), missing numbers as NaN; nothing where it cannot be read."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as opened:
            all_names: list[str] = opened.schema_arrow.names
            there = [name for name in all_names if names is None or name in names]
            table = opened.read(columns=there)
    except (OSError, pa.ArrowException):
        return {}
    return {name: table.column(name).to_numpy() for name in there}


def _thinned(times: Floats, values: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return means over at most MOST_POINTS stretches of time, unknown values left out."""
    known = ~np.isnan(values)
    times, values = times[known], values[known]
    if not times.size:
        return (), ()
    size = math.ceil(times.size / MOST_POINTS)
    starts = np.arange(0, times.size, size)
    counts = np.diff(np.append(starts, times.size))
    return (
        tuple((np.add.reduceat(times, starts) / counts).tolist()),
        tuple((np.add.reduceat(values, starts) / counts).tolist()),
    )
