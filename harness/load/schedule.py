"""When requests are meant to be sent, and of which kind: computed before the window from a seed. Pure.

The same load, times and seed give the same bytes on every host and in every engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.study.model import Load, Piece, WindowTimes

_ARRIVALS, _KINDS, _THINKING = 0, 1, 2  # streams of one seed, so that the mix does not shift the arrivals
CLOSED_CYCLE = 4096
"""Length of the cycle of kinds on a connection of the closed model, whose number of requests is not known before."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Schedule:
    """Open model: offsets (ns) from the start of warm-up in rising order, and the kind of each request."""

    offsets_ns: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int16]


def arrivals(load: Load, times: WindowTimes, seed: int) -> Schedule:
    """Return the schedule of warm-up and measurement of an open load."""
    length_s = times.warmup_s + times.measure_s
    if load.trace_s:
        offsets_s = np.array(load.trace_s)
    else:
        rate = Intensity.of(load, times)
        units = (
            np.arange(np.ceil(rate.total - 1e-9), dtype=np.float64)
            if load.arrivals == "uniform"
            else _poisson(rate.total, seed)
        )
        offsets_s = rate.when(units)
    offsets_s = offsets_s[offsets_s < length_s]
    kinds = _mix(load, len(offsets_s), _stream(seed, _KINDS))
    return Schedule(_frozen((offsets_s * 1e9).astype(np.int64)), _frozen(kinds))


def planned(load: Load, times: WindowTimes, seed: int) -> int:
    """Return how many requests of an open load are intended within the measured stretch [t0, t1)."""
    offsets_ns = arrivals(load, times, seed).offsets_ns
    start_ns = int(times.warmup_s * 1e9)
    inside = (offsets_ns >= start_ns) & (offsets_ns < start_ns + int(times.measure_s * 1e9))
    return int(np.count_nonzero(inside))


def closed_kinds(load: Load, seed: int, connection: int) -> npt.NDArray[np.int16]:
    """Return the kinds that one connection of a closed load sends, over and over."""
    return _mix(load, CLOSED_CYCLE, _stream(seed, _KINDS, connection))


def closed_thinking_ns(load: Load, seed: int, connection: int) -> npt.NDArray[np.int64]:
    """Return how long one connection of a closed load pauses before each request, over and over.

    The pauses are exponential, as those of independent people are; equal ones would keep the connections in step.
    """
    pauses_s = _stream(seed, _THINKING, connection).exponential(load.think_s or 0.0, CLOSED_CYCLE)
    return (pauses_s * 1e9).astype(np.int64)


@dataclass(frozen=True)
class Intensity:
    """The rate of an open load over time, as the number of requests expected until then and back.

    A process whose rate changes is one of rate 1 on the axis of that number (time rescaling, e.g. Brown et al. 2002).
    """

    starts_s: Floats
    before: Floats
    rates: Floats
    slopes: Floats
    total: float

    @classmethod
    def of(cls, load: Load, times: WindowTimes) -> Intensity:
        """Return the intensity of a load that has a rate."""
        if load.rate is None:
            raise ValueError("only an open load has a schedule")
        length_s = times.warmup_s + times.measure_s
        pieces = [piece for piece in load.pieces or (Piece(length_s, load.rate, load.rate),) if piece.length_s > 0]
        lengths = np.array([piece.length_s for piece in pieces])
        rates, ends = np.array([piece.rate for piece in pieces]), np.array([piece.to_rate for piece in pieces])
        sums = np.concatenate([[0.0], np.cumsum(lengths * (rates + ends) / 2)])
        starts_s = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
        return cls(starts_s, sums[:-1], rates, (ends - rates) / lengths, float(sums[-1]))

    def when(self, expected: Floats) -> Floats:
        """Return the times (s) at which so many requests are expected to have come."""
        piece = np.searchsorted(self.before, expected, side="right") - 1
        more, rate, slope = expected - self.before[piece], self.rates[piece], self.slopes[piece]
        # The root of slope/2 t^2 + rate t = more, in the form that does not cancel where the slope is small or 0.
        root = np.sqrt(np.maximum(rate**2 + 2 * slope * more, 0.0))
        within = np.divide(2 * more, rate + root, out=np.zeros_like(more), where=rate + root > 0)
        times_s: Floats = self.starts_s[piece] + within
        return times_s

    def expected(self, times_s: Floats) -> Floats:
        """Return how many requests are expected to have come at these times (s)."""
        piece = np.maximum(np.searchsorted(self.starts_s, times_s, side="right") - 1, 0)
        within = times_s - self.starts_s[piece]
        counts: Floats = self.before[piece] + within * (self.rates[piece] + self.slopes[piece] * within / 2)
        return counts


def _poisson(total: float, seed: int) -> Floats:
    """Sum exponential gaps of mean 1 up to `total`; a Poisson process has no memory, so a second draw just goes on."""
    random = _stream(seed, _ARRIVALS)
    units = np.cumsum(random.exponential(1.0, int(total + 6 * total**0.5 + 16)))
    while units[-1] < total:
        units = np.concatenate([units, units[-1] + np.cumsum(random.exponential(1.0, len(units)))])
    return units[units < total]


def _mix(load: Load, count: int, random: np.random.Generator) -> npt.NDArray[np.int16]:
    weights = np.array([request.weight for request in load.requests])
    return random.choice(len(weights), size=count, p=weights / weights.sum()).astype(np.int16)


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


def _stream(seed: int, *path: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *path])))
