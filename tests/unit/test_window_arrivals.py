"""Arrivals of a window: what the schedule had against what was handed over."""

import numpy as np
import pytest

from harness.window.arrivals import dispersion, facts, gap_distance

SECOND = 1_000_000_000


def poisson(rate, seed=1, length_s=10):
    gaps = np.random.default_rng(seed).exponential(SECOND / rate, int(rate * length_s * 1.2))
    times = np.cumsum(gaps).astype(np.int64)
    return times[times < length_s * SECOND]


def even(rate, length_s=10):
    return (np.arange(rate * length_s) * SECOND // rate).astype(np.int64)


def test_poisson_arrivals_have_dispersion_one_and_even_ones_less():
    assert dispersion(poisson(500), 0, 10 * SECOND) == pytest.approx(1.0, abs=0.05)
    assert dispersion(even(500), 0, 10 * SECOND) == pytest.approx(0.5, abs=0.05)


def test_users_in_lockstep_have_the_dispersion_of_their_herd():
    herd = np.repeat(np.arange(100) * SECOND // 10, 50)

    assert dispersion(herd, 0, 10 * SECOND) == pytest.approx(50, rel=0.02)


def test_too_few_requests_tell_nothing():
    assert dispersion(even(5), 0, 10 * SECOND) is None
    assert gap_distance(even(5), even(5)) is None


def test_a_dispatcher_on_time_has_the_gaps_of_the_schedule():
    planned = poisson(300)
    late = np.random.default_rng(2).exponential(50_000, len(planned)).astype(np.int64)

    assert gap_distance(planned, np.sort(planned + late)) < 0.05


def test_a_dispatcher_that_wakes_ten_times_a_second_has_other_gaps():
    planned = poisson(300)
    woken = -(-planned // (SECOND // 10)) * (SECOND // 10)

    seen = facts(planned, planned, woken, 0, 10 * SECOND)

    assert seen.gap_distance > 0.5
    assert seen.dispersion > 10 * seen.planned_dispersion


def test_even_gaps_are_no_poisson_gaps():
    assert gap_distance(poisson(300), even(300)) > 0.3


def test_gaps_below_the_grain_of_a_timer_are_not_judged():
    planned = poisson(20_000, length_s=1)

    assert gap_distance(planned, -(-planned // 60_000) * 60_000) is None


@pytest.mark.parametrize("change", [lambda at: at[1:], lambda at: at + 1, lambda at: np.append(at, at[-1:])])
def test_samples_that_are_not_the_schedules_show(change):
    planned = poisson(300)
    seen = facts(planned, change(planned), planned, 0, 10 * SECOND)

    assert seen.as_planned is False


def test_without_a_schedule_only_the_herd_is_told():
    seen = facts(None, even(300), even(300), 0, 10 * SECOND)

    assert (seen.planned, seen.as_planned, seen.gap_distance) == (None, None, None)
    assert seen.dispersion < 1


def test_one_pause_after_which_everybody_goes_is_no_herd():
    at = even(100)
    after_a_pause = np.sort(np.where((at >= 3 * SECOND) & (at < 4 * SECOND), 4 * SECOND, at))

    assert dispersion(after_a_pause, 0, 10 * SECOND) == pytest.approx(dispersion(at, 0, 10 * SECOND), abs=0.1)
