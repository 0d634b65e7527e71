"""Whether latency stood still within a window: the first third against the last, by ranks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK_NS = 250_000_000
LEAST_BLOCKS = 7
"""Blocks in a third: with fewer the rank test cannot reach the level that is asked of it (2 / C(12, 6) > 0.002)."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trend:
    """`ratio` is the median of the last third's blocks over that of the first's; `p` the rank test's two-sided level."""

    ratio: float
    p: float


def trend(intended_ns: Ints, latency_ns: Ints, t0_ns: int, t1_ns: int) -> Trend | None:
    """Return the trend of the median latency; None for a window that is too short to tell.

    Neighbouring requests are not independent, so what is ranked are medians of blocks of 0.25 s.
    """
    block = (intended_ns - t0_ns) // BLOCK_NS
    whole = (t1_ns - t0_ns) // BLOCK_NS
    medians = [np.median(latency_ns[block == number]) for number in range(whole) if np.any(block == number)]
    third = len(medians) // 3
    if third < LEAST_BLOCKS:
        return None
    from scipy.stats import mannwhitneyu

    first, last = medians[:third], medians[-third:]
    found = mannwhitneyu(first, last, alternative="two-sided")
    return Trend(float(np.median(last) / max(1.0, float(np.median(first)))), float(found.pvalue))
