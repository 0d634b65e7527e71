"""Readers of the host's account, the core map, and the server's series."""

import pytest

from harness.errors import MachineError
from harness.window import series
from harness.window.cores import core_map, parse_cores
from harness.window.host import NS_PER_TICK, parse_pressure_us, parse_proc_stat, parse_usage_percpu, share
from harness.window.watch import Sample


def test_cpu_time_of_a_core_is_user_nice_and_system_and_steal_stands_apart():
    used, steal = parse_proc_stat("cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 3 4 5 100 7 1 2 6 0 0\nintr 5\n")

    assert used == {1: 12 * NS_PER_TICK}
    assert steal == {1: 6 * NS_PER_TICK}


def test_exact_account_is_read_core_by_core():
    assert parse_usage_percpu("100 250 \n") == {0: 100, 1: 250}


def test_share_is_in_cores():
    assert share({0: 0, 1: 0}, {0: 50, 1: 100}, (0, 1), 100) == 1.5


def test_target_gets_the_last_cores_and_shares_none():
    cores = core_map((0, 1, 2, 3), 2)

    assert (cores.target, cores.generator, cores.harness, cores.shared) == ((2, 3), (0,), (1,), "")


def test_on_two_cores_the_harness_sits_with_the_generator():
    cores = core_map((0, 1), 1)

    assert (cores.target, cores.generator, cores.harness) == ((1,), (0,), (0,))


def test_generator_and_harness_keep_off_the_hyper_threads_of_the_target():
    groups = ((0, 4), (1, 5), (2, 6), (3, 7))
    cores = core_map((0, 1, 2, 3, 4, 5, 6, 7), 3, groups)

    assert (cores.target, cores.generator, cores.harness, cores.notes) == ((6, 3, 7), (0,), (4,), ())


def test_hyper_threads_of_one_core_are_no_cores_of_their_own():
    cores = core_map((0, 1), 1, ((0, 1),))

    assert (cores.target, cores.generator, cores.shared) == ((1,), (0,), "")
    assert "hyper-threads" in cores.notes[0]


def test_an_engine_with_threads_gets_the_cores_that_are_left():
    wide = core_map(tuple(range(8)), 2, spread=True)
    narrow = core_map((0, 1), 1, spread=True)

    assert (wide.target, wide.generator, wide.harness) == ((6, 7), (0, 1, 2, 3, 4), (5,))
    assert (narrow.target, narrow.generator, narrow.harness) == ((1,), (0,), (0,))


@pytest.mark.parametrize(("text", "cores"), [("0\n", (0,)), ("0-1\n", (0, 1)), ("0,4-6\n", (0, 4, 5, 6))])
def test_a_list_of_cores_is_read(text, cores):
    assert parse_cores(text) == cores


def test_without_a_free_core_the_sharing_is_said():
    assert "share" in core_map((0, 1), 2).shared


def test_more_cores_than_there_are_is_refused_with_what_would_do():
    with pytest.raises(MachineError, match="set target"):
        core_map((0, 1), 3)


METRICS = """# TYPE http_requests_total counter
http_requests_total {requests}
# TYPE tokio_blocking_threads gauge
tokio_blocking_threads 2
# TYPE tokio_worker_busy_seconds_total counter
tokio_worker_busy_seconds_total{{worker="0"}} {busy}
"""


def test_series_give_gauges_and_shares_since_the_row_before():
    samples = [
        Sample(1_000_000_000, 0, 10, 4, METRICS.format(requests=5, busy=1.0)),
        Sample(2_000_000_000, 500_000_000, 12, 5, METRICS.format(requests=15, busy=1.25)),
    ]

    first, second = series.rows(samples, t0_ns=1_000_000_000)

    assert (first["t_s"], first["cpu"], first["requests"], first["blocking_threads"]) == (0.0, None, 5.0, 2.0)
    assert (second["t_s"], second["cpu"], second["busy_share"], second["requests"]) == (1.0, 0.5, 0.25, 15.0)


def test_a_metric_that_the_target_lacks_is_null_not_zero():
    (row,) = series.rows([Sample(5, None, None, None, "")], t0_ns=0)

    assert row["alive_tasks"] is None
    assert row["requests"] is None


def test_damaged_metrics_give_nothing_instead_of_an_error():
    assert series.parse_metrics("this is { not prometheus\n") == {}


def test_pressure_is_the_total_of_the_line_some():
    text = "some avg10=0.00 avg60=1.17 avg300=0.50 total=1234567\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=89\n"

    assert parse_pressure_us(text) == 1234567
    assert parse_pressure_us("") is None
