"""The schedule of intended send times: seeded, of the declared law, computed before the window."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.load import schedule
from harness.study.model import Load, Piece, Request, WindowTimes


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


def changing(arrivals, *pieces):
    return replace(open_load(arrivals, rate=pieces[0][1]), pieces=tuple(Piece(*piece) for piece in pieces))


def test_steps_have_the_rate_of_each_step():
    load = changing("steps", (1.0, 200.0, 200.0), (5.0, 200.0, 200.0), (5.0, 800.0, 800.0))
    at_s = schedule.arrivals(load, WindowTimes(1, 10, 1), 5).offsets_ns / 1e9

    assert np.count_nonzero(at_s < 6) == pytest.approx(1200, rel=0.1)
    assert np.count_nonzero(at_s >= 6) == pytest.approx(4000, rel=0.05)


def test_a_ramp_rises_straight():
    at_s = schedule.arrivals(changing("ramp", (10.0, 100.0, 2100.0)), WindowTimes(0, 10, 1), 5).offsets_ns / 1e9
    middle = np.count_nonzero(at_s < 5)

    assert len(at_s) == pytest.approx(11_000, rel=0.03)
    assert middle == pytest.approx(5 * (100 + 1100) / 2, rel=0.05)


def test_nothing_comes_while_the_rate_is_nothing():
    load = changing("bursts", (1.0, 1000.0, 1000.0), (1.0, 0.0, 0.0), (1.0, 1000.0, 1000.0))
    at_s = schedule.arrivals(load, WindowTimes(0, 3, 1), 5).offsets_ns / 1e9

    assert np.count_nonzero((at_s >= 1) & (at_s < 2)) == 0
    assert np.count_nonzero(at_s >= 2) == pytest.approx(1000, rel=0.1)


def test_a_trace_is_replayed_as_it_was_recorded():
    load = replace(open_load("trace"), trace_s=(0.0, 0.25, 0.25, 1.5, 9.0))

    assert schedule.arrivals(load, WindowTimes(1, 1, 1), 5).offsets_ns.tolist() == [
        0,
        250_000_000,
        250_000_000,
        1_500_000_000,
    ]
    assert schedule.planned(load, WindowTimes(1, 1, 1), 5) == 1


@given(st.floats(0.1, 5), st.floats(0, 500), st.floats(0, 500), st.floats(1, 500))
def test_expected_numbers_and_times_are_each_others_inverse(length, rate, to_rate, last):
    load = changing("ramp", (length, rate, to_rate), (1.0, last, last))
    rate_over_time = schedule.Intensity.of(load, WindowTimes(0, length + 1, 1))
    units = np.linspace(0, rate_over_time.total, 50)

    assert rate_over_time.expected(rate_over_time.when(units)) == pytest.approx(units, abs=1e-3)


def test_pauses_are_exponential_and_each_connection_has_its_own():
    load = replace(Load("closed", None, None, 2, 1.0, mix(1.0)), think_s=0.1)
    one, other = (schedule.closed_thinking_ns(load, 1, number) for number in (0, 1))

    assert one.mean() == pytest.approx(0.1e9, rel=0.1)
    assert one.std() == pytest.approx(0.1e9, rel=0.1)
    assert one.tolist() != other.tolist()
