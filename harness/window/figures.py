"""From exact samples to figures. Pure: arrays in, records out.

The scored percentiles are over all offered requests. One that failed, timed out, was dropped or stayed unfinished ranks
above every success and reads as the time-out, so a variant that gives up on its slow requests cannot look fast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.load.job import COMPLETED, DROPPED, FAILED, TIMED_OUT, UNFINISHED
from harness.study.model import Load
from harness.window.measurement import Figures

NS_PER_MS = 1_000_000
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}

Ints = npt.NDArray[np.int64]


LEAST_BEYOND = 100
"""Requests beyond a percentile below which its rank is off by more than 20 % (Lancet, and the normal formula)."""


@dataclass(frozen=True)
class Requests:
    """What a window's samples say, one element a request: latency from intended and actual send, and how it ended."""

    latency_ns: Ints
    from_send_ns: Ints
    outcome: npt.NDArray[np.int8]


def figures(requests: Requests, load: Load, measured_s: float) -> Figures:
    """Return the figures of these requests; `measured_s` is t1 - t0."""
    counts = {code: int(np.count_nonzero(requests.outcome == code)) for code in range(5)}
    offered, completed = len(requests.outcome), counts[COMPLETED]
    success_ms = np.sort(requests.latency_ns[requests.outcome == COMPLETED]) / NS_PER_MS
    from_send_ms = np.sort(requests.from_send_ns[requests.outcome == COMPLETED]) / NS_PER_MS
    scored = {name: scored_percentile(success_ms, offered, q) for name, q in QUANTILES.items()}
    timeout_ms = load.timeout_s * 1000
    per_s = completed / measured_s
    read = {name: timeout_ms if value == math.inf else value for name, value in scored.items()}
    return Figures(
        p50_ms=read["p50"],
        p90_ms=read["p90"],
        p95_ms=read["p95"],
        p99_ms=read["p99"],
        p999_ms=read["p999"],
        throughput=_ratio(completed, offered) if load.model == "open" else per_s,
        error_ratio=_ratio(offered - completed, offered),
        offered=offered,
        completed=completed,
        failed=counts[FAILED],
        timed_out=counts[TIMED_OUT],
        dropped=counts[DROPPED],
        unfinished=counts[UNFINISHED],
        completed_per_s=per_s,
        success_p50_ms=scored_percentile(success_ms, completed, 0.5),
        success_p95_ms=scored_percentile(success_ms, completed, 0.95),
        success_p99_ms=scored_percentile(success_ms, completed, 0.99),
        censored=tuple(name for name, value in scored.items() if value == math.inf),
        from_send_p50_ms=scored_percentile(from_send_ms, completed, 0.5),
        from_send_p95_ms=scored_percentile(from_send_ms, completed, 0.95),
        from_send_p99_ms=scored_percentile(from_send_ms, completed, 0.99),
        few_beyond=tuple(name for name, q in QUANTILES.items() if offered * (1 - q) < LEAST_BEYOND - 1e-6),
    )


def scored_percentile(success_ms: npt.NDArray[np.float64], offered: int, quantile: float) -> float | None:
    """Return the nearest-rank percentile (milliseconds) over `offered` requests, given the sorted successes.

    Infinite where the rank falls among requests without a success; None where nothing was offered.
    """
    if offered == 0:
        return None
    rank = max(1, math.ceil(quantile * offered - 1e-9))
    return float(success_ms[rank - 1]) if rank <= len(success_ms) else math.inf


def lateness_ms(intended_ns: Ints, woken_ns: Ints) -> npt.NDArray[np.float64]:
    """Return how late the dispatcher woke for each request that it handed over, in milliseconds."""
    handed = woken_ns > 0
    late: npt.NDArray[np.float64] = np.maximum(0, woken_ns[handed] - intended_ns[handed]) / NS_PER_MS
    return late


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
