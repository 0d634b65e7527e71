"""What one window says in the study's own terms: its objective's value, y, guard metrics.

`y` is ln of a minimised objective and -ln of a maximised one, so lower is always better. A figure that was not measured
is None here and never a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.ledger.record import WindowRecord
from harness.study.model import Metric, Study
from harness.window.measurement import Figures

FIGURE: Mapping[Metric, str] = {
    "p50": "p50_ms",
    "p90": "p90_ms",
    "p95": "p95_ms",
    "p99": "p99_ms",
    "p999": "p999_ms",
    "throughput": "throughput",
    "capacity": "capacity",
    "cpu_per_request": "cpu_per_request_us",
    "peak_rss": "peak_rss_bytes",
    "threads": "threads",
    "error_ratio": "error_ratio",
}
"""Where each metric of a study stands in the figures of a window."""

LATENCIES = frozenset(metric for metric, figure in FIGURE.items() if figure.endswith("_ms"))
"""The metrics that are milliseconds."""

PENALTY = 5.0
"""Weight of a guard's shortfall (ln units) in a variant's score; as simulated."""


def metric_value(metric: Metric, figures: Figures | None) -> float | None:
    """Return the metric in its own unit, None where it was not measured."""
    value = None if figures is None else getattr(figures, FIGURE[metric])
    return None if value is None or not math.isfinite(value) else float(value)


def objective_value(study: Study, figures: Figures | None, by_request: Mapping[str, Figures]) -> float | None:
    """Return the value of the study's objective in its own unit, of the one kind of request if the study says so."""
    return metric_value(study.objective.metric, _asked_for(study, figures, by_request))


def log_metric(study: Study, metric: Metric, figures: Figures | None) -> float | None:
    """Return ln of the metric, None where it has none.

    A throughput or an error ratio of exactly 0 is a count of 0: it reads as half a request, the usual correction, so
    that "nothing was answered" is very bad instead of unknown. Any other 0 is a figure that was not measured.
    """
    value = metric_value(metric, figures)
    if value is None or figures is None:
        return None
    if value > 0:
        return math.log(value)
    if metric not in {"throughput", "error_ratio"}:
        return None
    counts_per_second = metric == "throughput" and study.load.model == "closed"
    return math.log(0.5 / (study.window.measure_s if counts_per_second else max(1, figures.offered)))


def y(study: Study, record: WindowRecord) -> float | None:
    """Return the window's y, lower is better; None if the window is not usable or the objective not measured."""
    if not record.validity.usable:
        return None
    value = log_metric(study, study.objective.metric, _asked_for(study, record.metrics, record.by_request))
    if value is None:
        return None
    return value if study.objective.direction == "minimize" else -value


def gain(study: Study, difference: float) -> float:
    """Return the gain, as a fraction of the baseline's value, of a difference in y; positive is better.

    Infinite differences give the gain's own bound or an infinite loss.
    """
    minimized = study.objective.direction == "minimize"
    exponent = difference if minimized else -difference
    ratio = math.exp(exponent) if exponent < 700 else math.inf  # noqa: PLR2004 - exp overflows above 709
    return 1 - ratio if minimized else ratio - 1


def _asked_for(study: Study, figures: Figures | None, by_request: Mapping[str, Figures]) -> Figures | None:
    return figures if study.objective.of is None else by_request.get(study.objective.of)
