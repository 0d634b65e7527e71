"""Figures at the end of their scale: what is known of them is a bound only.

A percentile among requests without a success reads as the time-out and is at least that; a capacity of the last step of
a load is at least that. Owns which figures are such bounds, and where the true values then lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.judge import rank, score
from harness.judge.rank import Interval
from harness.ledger.record import WindowRecord
from harness.study.model import Metric, Study
from harness.window import capacity
from harness.window.measurement import Figures


def log_ends(study: Study, metric: Metric, figures: Figures | None) -> Interval | None:
    """Return where ln of the metric truly lies: one value twice, an end infinite for a bound; None if not measured."""
    value = score.log_metric(study, metric, figures)
    if value is None or figures is None:
        return None
    scale = capacity.scale(study) if metric == "capacity" else None
    if metric in figures.censored or (scale is not None and math.exp(value) >= scale.high * (1 - _ROUNDING)):
        return Interval(value, math.inf)
    if scale is not None and math.exp(value) <= scale.low * (1 + _ROUNDING):
        return Interval(-math.inf, value)
    return Interval(value, value)


def y_ends(study: Study, record: WindowRecord) -> Interval | None:
    """Return where the window's y truly lies; None if the window is not usable or the objective not measured."""
    of = study.objective.of
    found = log_ends(study, study.objective.metric, record.metrics if of is None else record.by_request.get(of))
    if found is None or not record.validity.usable:
        return None
    return found if study.objective.direction == "minimize" else Interval(-found.high, -found.low)


def difference(one: Interval, other: Interval) -> Interval:
    """Return where the difference of two such values lies."""
    return Interval(one.low - other.high, one.high - other.low)


def interval(known: Sequence[Interval], alpha: float) -> Interval:
    """Return the interval of the shift with at most `alpha` outside on each side, wherever the bounded ones truly lie."""
    low, high = [each.low for each in known], [each.high for each in known]
    return Interval(rank.interval(low, alpha).low, rank.interval(high, alpha).high)


_ROUNDING = 1e-9
"""A capacity at an end of its scale went through ln and JSON; windows differ by far more."""
