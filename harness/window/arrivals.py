"""Whether requests went out as the load declares: lost rows, lockstep, gaps of another law. Pure: arrays in, facts out.

What is compared is the dispatcher's own doing, when it handed requests over, never when the target answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BIN_NS = 1_000_000
LEAST_GAP_NS = 1_000_000
"""Below a mean gap of 1 ms the grain of wake-ups (some 50 us) shows in the gaps of any generator."""
LEAST_REQUESTS = 100
STRETCHES = 8
"""Parts of a window whose median dispersion counts, so that one pause of the target is no herd of the generator's."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ArrivalFacts:
    """How the arrivals of one window were.

    `planned` is how many the schedule has in [t0, t1), None where there is no schedule; `as_planned` whether the samples
    have exactly their intended times. `dispersion` is the variance of the number of requests handed over in bins of
    1 ms, divided by its mean: 1 for Poisson arrivals, less for even ones, about the size of the herd for users in
    lockstep. It is the median over STRETCHES of the window, because one stall of the target lets all its users go at once.
    `planned_dispersion` is the same of the intended times. `gap_distance` is the greatest distance between the
    distributions of the gaps, intended and handed over (Kolmogorov and Smirnov); None where it cannot be resolved.
    """

    planned: int | None = None
    as_planned: bool | None = None
    dispersion: float | None = None
    planned_dispersion: float | None = None
    gap_distance: float | None = None


def facts(planned_ns: Ints | None, intended_ns: Ints, woken_ns: Ints, t0_ns: int, t1_ns: int) -> ArrivalFacts:
    """Return the facts of one window; `planned_ns` are the schedule's times within [t0, t1), None without a schedule."""
    woken = np.sort(woken_ns[woken_ns > 0])
    mine = dispersion(woken, t0_ns, t1_ns)
    if planned_ns is None:
        return ArrivalFacts(dispersion=mine)
    return ArrivalFacts(
        planned=len(planned_ns),
        as_planned=bool(np.array_equal(planned_ns, np.sort(intended_ns))),
        dispersion=mine,
        planned_dispersion=dispersion(planned_ns, t0_ns, t1_ns),
        gap_distance=gap_distance(planned_ns, woken),
    )


def dispersion(at_ns: Ints, t0_ns: int, t1_ns: int) -> float | None:
    """Return variance / mean of the counts in bins of 1 ms, the median over stretches; None for too few requests to tell."""
    inside = at_ns[(at_ns >= t0_ns) & (at_ns < t1_ns)]
    if len(inside) < LEAST_REQUESTS:
        return None
    bins = max(1, (t1_ns - t0_ns) // BIN_NS)
    counts = np.bincount((inside - t0_ns) // BIN_NS, minlength=bins)
    parts = np.array_split(counts, max(1, min(STRETCHES, len(inside) // LEAST_REQUESTS)))
    return float(np.median([part.var() / part.mean() for part in parts if part.any()]))


def gap_distance(planned_ns: Ints, woken_ns: Ints) -> float | None:
    """Return the Kolmogorov-Smirnov distance between the gaps of both; None where gaps are too short or too few."""
    if min(len(planned_ns), len(woken_ns)) < LEAST_REQUESTS:
        return None
    one, other = np.sort(np.diff(planned_ns)), np.sort(np.diff(woken_ns))
    if one.mean() < LEAST_GAP_NS:
        return None
    # Both distributions a little above each gap, so that equal gaps which differ by the grain of the timer agree.
    at = np.concatenate([one, other]) + LEAST_GAP_NS // 10
    shares = [np.searchsorted(gaps, at, side="right") / len(gaps) for gaps in (one, other)]
    return float(np.max(np.abs(shares[0] - shares[1])))
