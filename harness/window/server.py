"""What the server saw, as one record a window: the series of the measured stretch, summed up. Pure."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence

from harness.window.measurement import ServerFacts
from harness.window.series import BUSY, Values, parse_metrics
from harness.window.watch import Sample

BY_TIME = "tokio_worker_polls_by_time_total"
POLLS = "tokio_worker_polls_total"

Row = Mapping[str, float | None]


def facts(samples: Sequence[Sample], table: Sequence[Row]) -> ServerFacts:
    """Return the record of one window; None where nothing told it.

    `mean_poll_us` is busy time over polls of the whole stretch: Tokio's own mean is a moving average that forgets, and is
    left at 0 on a current_thread runtime (facts on Tokio, 5.1).
    """
    first, last = (parse_metrics(sample.metrics) for sample in (samples[0], samples[-1])) if samples else ({}, {})
    by_time = _by_time(samples[0].metrics, samples[-1].metrics) if samples else {}
    busy_s, polls = _risen(first, last, BUSY), _risen(first, last, POLLS)
    elapsed_s = (samples[-1].at_ns - samples[0].at_ns) / 1e9 if samples else 0.0
    return ServerFacts(
        busy_share=_mean(table, "busy_share"),
        busy_share_by_worker=tuple(busy / elapsed_s for busy in busy_s) if elapsed_s else (),
        polls_s=_mean(table, "polls_s"),
        mean_poll_us=sum(busy_s) / sum(polls) * 1e6 if sum(polls) else None,
        steals_s=_mean(table, "steals_s"),
        noops_s=_mean(table, "noops_s"),
        remote_schedules_s=_mean(table, "remote_schedules_s"),
        forced_yields_s=_mean(table, "forced_yields_s"),
        overflows_s=_mean(table, "overflows_s"),
        global_queue_max=_most(table, "global_queue_depth"),
        alive_tasks_max=_most(table, "alive_tasks"),
        blocking_threads_max=_most(table, "blocking_threads"),
        blocking_queue_max=_most(table, "blocking_queue_depth"),
        blocking_queue_mean=_mean(table, "blocking_queue_depth"),
        cpu=_mean(table, "cpu"),
        rss_bytes_max=_most(table, "rss_bytes"),
        threads_max=_most(table, "threads"),
        sockets_max=_most(table, "sockets"),
        voluntary_switches_s=_mean(table, "voluntary_switches"),
        nonvoluntary_switches_s=_mean(table, "nonvoluntary_switches"),
        throttled_share=_mean(table, "throttled_s"),
        poll_p50_us=_bound_us(by_time, 0.50),
        poll_p99_us=_bound_us(by_time, 0.99),
    )


def _by_time(first: str, last: str) -> dict[float, float]:
    """Return upper bound (s) -> polls of the stretch, all workers together; nothing without the histogram."""
    before, after = _buckets(first), _buckets(last)
    return {bound: count - before.get(bound, 0.0) for bound, count in sorted(after.items())}


def _buckets(text: str) -> dict[float, float]:
    found: dict[float, float] = {}
    for bound, count in re.findall(rf'^{BY_TIME}{{worker="\d+",below="([^"]+)"}} (\d+)$', text, re.MULTILINE):
        found[float(bound)] = found.get(float(bound), 0.0) + float(count)
    return found


def _bound_us(buckets: Mapping[float, float], quantile: float) -> float | None:
    """Return the bound (us) of the bucket that holds a quantile; None where there are no polls, or it has no bound."""
    total, seen = sum(buckets.values()), 0.0
    for bound, count in buckets.items():
        seen += count
        if total and seen >= quantile * total:
            return bound * 1e6 if math.isfinite(bound) else None
    return None


def _known(table: Sequence[Row], column: str) -> list[float]:
    return [value for row in table if (value := row.get(column)) is not None]


def _mean(table: Sequence[Row], column: str) -> float | None:
    known = _known(table, column)
    return statistics.fmean(known) if known else None


def _most(table: Sequence[Row], column: str) -> float | None:
    return max(_known(table, column), default=None)


def _risen(first: Values, last: Values, name: str) -> list[float]:
    """Return how much each series of a counter rose; nothing where one end lacks it."""
    before, after = first.get(name, ()), last.get(name, ())
    return [end - begin for begin, end in zip(before, after, strict=True)] if len(before) == len(after) else []
