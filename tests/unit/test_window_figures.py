"""Figures from samples: what is scored, and what it reads where requests did not succeed."""

import numpy as np
import pytest

from harness.load.job import COMPLETED, DROPPED, FAILED, TIMED_OUT, UNFINISHED
from harness.study.model import Load
from harness.window.figures import Requests, figures, lateness_ms, scored_percentile

OPEN = Load("open", 100.0, "poisson", 8, 2.0, ())
CLOSED = Load("closed", None, None, 8, 2.0, ())


def arrivals(latencies_ms, outcomes):
    latency_ns = np.array(latencies_ms, dtype=np.int64) * 1_000_000
    return Requests(latency_ns, latency_ns, np.array(outcomes, dtype=np.int8))


def test_percentile_is_the_nearest_rank_over_everything_offered():
    success = np.arange(1.0, 101.0)

    assert [scored_percentile(success, 100, q) for q in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]


def test_a_variant_that_gives_up_on_its_slow_requests_does_not_look_fast():
    honest = figures(arrivals([1] * 94 + [500] * 6, [COMPLETED] * 100), OPEN, 1.0)
    quitter = figures(arrivals([1] * 94 + [0] * 6, [COMPLETED] * 94 + [TIMED_OUT] * 6), OPEN, 1.0)

    assert honest.p95_ms == 500.0
    assert quitter.p95_ms == 2000.0
    assert quitter.censored == ("p95", "p99", "p999")
    assert quitter.success_p95_ms == 1.0


def test_every_outcome_is_counted_and_all_but_completed_are_errors():
    outcomes = [COMPLETED] * 5 + [FAILED, TIMED_OUT, DROPPED, UNFINISHED, UNFINISHED]

    seen = figures(arrivals([1] * 10, outcomes), OPEN, 2.0)

    assert (seen.offered, seen.completed, seen.failed, seen.timed_out, seen.dropped, seen.unfinished) == (
        10,
        5,
        1,
        1,
        1,
        2,
    )
    assert (seen.error_ratio, seen.throughput, seen.completed_per_s) == (0.5, 0.5, 2.5)


def test_throughput_of_a_closed_load_is_requests_a_second():
    seen = figures(arrivals([1] * 10, [COMPLETED] * 10), CLOSED, 2.0)

    assert seen.throughput == 5.0


def test_nothing_offered_gives_no_percentile():
    seen = figures(arrivals([], []), OPEN, 1.0)

    assert (seen.p50_ms, seen.offered, seen.throughput) == (None, 0, 0.0)


def test_lateness_counts_only_what_was_handed_over_and_is_never_negative():
    late = lateness_ms(np.array([10, 20, 30]) * 1_000_000, np.array([11, 0, 29]) * 1_000_000)

    assert late.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99])
def test_percentile_of_one_request_is_that_request(q):
    assert scored_percentile(np.array([7.0]), 1, q) == 7.0
