"""What the server saw: every metric of the pinned Tokio has its column, and a window's record sums the columns up."""

import re
from pathlib import Path

import pytest

from harness.target import proc
from harness.window import series, server
from harness.window.measurement import ServerFacts
from harness.window.watch import Sample

METRICS = Path(__file__).resolve().parents[2] / "target_templates" / "kit" / "src" / "metrics.rs"
TEXT = """# TYPE tokio_workers gauge
tokio_workers 2
# TYPE tokio_blocking_threads gauge
tokio_blocking_threads {blocking}
# TYPE tokio_io_registered_total counter
tokio_io_registered_total 70
# TYPE tokio_io_deregistered_total counter
tokio_io_deregistered_total 3
# TYPE tokio_worker_busy_seconds_total counter
tokio_worker_busy_seconds_total{{worker="0"}} {busy}
tokio_worker_busy_seconds_total{{worker="1"}} 0.5
# TYPE tokio_worker_polls_total counter
tokio_worker_polls_total{{worker="0"}} {polls}
tokio_worker_polls_total{{worker="1"}} 100
"""
LEFT_OUT = {
    "num_workers": "read once, by /runtime",
    "worker_thread_id": "Rust's own number, which no other account knows",
    "active_tasks_count": "deprecated name of num_alive_tasks",
    "injection_queue_depth": "deprecated name of global_queue_depth",
    "poll_time_histogram_enabled": "asked to know whether there is one",
    "poll_time_histogram_num_buckets": "the same",
    "poll_time_histogram_bucket_range": "in the label of each bucket",
    "schedule_latency": "needs a feature of Tokio that is off: two clock reads for each wake-up",
    "poll_count_histogram": "deprecated name of the histogram of poll times",
}


def samples():
    return [
        Sample(0, 0, 10, 4, TEXT.format(blocking=1, busy=1.0, polls=1000), None, (10, 5), 0.0),
        Sample(10**9, 5 * 10**8, 12, 9, TEXT.format(blocking=7, busy=1.8, polls=3000), None, (110, 7), 0.25),
    ]


def test_counters_become_rates_summed_and_by_worker():
    first, second = series.rows(samples(), 0)

    assert first.keys() == second.keys()
    assert first["polls_s"] is None
    assert (second["polls_s"], second["worker_0_polls_s"], second["worker_1_polls_s"]) == (2000, 2000, 0)
    assert second["worker_0_busy_share"] == pytest.approx(0.8)
    assert second["sockets"] == 67
    assert (second["voluntary_switches"], second["nonvoluntary_switches"], second["throttled_s"]) == (100, 2, 0.25)


def test_a_count_that_fell_because_a_thread_ended_is_not_known():
    before, after = samples()
    fewer = Sample(2 * 10**9, after.cpu_ns, 12, 9, after.metrics, None, (50, 0), 0.25)

    assert series.rows([after, fewer], 0)[1]["voluntary_switches"] is None
    assert series.rows([before, fewer], 0)[1]["voluntary_switches"] == 20


def test_a_windows_record_sums_its_series_up():
    seen = server.facts(samples(), series.rows(samples(), 0))

    assert seen.blocking_threads_max == 7
    assert seen.busy_share_by_worker == pytest.approx((0.8, 0.0))
    assert seen.mean_poll_us == pytest.approx(0.8 / 2000 * 1e6)
    assert (seen.cpu, seen.threads_max, seen.sockets_max) == (0.5, 9, 67)
    assert (seen.voluntary_switches_s, seen.throttled_share) == (100, 0.25)


HISTOGRAM = """tokio_worker_polls_by_time_total{{worker="0",below="0.0001"}} {short}
tokio_worker_polls_by_time_total{{worker="0",below="0.0002"}} {long}
tokio_worker_polls_by_time_total{{worker="1",below="0.0001"}} 10
tokio_worker_polls_by_time_total{{worker="0",below="+Inf"}} {endless}
"""


def test_the_histogram_of_poll_times_gives_bounds_of_the_stretch_alone():
    first = Sample(0, None, None, None, HISTOGRAM.format(short=5, long=1000, endless=0))
    last = Sample(10**9, None, None, None, HISTOGRAM.format(short=905, long=1095, endless=0))
    endless = Sample(10**9, None, None, None, HISTOGRAM.format(short=5, long=1000, endless=7))

    seen = server.facts([first, last], series.rows([first, last], 0))
    assert (seen.poll_p50_us, seen.poll_p99_us) == (pytest.approx(100), pytest.approx(200))
    assert server.facts([first, endless], []).poll_p99_us is None


def test_a_target_that_tells_nothing_has_nothing_in_its_record():
    silent = [Sample(0, None, None, None, ""), Sample(10**8, None, None, None, "")]

    assert server.facts(silent, series.rows(silent, 0)) == ServerFacts()
    assert server.facts([], []) == ServerFacts()


def test_switches_are_read_from_every_thread_of_a_process():
    text = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n"

    assert proc.parse_switches(text) == (12, 3)
    assert proc.parse_switches("") == (0, 0)
    assert proc.switches(1) is not None
    assert proc.switches(0) is None


@pytest.mark.cargo
def test_every_metric_of_the_pinned_tokio_is_exposed_or_left_out_for_a_reason():
    home = Path.home() / ".cargo" / "registry" / "src"
    sources = sorted(home.glob("*/tokio-1.54.1/src/runtime/metrics/runtime.rs"))
    assert sources, "the pinned Tokio is not in cargo's registry: build a target first"
    public = set(re.findall(r"^ +pub fn (\w+)", sources[0].read_text(), re.MULTILINE))
    kit = METRICS.read_text()
    exposed = {name for name in public if re.search(rf"\b{name}\b", kit)}
    reasoned = {name for name in public for prefix in LEFT_OUT if name.startswith(prefix)}

    assert public - exposed - reasoned == set()


def test_every_metric_that_the_kit_exposes_has_a_column():
    exposed = set(re.findall(r'"((?:tokio|http)_\w+)"', METRICS.read_text().split("#[cfg(test)]\nmod tests")[0]))
    known = {*series.GAUGES, *series.RATES, *series.OF_WORKERS, *series.GAUGES_OF_WORKERS, series.BUSY}

    assert exposed - known == {"tokio_workers", "tokio_worker_polls_by_time_total"}
