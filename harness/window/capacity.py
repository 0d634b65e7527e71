"""The highest rate that a service carries: the steps of a window's load, up to the first that breaks what is to be kept.

Pure. Everything above that step is the service's own overload and counts for nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.load.job import COMPLETED
from harness.study.model import Keep, Study
from harness.window import figures
from harness.window.figures import NS_PER_MS, Requests


def of_window(study: Study, requests: Requests, offsets_s: npt.NDArray[np.float64]) -> float | None:
    """Return the capacity (requests a second, of all kinds) that these requests show; None where none is asked for.

    `offsets_s` are the requests' intended times from the start of the measured stretch.
    """
    aimed = (study.objective, study.objective.second)
    keep = next((each.keep for each in aimed if each is not None and each.keep is not None), None)
    if keep is None:
        return None
    steps = study.load.pieces[1:]  # the first is warm-up
    ends = np.cumsum([step.length_s for step in steps])
    step_of = np.searchsorted(ends, offsets_s, side="right")
    percentiles = [_percentile(requests, step_of == at, keep) for at in range(len(steps))]
    return carried([step.rate for step in steps], percentiles, keep.at_most_ms, study.load.timeout_s * 1000)


def carried(
    rates: Sequence[float], percentiles_ms: Sequence[float | None], at_most_ms: float, timeout_ms: float
) -> float | None:
    """Return the highest of the rising `rates` up to which every step's percentile is at most `at_most_ms`.

    Between the last step that keeps it and the first that does not, the rate is where a straight line in ln latency
    crosses the bound, so that variants less than a step apart differ. If every step keeps it, the last rate: the service
    carries at least that. If none does, the first rate, less in the ratio in which its percentile is too large. A
    percentile among requests without a success reads as the time-out. None where a step had no request.
    """
    never_ms = _never_ms(at_most_ms, timeout_ms)
    found = [None if value is None else min(value, never_ms) for value in percentiles_ms]
    before: tuple[float, float] | None = None
    for rate, value in zip(rates, found, strict=True):
        if value is None:
            return None
        if value > at_most_ms:
            return rate * at_most_ms / value if before is None else _between(before, (rate, value), at_most_ms)
        before = (rate, value)
    return None if before is None else before[0]


@dataclass(frozen=True)
class Scale:
    """The least and the highest capacity (requests a second) that a load in steps can show: bounds, no more."""

    low: float
    high: float


def scale(study: Study) -> Scale | None:
    """Return the ends of what a window of the study can read as a capacity; None where its load has no steps."""
    keep, steps = study.objective.keep, study.load.pieces[1:]
    if keep is None or not steps:
        return None
    least = steps[0].rate * keep.at_most_ms / _never_ms(keep.at_most_ms, study.load.timeout_s * 1000)
    return Scale(least, steps[-1].rate)


def _never_ms(at_most_ms: float, timeout_ms: float) -> float:
    """Return what a request without a success reads as: whatever the time-out, it kept nothing."""
    return max(timeout_ms, 2 * at_most_ms)


def _between(low: tuple[float, float], high: tuple[float, float], at_most_ms: float) -> float:
    """Return the rate at which the line through two (rate, ln latency) reaches the bound; the lower for latency 0."""
    if low[1] <= 0:
        return low[0]
    share = math.log(at_most_ms / low[1]) / math.log(high[1] / low[1])
    return low[0] + (high[0] - low[0]) * share


def _percentile(requests: Requests, mask: npt.NDArray[np.bool_], keep: Keep) -> float | None:
    done = mask & (requests.outcome == COMPLETED)
    success_ms = np.sort(requests.latency_ns[done]) / NS_PER_MS
    return figures.scored_percentile(success_ms, int(mask.sum()), figures.QUANTILES[keep.metric])
