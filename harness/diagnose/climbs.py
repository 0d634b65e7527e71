"""Whether a series climbs: by how much, how steadily, and whether it still does at the end. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.diagnose.facts import Floats
from harness.diagnose.limits import limit

FEWEST = 12
"""Values below which nothing is said of a trend."""
MOST = 240
"""Values that a trend is taken of: means of equal stretches where there are more."""


@dataclass(frozen=True)
class Climb:
    """A series over one window: mean of its first and last sixth, rise between them, slope a second.

    `rank` is Spearman's correlation with time; `late` the rise of the second half as a share of that of the first.
    """

    first: float
    last: float
    per_s: float
    rank: float
    late: float

    @property
    def rise(self) -> float:
        """How much it rose."""
        return self.last - self.first

    @property
    def steady(self) -> bool:
        """Whether it climbs all the time and has not levelled off."""
        return self.rank >= limit("climb_rank") and self.late >= limit("climb_late")


def climb(t_s: Floats, values: Floats) -> Climb | None:
    """Return how `values` climb over `t_s` (seconds), None where too few are known."""
    known = ~np.isnan(values)
    t, y = _thinned(t_s[known]), _thinned(values[known])
    if y.size < FEWEST:
        return None
    sixth, half = y.size // 6, y.size // 2
    first, last = float(y[:sixth].mean()), float(y[-sixth:].mean())
    middle = float(y[half - sixth // 2 : half - sixth // 2 + sixth].mean())
    early, late = middle - first, last - middle
    length_s = float(t[-sixth:].mean() - t[:sixth].mean())
    return Climb(first, last, (last - first) / length_s, _rank(y), late / early if early > 0 else float(late > 0))


def _thinned(values: Floats) -> Floats:
    size = max(1, -(-values.size // MOST))
    whole = values[: values.size // size * size]
    return np.asarray(whole.reshape(-1, size).mean(axis=1))


def _rank(y: Floats) -> float:
    return spearman(y, np.arange(y.size, dtype=np.float64))


def spearman(x: Floats, y: Floats) -> float:
    """Return Spearman's rank correlation of two equally long series, ties sharing their mean rank; 0 where one stands.

    Worked value: 1, 2, 2, 4 against 1, 2, 3, 4 has ranks 1, 2.5, 2.5, 4 and correlation 0.949.
    """
    first, second = _ranks(x), _ranks(y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])
