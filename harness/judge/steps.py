"""Whether the host moved while the run went on: steps and drift in the baseline's own series. Pure.

The order is random inside every block and pair, so neither can make a claim of its own; they cost power, and the page
shows them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.judge import noise

STEP_SIGMAS = 5.0
"""How far two windows in a row have to lie from the median of the earlier ones, on the same side. One alone may be an
outlier."""

LEAST_EARLIER = 6
"""Windows before a step can be seen. With fewer, noise is read too low too often: of 4, in 4.6 % of runs without a step
one was seen, of 6 in 1.5 % (simulated: drift of one sigma, one-sided outliers in 5 % of windows)."""

DRIFT_P = 0.01
"""Kendall's rank test of the series against time is surer than this where drift is told."""


@dataclass(frozen=True)
class Moved:
    """A step: the place in the series of its first window, and by how much y (ln units) stands elsewhere from there."""

    at: int
    shift: float


def steps(y: Sequence[float]) -> list[Moved]:
    """Return every step of a baseline's series, the earlier ones first. After each, the series begins anew."""
    found: list[Moved] = []
    begun = 0
    for second in range(1, len(y)):
        shift = _shift(y[begun : second - 1], y[second - 1], y[second])
        if shift is not None:
            found.append(Moved(second - 1, shift))
            begun = second - 1
    return found


def drift(y: Sequence[float]) -> float | None:
    """Return by how much y (ln units) went up from the first to the last window; None where no drift is sure.

    The slope is that of Theil and Sen, the median of the slopes between each two windows, which outliers hardly move.
    """
    if len(y) < LEAST_EARLIER or float(stats.kendalltau(range(len(y)), y).pvalue) > DRIFT_P:
        return None
    return float(stats.theilslopes(y).slope) * (len(y) - 1)


def _shift(earlier: Sequence[float], one: float, other: float) -> float | None:
    """Return how far both lie from the earlier ones; None for no step, or where these are too coarse to show noise."""
    if len(earlier) < LEAST_EARLIER:
        return None
    middle = float(np.median(earlier))
    limit = STEP_SIGMAS * max(
        noise.sigma(earlier) or 0.0, 1.4826 * float(np.median(np.abs(np.subtract(earlier, middle))))
    )
    apart = (one - middle, other - middle)
    if limit == 0 or min(map(abs, apart)) <= limit or math.copysign(1, apart[0]) != math.copysign(1, apart[1]):
        return None
    return (apart[0] + apart[1]) / 2
