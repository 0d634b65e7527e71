"""The trend within a window: first third against last, by ranks of block medians."""

import numpy as np

from harness.window.trend import trend

SECOND = 1_000_000_000


def window(slope, seed=1, seconds=8, rate=300):
    """Return (intended, latency) whose median grows by `slope` of itself over the window."""
    random = np.random.default_rng(seed)
    at = np.sort(random.uniform(0, seconds * SECOND, seconds * rate)).astype(np.int64)
    latency = random.lognormal(0, 0.3, len(at)) * 1e6 * (1 + slope * at / (seconds * SECOND))
    return at, latency.astype(np.int64)


def test_latency_that_stands_still_has_no_trend():
    levels = [trend(*window(0.0, seed), 0, 8 * SECOND).p for seed in range(200)]

    assert sum(level < 0.001 for level in levels) <= 2


def test_latency_that_grows_by_half_has_one():
    seen = trend(*window(0.5), 0, 8 * SECOND)

    assert seen.p < 0.001
    assert 1.2 < seen.ratio < 1.6


def test_a_window_of_seconds_is_needed_to_tell():
    assert trend(*window(0.5, seconds=3), 0, 3 * SECOND) is None
