"""The highest rate that keeps a percentile: from percentiles of steps, and from the requests of a queue that is known."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import fake_study

from harness.load.job import COMPLETED, TIMED_OUT
from harness.study.model import Keep, Objective, Piece
from harness.window import capacity
from harness.window.figures import Requests

RATES = (100.0, 200.0, 300.0, 400.0)


def carried(*percentiles, at_most=20.0, timeout=2000.0):
    return capacity.carried(RATES, percentiles, at_most, timeout)


def test_the_rate_lies_between_the_last_step_that_keeps_it_and_the_first_that_does_not():
    assert carried(5.0, 10.0, 40.0, 41.0) == pytest.approx(250.0)
    assert 200 < carried(5.0, 10.0, 400.0, 410.0) < 250
    assert 250 < carried(5.0, 10.0, 21.0, 400.0) < 300


def test_a_step_that_keeps_it_again_after_one_that_did_not_counts_for_nothing():
    assert carried(5.0, 40.0, 5.0, 5.0) == carried(5.0, 40.0, 90.0, 90.0)


def test_a_service_that_carries_every_step_carries_at_least_the_last():
    assert carried(5.0, 6.0, 7.0, 20.0) == 400.0


def test_a_service_that_carries_no_step_has_less_than_the_first_and_the_slower_one_less_still():
    assert 0 < carried(80.0, 90.0, 90.0, 90.0) < carried(40.0, 90.0, 90.0, 90.0) < 100


def test_a_percentile_among_lost_requests_breaks_the_bound_even_above_the_time_out():
    assert carried(5.0, float("inf"), 5.0, 5.0, at_most=5000.0, timeout=2000.0) < 200


def test_a_step_without_a_request_makes_the_capacity_unknown():
    assert carried(5.0, None, 40.0, 40.0) is None


def queue(study, service_s, seed=1):
    """Return the requests of one worker that needs `service_s` for each, first come first served."""
    chance, at, free, rows = np.random.default_rng(seed), 0.0, 0.0, []
    for step in study.load.pieces[1:]:
        count = chance.poisson(step.rate * step.length_s)
        for intended in np.sort(at + step.length_s * chance.random(count)):
            free = max(free, intended) + service_s
            rows.append((intended, free - intended))
        at += step.length_s
    offsets, latency = np.array(rows).T
    lost = latency > study.load.timeout_s
    outcome = np.where(lost, TIMED_OUT, COMPLETED).astype(np.int8)
    latency_ns = (np.minimum(latency, study.load.timeout_s) * 1e9).astype(np.int64)
    return Requests(latency_ns, latency_ns, outcome), offsets


def stepped(at_most_ms=20.0):
    study = fake_study(objective=Objective("maximize", "capacity", keep=Keep("p95", at_most_ms)))
    pieces = (Piece(1.0, 100.0, 100.0), *(Piece(5.0, rate, rate) for rate in np.linspace(100, 1500, 8)))
    return replace(study, load=replace(study.load, arrivals="steps", pieces=pieces))


@pytest.mark.parametrize("limit", [500, 800, 1100])
def test_the_capacity_of_a_queue_is_at_most_a_step_below_the_rate_at_which_it_is_full(limit):
    study = stepped()
    found = [capacity.of_window(study, *queue(study, 1 / limit, seed)) for seed in range(5)]

    assert limit - 200 < np.median(found) < limit


def test_a_service_that_is_a_tenth_faster_has_the_larger_capacity():
    study = stepped()
    gains = [
        capacity.of_window(study, *queue(study, 0.9 / 800, seed))
        / capacity.of_window(study, *queue(study, 1 / 800, seed))
        for seed in range(9)
    ]

    assert np.median(gains) == pytest.approx(1.1, abs=0.06)


def test_any_other_objective_has_no_capacity():
    study = stepped()
    other = replace(study, objective=Objective("minimize", "p95"))

    assert capacity.of_window(other, *queue(study, 1 / 800)) is None
