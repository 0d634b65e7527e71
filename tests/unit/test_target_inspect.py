"""What a running service tells, without one: ports, settings in force, and answers that do not come."""

from pathlib import Path

import pytest

from harness import variant as variants
from harness.study import load
from harness.target import inspect, render

OWN_CRATE = Path(__file__).resolve().parents[1] / "own_crate"

STUDY = """\
study: told
target: {{{target}, cpus: 1}}
load: {{model: open, rate: 300, connections: 8, timeout: 2s, requests: [{{name: pay, path: {path}}}]}}
window: {{warmup: 1s, measure: 7s}}
objective: {{minimize: p95}}
knobs: {{{knobs}}}
"""
KNOBS = "worker_threads: [unset, 4], flavor: [multi_thread, current_thread]"


def loaded(folder, target, knobs=KNOBS):
    file = folder / "study.yaml"
    file.write_text(STUDY.format(target=target, knobs=knobs, path="/"), encoding="utf-8")
    return load(file)


@pytest.fixture
def payments(tmp_path):
    return loaded(tmp_path, "template: payments", f"{KNOBS}, fraud_check: [inline, spawn_blocking]")


@pytest.fixture
def own(tmp_path):
    return loaded(tmp_path, f"path: {OWN_CRATE}", "worker_threads: [2, 4], max_blocking_threads: [unset, 8]")


def told(study, variant, **other):
    options = {name.removeprefix("OPT_").lower(): text for name, text in render.environment(study, variant).items()}
    return {"flavor": "multi_thread", "workers": 1, "tokio": "1.54.1", "options": options, **other}


def test_two_ports_are_two_ports():
    first, second = inspect.free_ports()

    assert first != second


def test_settings_that_are_the_variants_raise_no_reason(payments):
    variant = variants.of(payments, {"worker_threads": 4, "fraud_check": "spawn_blocking"})

    assert inspect.check_in_force(payments, variant, told(payments, variant, workers=4)) == ()


def test_other_workers_than_the_variants_are_a_reason(payments):
    variant = variants.of(payments, {"worker_threads": 4})

    reasons = inspect.check_in_force(payments, variant, told(payments, variant, workers=2))

    assert reasons == ("workers in force is 2, the variant has 4",)


def test_unset_workers_must_be_the_cores_of_the_target(payments):
    variant = variants.baseline(payments)

    assert inspect.check_in_force(payments, variant, told(payments, variant, workers=2)) == (
        "workers in force is 2, the variant has 1",
    )


def test_another_tokio_than_the_variants_is_a_reason(tmp_path):
    study = loaded(tmp_path, "template: echo", 'tokio: ["1.47", "1.54"]')
    older = variants.of(study, {"tokio": "1.47"})

    assert inspect.check_in_force(study, older, told(study, older, tokio="1.47.5")) == ()
    assert inspect.check_in_force(study, older, told(study, older)) == (
        "tokio in force is 1.54.1, the variant has 1.47",
    )


def test_another_flavor_is_a_reason(payments):
    variant = variants.of(payments, {"flavor": "current_thread"})

    assert inspect.check_in_force(payments, variant, told(payments, variant)) == (
        "flavor in force is multi_thread, the variant has current_thread",
    )


def test_an_option_that_is_missing_other_or_too_many_is_a_reason(payments):
    variant = variants.baseline(payments)
    answer = told(payments, variant, options={"fraud_check": "spawn_blocking", "check_ms": "2", "extra": "1"})

    assert set(inspect.check_in_force(payments, variant, answer)) == {
        "OPT_FRAUD_CHECK in force is spawn_blocking, the variant has inline",
        "OPT_CHECK_CPU_MS in force is not told, the variant has 0.2",
        "OPT_EXTRA in force is 1, the variant has none",
    }


def test_a_service_that_tells_nothing_does_not_pass(payments):
    reasons = inspect.check_in_force(payments, variants.baseline(payments), {})

    assert len(reasons) == 6


def test_an_own_crate_without_probe_must_have_threads_for_its_workers(own):
    variant = variants.of(own, {"worker_threads": 4})

    assert inspect.check_in_force(own, variant, {"threads": 5}) == ()
    assert inspect.check_in_force(own, variant, {"threads": 4}) == (
        "the service has 4 threads, too few for a main thread and the 4 workers of the variant",
    )


def test_the_committed_runtime_of_an_own_crate_is_held_to_what_it_sets(own):
    assert inspect.check_in_force(own, variants.baseline(own), {"threads": 3}) == ()
    assert len(inspect.check_in_force(own, variants.baseline(own), {"threads": 2})) == 1


def test_a_variant_that_changes_nothing_of_an_own_crate_is_its_own_file(own):
    committed = (OWN_CRATE / "src" / "runtime.rs").read_text(encoding="utf-8")

    assert render.runtime_rs(own, variants.baseline(own)) == committed


def test_a_variant_of_an_own_crate_is_rendered_with_what_the_crate_sets(own):
    rendered = render.runtime_rs(own, variants.of(own, {"max_blocking_threads": 8}))

    assert ".worker_threads(2)\n        .max_blocking_threads(8)\n" in rendered


def test_levels_are_text_without_noise_in_the_environment(payments):
    assert render.environment(payments, variants.baseline(payments)) == {
        "OPT_CHECK_CPU_MS": "0.2",
        "OPT_CHECK_MS": "2",
        "OPT_FRAUD_CHECK": "inline",
    }
    assert [render.text(level) for level in (True, False, 7, 2.0, 1e-7, "a b")] == [
        "true",
        "false",
        "7",
        "2",
        "1e-07",
        "a b",
    ]


def test_requests_are_counted_over_all_label_sets():
    text = '# TYPE http_requests_total counter\nhttp_requests_total{kind="a"} 3\nhttp_requests_total{kind="b"} 4\n'

    assert inspect.request_count(text) == 7
    assert inspect.request_count("http_requests_total 12\nhttp_requests_total_created 5\n") == 12


def test_a_count_that_was_not_told_is_unknown():
    assert inspect.request_count("") is None


def test_a_port_without_a_service_answers_nothing():
    port, _ = inspect.free_ports()

    assert inspect.scrape(port) == ""
