"""The figures of the report: what stands beside them, so that nobody reads more out of them than they hold."""

from dataclasses import replace

import canned_run
import pytest

from harness import report
from harness.report import places, read, tables, windows

FLOOR = {"floor_ms": {"p50": 0.21, "p95": 0.42, "p99": 1.3}}


def row(run, name):
    return next(row for row in tables.figures(run) if row.name.startswith(name))


def test_the_noise_floor_of_the_host_stands_beside_each_percentile(tmp_path):
    run = read.run(canned_run.write(tmp_path, changes={"load": {**canned_run.RUN["load"]}, **FLOOR}))

    assert "noise floor of this host 0.420 ms" in row(run, "p95").beside
    assert "floor" not in row(run, "p99.9").beside
    assert ("noise floor", "p50 0.21 ms, p95 0.42 ms, p99 1.30 ms") in places.places(run)


def test_a_host_that_was_not_calibrated_says_so(tmp_path):
    run = read.run(canned_run.write(tmp_path))

    assert "harness doctor --calibrate" in dict(places.places(run))["noise floor"]
    assert row(run, "p95").beside == ""


def test_a_percentile_with_few_requests_beyond_it_is_marked(tmp_path):
    def few(_, made):
        return replace(made, figures=replace(made.figures, few_beyond=("p99", "p999")))

    run = read.run(canned_run.write(tmp_path, spoil=few))

    assert "fewer than 100 requests" in row(run, "p99").beside
    assert "fewer" not in row(run, "p95").beside


def test_a_closed_load_that_left_the_target_cpu_to_spare_is_at_least_what_it_can_do(tmp_path):
    closed = {**canned_run.RUN["load"], "model": "closed", "rate": None, "arrivals": None}
    spare = read.run(canned_run.write(tmp_path / "spare", changes={"load": closed}))

    def busy(_, made):
        return replace(made, figures=replace(made.figures, cpu_per_request_us=1e6 / 300))

    full = read.run(canned_run.write(tmp_path / "full", spoil=busy, changes={"load": closed}))

    assert row(spare, "throughput").baseline.startswith("≥ ")
    assert not row(full, "throughput").baseline.startswith("≥ ")


def test_the_cpu_of_an_upstream_stands_beside_the_generators_and_apart_from_it(tmp_path):
    def forwarding(_, made):
        return replace(made, host=replace(made.host, generator_cpu=0.21, upstream_cpu=0.04))

    plain = read.run(canned_run.write(tmp_path / "plain"))
    run = read.run(canned_run.write(tmp_path / "forwarding", spoil=forwarding))

    assert {row.generator_cpu for row in windows.windows(run)} == {"21 % + 4 % upstream"}
    assert not any("upstream" in row.generator_cpu for row in windows.windows(plain))


def test_the_spread_of_both_sides_stands_on_the_page_and_a_wide_one_is_remarked_on(tmp_path):
    def unsteady(n, made):
        scale = 1 + 0.5 * (n % 4 == 0)
        return replace(made, figures=replace(made.figures, p95_ms=made.figures.p95_ms * scale))

    steady = canned_run.write(tmp_path / "steady")
    words = tables.stability_words(read.run(steady))
    wide = tables.stability_words(read.run(canned_run.write(tmp_path / "wide", spoil=unsteady)))
    report.write(steady)

    assert words.startswith("Windows of the tested variant spread by ")
    assert "the worst window read" in words
    assert words in (steady / "report.html").read_text()
    assert ("of their mean" in words, "of their mean" in wide) == (False, True)


def test_what_shapes_the_generator_is_told(tmp_path):
    host = {**canned_run.RUN["host"], "python_build": "PGO and LTO", "open_files": [1024, 2**20]}
    told = dict(places.places(read.run(canned_run.write(tmp_path, changes={"host": host}))))

    assert told["generator's Python"] == "PGO and LTO"
    assert told["open files allowed"] == "1,024 (at most 1,048,576)"


@pytest.mark.parametrize(("ring", "said"), [(False, True), (True, False)])
def test_that_io_uring_is_a_no_op_stands_beside_its_effect(tmp_path, monkeypatch, ring, said):
    knob = {**canned_run.KNOBS[1], "name": "enable_io_uring", "levels": ["unset", True], "ordered": False}
    monkeypatch.setattr(canned_run, "WORKERS", {"fraud_check": "inline", "enable_io_uring": True})

    def with_ring(_, made):
        return replace(made, in_force={**made.in_force, "io_uring": ring})

    monkeypatch.setattr(canned_run, "variant", of_uring)
    changes = {"knobs": [canned_run.KNOBS[0], knob, canned_run.KNOBS[2]]}
    run = read.run(canned_run.write(tmp_path, spoil=with_ring, changes=changes))
    (row,) = (row for row in tables.effects(run) if row.label.startswith("enable_io_uring"))

    assert ("a no-op here" in row.call) == said


def of_uring(values, of=canned_run.variant):
    made = of(values)
    return replace(made, id=made.id[:-1] + "9") if "enable_io_uring" in values else made
