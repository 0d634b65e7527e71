"""When requests are meant to be sent, and of which kind: computed before the window from a seed. Pure.

The same load, times and seed give the same bytes on every host and in every engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.study.model import Load, WindowTimes

_ARRIVALS, _KINDS = 0, 1  # streams of one seed, so that the mix does not shift the arrivals
CLOSED_CYCLE = 4096
"""Length of the cycle of kinds on a connection of the closed model, whose number of requests is not known before."""


@dataclass(frozen=True)
class Schedule:
    """Open model: offsets (ns) from the start of warm-up in rising order, and the kind of each request."""

    offsets_ns: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int16]


def arrivals(load: Load, times: WindowTimes, seed: int) -> Schedule:
    """Return the schedule of warm-up and measurement of an open load."""
    if load.rate is None:
        raise ValueError("only an open load has a schedule")
    length_s = times.warmup_s + times.measure_s
    if load.arrivals == "uniform":
        offsets_s = np.arange(math.ceil(length_s * load.rate - 1e-9)) / load.rate
    else:
        offsets_s = _poisson(load.rate, length_s, _stream(seed, _ARRIVALS))
    kinds = _mix(load, len(offsets_s), _stream(seed, _KINDS))
    return Schedule(_frozen((offsets_s * 1e9).astype(np.int64)), _frozen(kinds))


def closed_kinds(load: Load, seed: int, connection: int) -> npt.NDArray[np.int16]:
    """Return the kinds that one connection of a closed load sends, over and over."""
    return _mix(load, CLOSED_CYCLE, _stream(seed, _KINDS, connection))


def _poisson(rate: float, length_s: float, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Sum exponential gaps until the length is full; a Poisson process has no memory, so a second draw just goes on."""
    expected = rate * length_s
    offsets = np.cumsum(random.exponential(1 / rate, int(expected + 6 * expected**0.5 + 16)))
    while offsets[-1] < length_s:
        offsets = np.concatenate([offsets, offsets[-1] + np.cumsum(random.exponential(1 / rate, len(offsets)))])
    return offsets[offsets < length_s]


def _mix(load: Load, count: int, random: np.random.Generator) -> npt.NDArray[np.int16]:
    weights = np.array([request.weight for request in load.requests])
    return random.choice(len(weights), size=count, p=weights / weights.sum()).astype(np.int16)


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array


def _stream(seed: int, *path: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *path])))
