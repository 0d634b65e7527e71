"""`harness diagnose` on real targets: the planted fault is found with high confidence, healthy ones give no finding."""

import json

import metrics_page
import pytest

pytestmark = [pytest.mark.cargo, pytest.mark.load, pytest.mark.timeout(700)]
PAYMENTS = """\
study: diagnosed
target: {template: payments, memory: 256MiB, set: {check_ms: 10}}
load:
  rate: 60
  connections: 16
  timeout: 1s
  requests:
    - {name: pay, method: POST, path: /payments, json: {amount: 1200}}
window: {warmup: 500ms, measure: 2s}
objective: {minimize: p95}
knobs:
  worker_threads: [unset, 4]
"""
MOVED = PAYMENTS + "baseline: {fraud_check: spawn_blocking}\n"
ECHO = """\
study: diagnosed
target: {template: echo, memory: 256MiB}
load:
  rate: 100
  connections: 16
  timeout: 1s
  requests:
    - {name: get, method: GET, path: /}
window: {warmup: 500ms, measure: 2s}
objective: {minimize: p95}
knobs:
  worker_threads: [unset, 4]
"""


def diagnosed(harness, text):
    """Return diagnosis.json of the study; skips where the machine left too few windows to say anything."""
    (harness.folder / "study.yaml").write_text(text)
    arguments = ("study.yaml", "--backend", "process", "--windows", "3", "--wait", "200", "--json")
    done = harness("diagnose", *arguments, timeout=690)
    if done.returncode == 4:
        pytest.skip(f"the machine is too busy to diagnose anything: {done.stderr.strip()[-300:]}")

    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    if len(content["windows"]["used"]) < 2:
        pytest.skip("the machine is too busy: only one window was usable")
    return content


def test_a_check_inline_is_found_as_a_blocking_call_with_high_confidence(harness):
    content = diagnosed(harness, PAYMENTS)

    assert [(one["rule"], one["confidence"]) for one in content["findings"]] == [("blocking_call", "high")]
    assert next(one["knob"] for one in content["knobs"]) == "fraud_check"
    (page,) = harness.folder.glob("results/diagnosed/diagnoses/*/diagnosis.html")
    assert "<svg" in page.read_text()


@pytest.mark.parametrize("text", [MOVED, ECHO], ids=["payments on the blocking pool", "echo"])
def test_a_healthy_service_gives_no_finding(harness, text):
    content = diagnosed(harness, text)

    assert content["findings"] == []
    assert "blocking_call" in content["clear"]


OWN = (
    ECHO.replace("{template: echo, memory: 256MiB}", "{path: CRATE}")
    .replace("measure: 2s", "measure: 3s")
    .replace("[unset, 4]", "[2, 4]")
)


def test_a_service_without_metrics_has_that_said_and_is_diagnosed_all_the_same(harness):
    content = diagnosed(harness, OWN.replace("CRATE", str(metrics_page.ROOT / "tests" / "own_crate")))

    (finding,) = content["findings"]
    assert (finding["rule"], "ADMIN_PORT" in finding["cause"]) == ("metrics_missing", True)
    assert {"oversubscription", "memory_growth", "client_limited"} <= set(content["clear"])
    assert "blocking_call" in {one["rule"] for one in content["not_looked_at"]}


def test_a_service_with_stable_metrics_only_has_that_said_and_its_workers_are_looked_at(harness, tmp_path):
    content = diagnosed(harness, OWN.replace("CRATE", str(metrics_page.crate(metrics_page.STABLE, tmp_path))))

    (finding,) = content["findings"]
    assert (finding["rule"], "stable metrics only" in finding["cause"]) == ("metrics_missing", True)
    assert {"blocking_call", "cpu_bound", "task_leak"} <= set(content["clear"])
    assert {one["rule"] for one in content["not_looked_at"]} == {"pool_too_small", "pool_churn", "pool_never_shrinks"}


def test_a_run_on_stable_metrics_says_so_once_and_is_judged(harness, tmp_path):
    crate = metrics_page.crate(metrics_page.STABLE, tmp_path)
    text = OWN.replace("CRATE", str(crate)) + "phases: {calibrate: 3, search: 1, confirm: 5}\n"
    (harness.folder / "study.yaml").write_text(text.replace("[2, 4]", "[unset, 4]"))

    done = harness("optimize", "study.yaml", "--backend", "process", "--wait", "200", timeout=690)

    assert done.returncode in {0, 4}, done.stderr
    usable = [window for window in harness.windows() if window["validity"] in {"VALID", "DEGRADED"}]
    assert not usable or done.stderr.count("stable metrics only") == 1
    assert "no request counter" not in done.stderr
    assert "has no probe" not in done.stderr


def test_a_diagnosis_is_no_run_that_optimize_would_resume(harness):
    (harness.folder / "study.yaml").write_text(PAYMENTS)
    harness("diagnose", "study.yaml", "--backend", "process", "--windows", "1", "--wait", "200", timeout=400)

    assert list(harness.folder.glob("results/diagnosed/diagnoses/*/run.json"))
    assert list(harness.folder.glob("results/diagnosed/*/run.json")) == []


def test_a_load_that_is_spelled_out_cannot_be_made_long(harness):
    bursts = PAYMENTS.replace("rate: 60", 'rate: 60\n  arrivals: {bursts: {"on": 1s, "off": 1s, factor: 2}}')
    (harness.folder / "study.yaml").write_text(bursts)
    done = harness("diagnose", "study.yaml", "--long")

    assert done.returncode == 2, done.stderr
    assert "window.measure" in done.stderr
    assert not (harness.folder / "results").exists()


def test_optimize_with_knobs_auto_searches_what_its_diagnosis_found(harness):
    text = PAYMENTS.partition("knobs:")[0] + "knobs: auto\nbudget: {windows: 24}\n"
    text = text.replace("warmup: 500ms, measure: 2s", "warmup: 300ms, measure: 1s")
    (harness.folder / "study.yaml").write_text(text)
    done = harness("optimize", "study.yaml", "--backend", "process", "--wait", "200", timeout=690)
    if done.returncode == 4:
        pytest.skip(f"the machine is too busy: {done.stderr.strip()[-300:]}")

    assert done.returncode == 0, done.stderr
    (run,) = harness.folder.glob("results/diagnosed/*/run.json")
    facts = json.loads(run.read_text())
    assert next(knob["name"] for knob in facts["knobs"]) == "fraud_check"
    assert any(words.startswith("knobs: auto took fraud_check") for words in facts["warnings"])


def test_optimize_with_knobs_auto_on_a_healthy_service_searches_nothing_and_says_so(harness):
    (harness.folder / "study.yaml").write_text(ECHO.partition("knobs:")[0] + "knobs: auto\n")
    done = harness("optimize", "study.yaml", "--backend", "process", "--wait", "200", timeout=690)
    if done.returncode == 4:
        pytest.skip(f"the machine is too busy: {done.stderr.strip()[-300:]}")

    assert done.returncode == 0, done.stderr
    assert "nothing was searched" in done.stdout
    assert list(harness.folder.glob("results/diagnosed/*/run.json")) == []


def test_check_says_that_the_plan_comes_after_the_diagnosis(harness):
    (harness.folder / "study.yaml").write_text(ECHO.partition("knobs:")[0] + "knobs: auto\n")

    done = harness("check", "study.yaml")
    as_json = harness("check", "study.yaml", "--json")

    assert done.returncode == 0, done.stderr
    assert "then the plan is made" in done.stdout
    assert json.loads(as_json.stdout)["knobs"] == "auto"
