"""Noise from A/A windows, and the smallest gain that can be seen through it."""

import math

import numpy as np
import pytest
from scipy import stats

from harness.judge import noise, rank
from harness.search import sizes


def test_sigma_of_an_alternating_series_is_its_scaled_step():
    assert noise.sigma([0.0, 0.1, 0.0, 0.1]) == pytest.approx(1.4826 * 0.1 / 2**0.5)


def test_one_outlier_does_not_move_sigma_much():
    steady = np.random.default_rng(3).normal(0, 0.1, 40)
    shot = [*steady[:20], 5.0, *steady[20:]]

    assert noise.sigma(shot) == pytest.approx(noise.sigma(steady), rel=0.15)


def test_one_window_says_nothing_about_noise():
    assert (noise.sigma([1.0]), noise.sigma_of_pairs([0.1])) == (None, None)


@pytest.mark.parametrize(("windows", "low", "high"), [(4, 0.03, 0.31), (10, 0.05, 0.20), (40, 0.075, 0.15)])
def test_readings_of_a_true_10_percent_lie_where_the_table_says(windows, low, high):
    rng = np.random.default_rng(11)
    read = [noise.sigma(rng.normal(0, 0.1, windows)) for _ in range(4000)]
    inside = np.mean([low <= value <= high for value in read])

    assert inside == pytest.approx(0.90, abs=0.04)


def test_the_range_of_the_truth_turns_the_table_of_readings_around():
    found = noise.sigma_range(0.10, 10)

    assert (found.low, found.high) == pytest.approx((0.05, 0.20))


@pytest.mark.parametrize(
    ("pairs", "looks", "sigma", "gain"),
    [(6, 1, 0.10, 0.19), (12, 1, 0.05, 0.06), (20, 1, 0.10, 0.09), (20, 2, 0.10, 0.10), (40, 2, 0.20, 0.13)],
)
def test_smallest_visible_gains_are_those_of_the_table(pairs, looks, sigma, gain):
    assert noise.smallest_visible(sigma, pairs, looks) == pytest.approx(gain, abs=0.006)


def test_no_pairs_see_nothing():
    assert noise.smallest_visible(0.1, 0, 1) is None


def test_sampling_floor_of_p99_of_10_000_exponential_requests_is_2_2_percent():
    assert noise.sampling_floor(10_000, 0.99) == pytest.approx(0.0216, abs=0.0001)


def test_windows_that_read_the_very_same_leave_their_noise_unknown():
    assert (noise.sigma([12.0] * 6), noise.sigma_of_pairs([0.0] * 6)) == (None, None)


def test_no_noise_to_go_by_makes_no_gain_visible():
    assert noise.smallest_visible(0.0, 20, 2) is None


def test_pooling_weighs_variances_by_their_freedom():
    assert noise.pooled_sigma([(0.1, 3), (None, 5), (0.2, 1)]) == pytest.approx((0.07 / 4) ** 0.5)


def test_pooling_nothing_is_unknown():
    assert noise.pooled_sigma([(None, 3)]) is None


def claimed(pairs, gain, looks, studies=8000, sigma=0.10):
    """Return how many of so many studies claim a true gain, with the noise that the reference was simulated with.

    Drift with sd sigma and a memory of 30 windows, normal noise, outliers in 5 % of windows; the order by a fair coin.
    """
    rng, n = np.random.default_rng(pairs), 2 * pairs
    drift, r = np.empty((studies, n)), math.exp(-1 / 30)
    drift[:, 0] = rng.standard_normal(studies)
    for at in range(1, n):
        drift[:, at] = r * drift[:, at - 1] + math.sqrt(1 - r * r) * rng.standard_normal(studies)
    outliers = rng.exponential(3, (studies, n)) * (rng.random((studies, n)) < 0.05)
    y = sigma * (drift + rng.standard_normal((studies, n)) + outliers)
    d = (y[:, ::2] - y[:, 1::2]) * rng.choice([-1, 1], (studies, pairs)) + math.log1p(-gain)
    passed = np.zeros(studies, dtype=bool)
    for count, alpha in looks:
        ranks = stats.rankdata(np.abs(d[:, :count]), axis=1)
        passed |= (ranks * (d[:, :count] > 0)).sum(axis=1) <= rank.critical_value(count, alpha)
    return passed.mean()


@pytest.mark.parametrize("pairs", [6, 8, 12, 16, 20, 30, 40])
def test_the_smallest_visible_gain_is_seen_with_80_percent_power_by_the_looks_that_are_shipped(pairs):
    """With the constants of two looks at half of alpha each, which are not shipped, it reads 84 to 86 %."""
    looks = tuple(zip(*sizes.looks(pairs), strict=True))
    power = claimed(pairs, noise.smallest_visible(0.10, pairs, len(looks)), looks)

    assert power == pytest.approx(0.805, abs=0.02)


@pytest.mark.parametrize("pairs", [16, 20, 30, 40])
def test_no_gain_is_claimed_in_at_most_5_percent_by_the_looks_that_are_shipped(pairs):
    assert claimed(pairs, 0.0, zip(*sizes.looks(pairs), strict=True)) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 8000)
