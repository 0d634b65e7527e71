"""The exact signed-rank test on differences, its estimate and its interval. Owns the only test that a claim rests on.

Everything here holds for any distribution of the noise, as long as the sign of each difference was a fair coin when
nothing differs: the order inside each pair is drawn by us. Never used on windows that selected the winner.
Source: Wilcoxon 1945 (test), Hodges and Lehmann 1963 (estimate); scipy's exact p is too small with ties, hence our own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Two ends, `low` <= `high`. An end is infinite where there are too few differences to bound that side."""

    low: float
    high: float


def signed_rank_p(differences: Sequence[float] | Floats) -> float:
    """Return the exact one-sided p of "the differences lie below zero".

    p = P(W <= W+) when each sign is a fair coin; W+ is the sum of the mid-ranks of |d| over d >= 0, so a zero counts
    against the claim. Holds with ties. Returns 1.0 for no differences.
    """
    d = np.asarray(differences, dtype=float)
    doubled = _doubled_mid_ranks(np.abs(d))
    below = _null_distribution(doubled)[: doubled[d >= 0].sum() + 1].sum()
    return float(min(1.0, below))


def hodges_lehmann(differences: Sequence[float] | Floats) -> float:
    """Return the median of the Walsh averages: the shift that fits the differences best. NaN for none."""
    walsh = _walsh(differences)
    return float(np.median(walsh)) if walsh.size else math.nan


def interval(differences: Sequence[float] | Floats, alpha: float) -> Interval:
    """Return the interval of the shift with at most `alpha` outside on each side: the signed-rank test inverted.

    Its upper end is below zero exactly when `signed_rank_p` is at most `alpha` (without ties).
    """
    d = np.asarray(differences, dtype=float)
    walsh = np.sort(_walsh(d))
    outside = critical_value(d.size, alpha) + 1
    if outside == 0:
        return Interval(-math.inf, math.inf)
    return Interval(float(walsh[outside - 1]), float(walsh[walsh.size - outside]))


def critical_value(n: int, alpha: float) -> int:
    """Return the largest W+ of `n` untied differences that is significant at `alpha`, -1 if none can be."""
    below = np.cumsum(_null_distribution(np.arange(1, n + 1)))
    return int(np.searchsorted(below, alpha * (1 + 1e-12), side="right")) - 1


def fewest_pairs(alpha: float) -> int:
    """Return how many differences the test needs before it can reach `alpha` at all: 5 at .05, 6 at .025."""
    return math.ceil(-math.log2(alpha))


def _doubled_mid_ranks(values: Floats) -> NDArray[np.int_]:
    """Return twice the rank of each value, equal values sharing the middle of theirs, so that all are whole numbers."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    return (2 * np.cumsum(size) - size + 1)[group]


def _null_distribution(ranks: NDArray[np.int_]) -> Floats:
    """Return P(W = w) for w = 0, 1, ... when each rank is counted or not by a fair coin."""
    pmf = np.ones(1)
    for rank in ranks:
        pmf = (np.pad(pmf, (0, rank)) + np.pad(pmf, (rank, 0))) / 2
    return pmf


def _walsh(differences: Sequence[float] | Floats) -> Floats:
    d = np.asarray(differences, dtype=float)
    first, second = np.triu_indices(d.size)
    averages: Floats = (d[first] + d[second]) / 2
    return averages
