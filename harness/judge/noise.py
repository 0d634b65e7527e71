"""How much windows of one variant differ by chance, and the smallest gain that can be seen through it.

The tables were simulated (drift and outliers as in the fakes of the tests); between their rows we interpolate. Nothing
here looks at which variant was measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.judge.rank import Interval

READING = {4: (0.3, 3.1), 6: (0.4, 2.4), 8: (0.4, 2.2), 10: (0.5, 2.0), 20: (0.6, 1.7), 40: (0.75, 1.5)}
"""Windows: 5 % and 95 % point of (sigma as read) / (true sigma)."""

K_ONE_LOOK = {6: 5.1, 8: 5.1, 10: 4.8, 12: 4.5, 16: 4.4, 20: 4.25, 30: 4.2, 40: 4.2, 50: 4.1}
K_TWO_LOOKS = {16: 4.6, 20: 4.5, 30: 4.4, 40: 4.3, 50: 4.3}
"""Pairs: k in MDE = 1 - exp(-k sigma / sqrt(pairs)), for 80 % power."""

TYPICAL_SIGMA = Interval(0.03, 0.10)
"""What run-to-run noise of a latency percentile usually is, while this machine has not been measured yet."""


def sigma(y: Sequence[float]) -> float | None:
    """Return the sd of successive windows of one variant, outliers and slow drift set aside.

    1.4826 median |y[i+1] - y[i]| / sqrt(2), the median taken about zero. None where it is not known: below two windows,
    or where most windows read the very same, as a count of threads does. Such a figure is too coarse to show its noise.
    """
    return None if len(y) < 2 else _known(np.diff(y))  # noqa: PLR2004 - one difference needs two windows


def sigma_of_pairs(differences: Sequence[float]) -> float | None:
    """Return the sd of one window from differences inside pairs: 1.4826 MAD / sqrt(2).

    None where it is not known: below two pairs, or where most of them differ by the very same.
    """
    if len(differences) < 2:  # noqa: PLR2004 - a spread needs two values
        return None
    return _known(np.asarray(differences) - np.median(differences))


def pooled_sigma(estimates: Sequence[tuple[float | None, int]]) -> float | None:
    """Return one sigma from (sigma, degrees of freedom) estimates, variances weighted; None if there is none."""
    known = [(value, weight) for value, weight in estimates if value is not None and weight > 0]
    if not known:
        return None
    return math.sqrt(sum(value**2 * weight for value, weight in known) / sum(weight for _, weight in known))


def sigma_range(read: float, windows: int) -> Interval:
    """Return where the true sigma lies (5 to 95 %) when `windows` windows read it as `read`."""
    lows, highs = zip(*READING.values(), strict=True)
    low, high = (float(np.interp(windows, list(READING), column)) for column in (lows, highs))
    return Interval(read / high, read / low)


def smallest_visible(sigma: float, pairs: int, looks: int) -> float | None:
    """Return the gain, as a fraction, that `pairs` pairs see with 80 % power; None without pairs or noise to go by.

    Below six pairs it is the formula carried on; the test may not be able to claim anything there at all.
    """
    if pairs < 1 or sigma <= 0:
        return None
    table = K_TWO_LOOKS if looks > 1 else K_ONE_LOOK
    k = float(np.interp(pairs, list(table), list(table.values())))
    return 1 - math.exp(-k * sigma / math.sqrt(pairs))


def _known(differences: Sequence[float] | NDArray[np.float64]) -> float | None:
    spread = float(1.4826 * np.median(np.abs(differences)) / math.sqrt(2))
    return spread if spread > 0 else None


def sampling_floor(requests: float, quantile: float) -> float:
    """Return sd(ln quantile) of one window of independent requests with an exponential tail, on a perfect machine.

    sqrt(p / ((1 - p) n)) / a with a = q f(q) / (1 - p), which is -ln(1 - p) for the exponential. Real requests are
    correlated, so the true floor is higher.
    """
    return math.sqrt(quantile / ((1 - quantile) * requests)) / -math.log(1 - quantile)
