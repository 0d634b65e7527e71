"""What all windows together say of each variant: a smooth surface through single windows. It ranks and never claims. Pure.

Most variants of a search have one window, and the best of many single windows is mostly luck. Variants that share levels
inform each other, the less the further they are apart; windows that were run soon after each other share the host's
drift, and windows of one block what their arrivals favour. All of it is one Gaussian process (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, chapters 2 and 5), averaged over a grid of its parameters by their
marginal likelihood.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from scipy.linalg import cho_factor, cho_solve

LENGTHS = (0.25, 0.6)
"""How far levels resemble each other, in units of a knob's whole range."""

TOGETHER = (0.15, 0.6)
"""Share of the surface that is no sum of what single knobs do."""

NOISE = (0.1, 0.4, 1.5, 5.0)
"""Variance of one window around the surface, in units of the surface's own."""

DRIFT = (0.0, 0.5, 1.5)
"""Variance of the host's drift, in units of the noise."""

DRIFTS_OVER = 30.0
"""Windows after which a drift has forgotten most of where it was (a factor of e)."""

LUCK = 5.0
"""Variance of what a block's arrivals favour, in units of the noise: so much that a block tells only differences."""

TELLING = 4.0
"""Points of the grid whose log likelihood is so far below the best one's (weight under 2 %) are left out."""

Place = tuple[tuple[float, ...], ...]
"""Where a variant lies: for each knob one coordinate in [0, 1] if it is ordered, else one for each level."""

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class Seen:
    """One window: its variant's place, its number in the ledger, its arrivals, and what was measured (ln units)."""

    at: Place
    n: int
    arrivals: int
    y: float


@dataclass(frozen=True)
class _Prior:
    """One point of the grid: how far levels resemble each other, what is no sum, and the windows' covariance, factored."""

    length: float
    together: float
    factor: tuple[Matrix, bool]


@dataclass(frozen=True)
class _Fit:
    """What a prior makes of the windows: its log likelihood, the mean level, and what each window weighs in a height."""

    prior: _Prior
    likelihood: float
    level: float
    weights: Matrix


class Surface:
    """The surface through some windows; without any, or without knobs, it is flat at 0."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        """Fit it."""
        self._places = tuple(one.at for one in seen)
        priors = _priors(self._places, tuple(one.n for one in seen), tuple(one.arrivals for one in seen))
        self._fits = _telling([_fit(prior, np.array([one.y for one in seen])) for prior in priors])

    def heights(self, places: Sequence[Place]) -> list[float]:
        """Return the height (ln units) at each place, as if every window had met the same host and arrivals."""
        if not self._fits or not places:
            return [0.0] * len(places)
        distances = _distances(places, self._places)
        shares = np.exp([fit.likelihood - self._fits[0].likelihood for fit in self._fits])
        alike = cache(lambda length, together: _alike(distances, length, together))
        each = [fit.level + alike(fit.prior.length, fit.prior.together) @ fit.weights for fit in self._fits]
        return [float(height) for height in np.average(each, axis=0, weights=shares)]


@lru_cache(maxsize=64)
def through(seen: tuple[Seen, ...]) -> Surface:
    """Return the surface through the windows. The same windows give the same surface; it is fitted once."""
    return Surface(seen)


def ordered(index: int, levels: int) -> tuple[float, ...]:
    """Return the coordinate of the `index`-th of so many levels in order."""
    return (index / max(1, levels - 1),)


def unordered(index: int, levels: int) -> tuple[float, ...]:
    """Return the coordinates of one of so many levels without order: all are equally far, one whole range, apart."""
    return tuple(math.sqrt(0.5) * (at == index) for at in range(levels))


def _telling(fits: Sequence[_Fit]) -> list[_Fit]:
    """Return the fits that count, the most likely one first."""
    ranked = sorted(fits, key=lambda fit: -fit.likelihood)
    return [fit for fit in ranked if fit.likelihood > ranked[0].likelihood - TELLING]


@lru_cache(maxsize=4)
def _priors(places: tuple[Place, ...], n: tuple[int, ...], arrivals: tuple[int, ...]) -> tuple[_Prior, ...]:
    """Return the grid, none without windows or knobs. It is the same whatever was measured in them: it is made once."""
    if not any(places):
        return ()
    own = np.eye(len(places)) + LUCK * np.equal.outer(arrivals, arrivals)
    drifting = np.exp(-np.abs(np.subtract.outer(n, n)) / DRIFTS_OVER)
    distances, made = _distances(places, places), []
    for length, together in itertools.product(LENGTHS, TOGETHER):
        alike = _alike(distances, length, together)
        for noise, drift in itertools.product(NOISE, DRIFT):
            covariance = alike + noise * (own + drift * drifting)  # positive definite: there is noise on its diagonal
            made.append(_Prior(length, together, cho_factor(covariance, lower=True, check_finite=False)))
    return tuple(made)


def _fit(prior: _Prior, y: Matrix) -> _Fit:
    """Return the fit with level and scale at their most likely values: the profile of the likelihood."""
    ones, solved = cho_solve(prior.factor, np.stack([np.ones(len(y)), y], axis=1), check_finite=False).T
    level = float(solved.sum() / ones.sum())
    weights = solved - level * ones
    scale = max(float((y - level) @ weights) / len(y), 1e-12)
    likelihood = -0.5 * len(y) * math.log(scale) - float(np.log(np.diag(prior.factor[0])).sum())
    return _Fit(prior, likelihood, level, weights)


def _distances(one: Sequence[Place], other: Sequence[Place]) -> list[Matrix]:
    """Return a matrix of squared distances for each knob."""
    pairs = ((np.array([place[knob] for place in places]) for places in (one, other)) for knob in range(len(one[0])))
    return [((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2) for a, b in pairs]


def _alike(distances: Sequence[Matrix], length: float, together: float) -> Matrix:
    """Return how variants covary: a sum over knobs, and a product for what knobs do only together."""
    single = [np.exp(-0.5 * squared / length**2) for squared in distances]
    whole: Matrix = (1 - together) * np.mean(single, axis=0) + together * np.prod(single, axis=0)
    return whole
