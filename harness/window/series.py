"""The server's side of a window as a table: one row a sample, written beside the request samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.window.watch import Sample

GAUGES = {
    "tokio_alive_tasks": "alive_tasks",
    "tokio_global_queue_depth": "global_queue_depth",
    "tokio_blocking_threads": "blocking_threads",
    "tokio_idle_blocking_threads": "idle_blocking_threads",
    "tokio_blocking_queue_depth": "blocking_queue_depth",
    "http_requests_total": "requests",
}
"""Metric of the target -> column of series.parquet."""

BUSY = "tokio_worker_busy_seconds_total"


def rows(samples: Sequence[Sample], t0_ns: int) -> list[dict[str, float | None]]:
    """Return one row a sample: seconds since t0, the process's figures, the runtime's gauges, shares since the last row.

    `cpu` is in cores; `busy_share` is the mean share of time that workers were busy. Both are None in the first row.
    Tokio publishes per-worker times only when a worker parks or every `event_interval` ticks, so `busy_share` of one row
    may lag; over the whole window it is right.
    """
    table: list[dict[str, float | None]] = []
    previous: tuple[Sample, dict[str, list[float]]] | None = None
    for sample in samples:
        values = parse_metrics(sample.metrics)
        row: dict[str, float | None] = {
            "t_s": (sample.at_ns - t0_ns) / 1e9,
            "rss_bytes": sample.rss_bytes,
            "threads": sample.threads,
            "cpu": None,
            "busy_share": None,
        }
        row |= {column: values[name][0] if name in values else None for name, column in GAUGES.items()}
        if previous is not None:
            row |= _since(previous[0], previous[1], sample, values)
        table.append(row)
        previous = (sample, values)
    return table


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


def _since(
    before: Sample, values_before: dict[str, list[float]], now: Sample, values: dict[str, list[float]]
) -> dict[str, float | None]:
    elapsed_s = (now.at_ns - before.at_ns) / 1e9
    cpu = None if now.cpu_ns is None or before.cpu_ns is None else (now.cpu_ns - before.cpu_ns) / 1e9 / elapsed_s
    busy, busy_before = values.get(BUSY), values_before.get(BUSY)
    if not busy or not busy_before or len(busy) != len(busy_before):
        return {"cpu": cpu, "busy_share": None}
    return {"cpu": cpu, "busy_share": (sum(busy) - sum(busy_before)) / elapsed_s / len(busy)}
