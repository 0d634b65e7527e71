"""How many requests of a window lie beyond a percentile, and what to say where they are too few. Pure."""

from __future__ import annotations

from harness.study.model import Load, Objective, Study, WindowTimes

QUANTILE = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}

ENOUGH_BEYOND = 100
"""Requests beyond a scored percentile that a window should have: 10,000 requests for p99."""

ROUNDING = 1e-6


def requests(load: Load, times: WindowTimes, of: str | None) -> float | None:
    """Return how many requests (of one kind) a window has; None where the target or a trace decides that."""
    if load.rate is None:
        return None
    weights = {request.name: request.weight for request in load.requests}
    share = weights.get(of, 1.0) / sum(weights.values()) if of else 1.0
    return load.rate * share * times.measure_s


def scored(study: Study, objective: Objective) -> float | None:
    """Return how many requests of the kind that an objective scores a window has."""
    return requests(study.load, study.window, objective.of)


def beyond(load: Load, times: WindowTimes, metric: str, of: str | None) -> float | None:
    """Return how many requests of a window lie beyond the percentile; None where it is none, or nobody knows."""
    quantile, count = QUANTILE.get(metric), requests(load, times, of)
    return None if quantile is None or count is None else count * (1 - quantile)


def words(load: Load, times: WindowTimes, metric: str, of: str | None) -> str:
    """Return what to do about too few requests beyond the percentile, empty where there are enough."""
    few, count = beyond(load, times, metric, of), requests(load, times, of)
    if few is None or few >= ENOUGH_BEYOND - ROUNDING:
        return ""
    return (
        f"A window has about {count:.0f} requests, so only {few:.1f} lie beyond {metric}: measure longer, or at a higher "
        f"rate, for at least {ENOUGH_BEYOND}."
    )
