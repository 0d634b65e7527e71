"""The schedule of intended send times: seeded, of the declared law, computed before the window."""

import numpy as np
import pytest

from harness.load import schedule
from harness.study.model import Load, Request, WindowTimes


def mix(*weights):
    return tuple(Request(f"r{i}", "GET", "/", (), b"", weight, 200) for i, weight in enumerate(weights))


def open_load(arrivals, rate=1000.0, weights=(1.0,)):
    return Load("open", rate, arrivals, 1, 1.0, mix(*weights))


def test_a_poisson_schedule_has_its_rate_and_its_gaps():
    gaps = np.diff(schedule.arrivals(open_load("poisson"), WindowTimes(0, 100, 1), 5).offsets_ns) / 1e9

    assert len(gaps) == pytest.approx(100_000, rel=0.02)
    assert gaps.std() == pytest.approx(0.001, rel=0.03)
    assert np.mean(gaps > 0.001) == pytest.approx(np.exp(-1), rel=0.03)


def test_a_uniform_schedule_has_equal_gaps_and_fills_warm_up_and_measurement():
    plan = schedule.arrivals(open_load("uniform", rate=100.0), WindowTimes(0.5, 1.5, 1), 5)

    assert len(plan.offsets_ns) == 200
    assert np.ptp(np.diff(plan.offsets_ns)) <= 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    one, again, other = (schedule.arrivals(open_load("poisson"), WindowTimes(0, 1, 1), seed) for seed in (1, 1, 2))

    assert one.offsets_ns.tobytes() == again.offsets_ns.tobytes() != other.offsets_ns.tobytes()


def test_kinds_come_in_their_weights_without_moving_the_arrivals():
    single = schedule.arrivals(open_load("poisson"), WindowTimes(0, 20, 1), 3)
    mixed = schedule.arrivals(open_load("poisson", weights=(3.0, 1.0)), WindowTimes(0, 20, 1), 3)

    assert np.mean(mixed.kinds == 1) == pytest.approx(0.25, abs=0.02)
    assert single.offsets_ns.tolist() == mixed.offsets_ns.tolist()


def test_connections_of_a_closed_load_have_cycles_of_their_own():
    load = Load("closed", None, None, 2, 1.0, mix(1.0, 1.0))

    assert schedule.closed_kinds(load, 1, 0).tolist() != schedule.closed_kinds(load, 1, 1).tolist()
