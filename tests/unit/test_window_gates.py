"""Gates judge the generator and the host, never the target."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.window import documented
from harness.window.gates import GATES, LIMITS, lateness_limit_ms, validity
from harness.window.measurement import HostFacts, Validity

ROOT = Path(__file__).resolve().parents[2]

QUIET = HostFacts(
    lateness_p50_ms=0.12,
    lateness_p99_ms=0.2,
    late_share=0.001,
    lateness_limit_ms=0.3,
    dispatched_share=1.0,
    generator_cpu=0.1,
    harness_cpu=0.01,
    target_cpu=0.4,
    foreign_cpu=0.01,
    steal=0.0,
    throttled_s=0.0,
    server_requests=2400,
    sent_requests=2400,
    answered_requests=2400,
    engine="http",
    generator_peak=0.2,
    generator_throttled_share=0.0,
    planned=2300,
    samples=2300,
    as_planned=True,
    dispersion=1.05,
    planned_dispersion=1.0,
    gap_distance=0.02,
    expected_connections=64,
    server_connections=64,
    wrong_bodies=0,
    trend_ratio=1.02,
    trend_p=0.5,
    overloaded=False,
)


def test_a_quiet_window_is_valid_without_a_reason():
    assert validity(QUIET) == (Validity.VALID, ())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"dispatched_share": 0.98}, Validity.INVALID),
        ({"lateness_p50_ms": 0.4}, Validity.INVALID),
        ({"late_share": 0.06}, Validity.INVALID),
        ({"lateness_p99_ms": 3.0}, Validity.DEGRADED),
        ({"generator_cpu": 0.61}, Validity.INVALID),
        ({"generator_cpu": None}, Validity.DEGRADED),
        ({"upstream_ended": "killed by SIGKILL"}, Validity.INVALID),
        ({"generator_cpu": 0.5, "upstream_cpu": 0.26}, Validity.INVALID),
        ({"foreign_cpu": 0.06}, Validity.DEGRADED),
        ({"foreign_cpu": 0.26}, Validity.INVALID),
        ({"foreign_cpu": None}, Validity.DEGRADED),
        ({"steal": 0.3}, Validity.INVALID),
        ({"throttled_s": 0.5}, Validity.DEGRADED),
        ({"server_requests": 2401}, Validity.INVALID),
        ({"server_requests": 2399}, Validity.INVALID),
        ({"server_requests": None}, Validity.DEGRADED),
        ({"samples": 2299}, Validity.INVALID),
        ({"as_planned": False}, Validity.INVALID),
        ({"dispersion": 4.5}, Validity.INVALID),
        ({"dispersion": 16.0, "planned": None, "engine": "locustfile"}, Validity.INVALID),
        ({"gap_distance": 0.25}, Validity.INVALID),
        ({"generator_peak": 0.95}, Validity.DEGRADED),
        ({"generator_cpu": 0.76, "engine": "native"}, Validity.INVALID),
        ({"generator_throttled_share": 0.1}, Validity.INVALID),
        ({"server_connections": 65}, Validity.INVALID),
        ({"wrong_bodies": 1}, Validity.FAILED),
        ({"trend_ratio": 1.5, "trend_p": 0.0001}, Validity.DEGRADED),
        ({"notes": ("generator and target share cores",)}, Validity.DEGRADED),
    ],
)
def test_each_disturbance_of_generator_or_host_is_named(change, expected):
    found, reasons = validity(replace(QUIET, **change))

    assert found is expected
    assert len(reasons) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"target_cpu": 1.0},
        {"generator_cpu": 0.5, "upstream_cpu": 0.24},
        {"generator_cpu": 0.9, "upstream_cpu": 0.5, "generator_cores": 2, "engine": "native"},
        {"sent_requests": 2500, "server_requests": 2450},
        {"trend_ratio": 40.0, "trend_p": 0.0, "overloaded": True},
        {"dispersion": 50.0, "planned": None},  # our closed model sends when it was answered
        {"server_connections": 40},  # the others wait to be accepted
        {"reconnects": 300, "expected_connections": 364, "server_connections": 364},
    ],
)
def test_a_saturated_or_dropping_target_stays_valid(change):
    assert validity(replace(QUIET, **change))[0] is Validity.VALID


def test_the_native_engine_may_use_more_of_its_core_and_several_cores_are_shared_out():
    busy = replace(QUIET, engine="native", generator_cpu=0.74, generator_peak=0.8)
    both = replace(QUIET, engine="native", generator_cpu=1.4, generator_peak=1.6, generator_cores=2)

    assert [validity(facts)[0] for facts in (busy, both)] == [Validity.VALID, Validity.VALID]


def test_the_worst_gate_decides_and_every_reason_is_kept():
    found, reasons = validity(replace(QUIET, foreign_cpu=0.06, generator_cpu=0.9))

    assert found is Validity.INVALID
    assert len(reasons) == 2


def test_lateness_is_judged_against_the_floor_or_what_is_scored_whichever_is_larger():
    assert lateness_limit_ms(floor_ms=0.2, objective_ms=1.0) == 0.4
    assert lateness_limit_ms(floor_ms=0.2, objective_ms=50.0) == 5.0
    assert lateness_limit_ms(floor_ms=None, objective_ms=None) == 2 * LIMITS.uncalibrated_floor_ms
    assert lateness_limit_ms(floor_ms=0.03, objective_ms=0.3) == LIMITS.wake_up_ms


def test_every_gate_is_silent_on_a_quiet_window():
    assert [name for name, gate in GATES.items() if gate(QUIET, LIMITS)] == []


def test_every_gate_but_steal_has_a_test_that_fires_it_by_a_real_cause():
    assert set(documented.fired_by()) == set(GATES) - {"steal"}


def test_the_page_of_the_gates_is_made_from_their_tables():
    assert documented.FILE.read_text(encoding="utf-8") == documented.text(), "run `make schema`"
