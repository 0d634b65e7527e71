"""The server's side of a window as a table: one row a sample, written beside the request samples.

Every metric of the pinned Tokio has its columns: gauges as they read, counters as a rate a second since the row before, of
workers the sum over all and a column each. `tests/unit/test_window_series.py` holds the list against Tokio's source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.window.watch import Sample

Values = Mapping[str, Sequence[float]]

GAUGES = {
    "tokio_alive_tasks": "alive_tasks",
    "tokio_global_queue_depth": "global_queue_depth",
    "tokio_blocking_threads": "blocking_threads",
    "tokio_idle_blocking_threads": "idle_blocking_threads",
    "tokio_blocking_queue_depth": "blocking_queue_depth",
    "http_requests_total": "requests",
}
"""Metric of the target -> column of series.parquet."""

RATES = {
    "http_connections_total": "connections_s",
    "tokio_spawned_tasks_total": "spawned_tasks_s",
    "tokio_remote_schedules_total": "remote_schedules_s",
    "tokio_budget_forced_yields_total": "forced_yields_s",
    "tokio_io_ready_total": "io_ready_s",
    "tokio_io_registered_total": "io_registered_s",
    "tokio_io_deregistered_total": "io_deregistered_s",
}
"""Counter -> column, a second."""

OF_WORKERS = {
    "tokio_worker_polls_total": "polls_s",
    "tokio_worker_parks_total": "parks_s",
    "tokio_worker_park_unparks_total": "park_unparks_s",
    "tokio_worker_noops_total": "noops_s",
    "tokio_worker_steals_total": "steals_s",
    "tokio_worker_steal_operations_total": "steal_operations_s",
    "tokio_worker_local_schedules_total": "local_schedules_s",
    "tokio_worker_overflows_total": "overflows_s",
}
"""Counter of each worker -> column, a second: summed over all workers, and as `worker_<i>_<column>`."""

GAUGES_OF_WORKERS = {
    "tokio_worker_local_queue_depth": "local_queue_depth",
    "tokio_worker_mean_poll_seconds": "mean_poll_s",
}
"""Gauge of each worker -> `worker_<i>_<column>`."""

BUSY = "tokio_worker_busy_seconds_total"
REGISTERED, DEREGISTERED = "tokio_io_registered_total", "tokio_io_deregistered_total"
MOST_WORKERS = 16
"""Workers with columns of their own."""


def rows(samples: Sequence[Sample], t0_ns: int) -> list[dict[str, float | None]]:
    """Return one row a sample: seconds since t0, the process's figures, the runtime's gauges, rates since the last row.

    `cpu` is in cores; `busy_share` is the mean share of time that workers were busy; `sockets` are the descriptors that
    the I/O driver holds; switches are a second, `throttled_s` is seconds stopped by a quota a second. What counts since
    the row before is None in the first row. Tokio publishes per-worker times only when a worker parks or every
    `event_interval` ticks, so `busy_share` of one row may lag; over the whole window it is right.
    """
    table: list[dict[str, float | None]] = []
    previous: tuple[Sample, Values] | None = None
    for sample in samples:
        values = parse_metrics(sample.metrics)
        row = _now(sample, values, t0_ns)
        row |= _since(previous, sample, values)
        table.append(row)
        previous = (sample, values)
    return _complete(table)


def parse_metrics(text: str) -> dict[str, list[float]]:
    """Return the values of each metric name in Prometheus text, one element a label set; damaged text gives nothing."""
    if not text:
        return {}
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, list[float]] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(float(sample.value))
    except ValueError:
        return {}
    return found


def write(file: Path, table: list[dict[str, float | None]]) -> None:
    """Write the rows as parquet; no file where there is no row."""
    if not table:
        return
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: pa.array([row[name] for row in table], type=pa.float64()) for name in table[0]}
    parquet.write_table(pa.table(columns), file, compression="zstd")


def _now(sample: Sample, values: Values, t0_ns: int) -> dict[str, float | None]:
    row: dict[str, float | None] = {
        "t_s": (sample.at_ns - t0_ns) / 1e9,
        "rss_bytes": sample.rss_bytes,
        "threads": sample.threads,
        "sockets": None,
    }
    if values.get(REGISTERED) and values.get(DEREGISTERED):
        row["sockets"] = values[REGISTERED][0] - values[DEREGISTERED][0]
    row |= {column: values[name][0] if values.get(name) else None for name, column in GAUGES.items()}
    for name, column in GAUGES_OF_WORKERS.items():
        row |= {f"worker_{i}_{column}": value for i, value in enumerate(values.get(name, ())[:MOST_WORKERS])}
    return row


def _since(previous: tuple[Sample, Values] | None, now: Sample, values: Values) -> dict[str, float | None]:
    """Return what was used and counted since the row before, a second; None where one of both is not known."""
    names = ("cpu", "busy_share", "voluntary_switches", "nonvoluntary_switches", "throttled_s")
    nothing: dict[str, float | None] = dict.fromkeys((*names, *RATES.values(), *OF_WORKERS.values()))
    if previous is None:
        return nothing
    before, old = previous
    elapsed_s = (now.at_ns - before.at_ns) / 1e9
    row = {
        **nothing,
        "cpu": _rate(before.cpu_ns, now.cpu_ns, elapsed_s * 1e9),
        "throttled_s": _rate(before.throttled_s, now.throttled_s, elapsed_s),
    }
    if before.switches and now.switches:
        row["voluntary_switches"] = _rate(before.switches[0], now.switches[0], elapsed_s)
        row["nonvoluntary_switches"] = _rate(before.switches[1], now.switches[1], elapsed_s)
    for name, column in RATES.items():
        row[column] = _total(_rates(old, values, name, elapsed_s))
    for name, column in OF_WORKERS.items():
        each = _rates(old, values, name, elapsed_s)
        row[column] = _total(each)
        row |= {f"worker_{i}_{column}": rate for i, rate in enumerate(each[:MOST_WORKERS])}
    busy = _rates(old, values, BUSY, elapsed_s)
    row["busy_share"] = sum(busy) / len(busy) if busy else None
    row |= {f"worker_{i}_busy_share": share for i, share in enumerate(busy[:MOST_WORKERS])}
    return row


def _rate(before: float | None, now: float | None, elapsed: float) -> float | None:
    """Return the rise of a count over the time; None where it is not known, or fell because a thread of it ended."""
    return None if before is None or now is None or now < before else (now - before) / elapsed


def _rates(old: Values, values: Values, name: str, elapsed_s: float) -> list[float]:
    """Return the rate of each series of a counter; nothing where one of both samples lacks it."""
    before, now = old.get(name, ()), values.get(name, ())
    if len(before) != len(now):
        return []
    return [(after - first) / elapsed_s for first, after in zip(before, now, strict=True)]


def _total(rates: Sequence[float]) -> float | None:
    return sum(rates) if rates else None


def _complete(table: list[dict[str, float | None]]) -> list[dict[str, float | None]]:
    """Return the rows with the same columns each: what a row lacks is None."""
    columns = dict.fromkeys(name for row in table for name in row)
    return [{name: row.get(name) for name in columns} for row in table]
