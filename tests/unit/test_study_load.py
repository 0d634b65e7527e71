"""Loading a study: what is understood, and that every fault is named with its place."""

import json
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness import variant
from harness.errors import StudyError
from harness.study import json_schema, load, quantities, schema, schema_file

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted((ROOT / "studies").glob("*.yaml"))
GOOD = """\
study: demo
target: {template: payments, set: {check_ms: 1.5}}
load:
  rate: 300
  requests:
    - {name: pay, method: POST, path: /payments, json: {amount: 1}}
objective: {minimize: p95}
knobs:
  worker_threads: [2, 4]
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "study.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def faults(file):
    with pytest.raises(StudyError) as caught:
        load(file)
    return str(caught.value).replace(f"{file.parent}/", "").splitlines()


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.name)
def test_every_shipped_study_loads_fits_the_schema_and_names_it(file):
    study = load(file)
    jsonschema.validate(yaml.safe_load(study.text), json_schema())

    assert study.text.startswith("# yaml-language-server: $schema=../docs/study.schema.json\n")
    assert study.warnings == ()


def test_the_committed_schema_is_current():
    assert schema_file.FILE.read_text() == schema_file.text()


def test_the_quickstart_is_the_plan_that_it_says():
    study = load(ROOT / "studies" / "quickstart.yaml")

    assert study.budget.windows == 28
    assert study.knob_names == ("fraud_check", "worker_threads", "max_blocking_threads")
    assert variant.difference(variant.of(study, {"worker_threads": 4}), variant.baseline(study)) == {
        "worker_threads": 4
    }


def test_defaults_are_filled_in(write):
    study = load(write(GOOD))

    assert (study.load.timeout_s, study.window.drain_s, study.min_effect, study.budget.windows) == (2.0, 2.0, 0.02, 60)
    assert study.target.settings == {"check_ms": 1.5, "check_cpu_ms": 0.2}
    assert study.baseline == {"fraud_check": "inline"}
    assert study.load.requests[0].body == b'{"amount":1}'
    assert study.load.requests[0].headers == (("Content-Type", "application/json"),)


def test_the_baselines_level_is_always_among_the_levels(write):
    assert load(write(GOOD)).knob("worker_threads").levels == ("unset", 2, 4)


def test_a_range_becomes_at_most_eight_levels_with_both_ends(write):
    text = GOOD.replace("[2, 4]", "{low: 1, high: 64}")

    levels = load(write(text)).knob("worker_threads").levels

    assert levels[:2] == ("unset", 2)  # 1 is what unset resolves to on one core
    assert levels[-1] == 64
    assert len(levels) <= 8


def test_a_step_is_kept():
    assert schema.range_levels(schema.RangeFile(low=2, high=9, step=3)) == [2, 5, 8, 9]


def test_levels_that_are_the_same_are_merged_and_said(write):
    study = load(write(GOOD.replace("worker_threads: [2, 4]", "max_blocking_threads: [512, 8]")))

    assert study.knob("max_blocking_threads").levels == (8, "unset")
    assert study.warnings == ("max_blocking_threads: 512 is the same as unset, so it is measured once",)


def test_a_level_that_cannot_act_within_a_window_is_said(write):
    study = load(write(GOOD.replace("worker_threads: [2, 4]", "thread_keep_alive: [1s, 60s]")))

    assert study.warnings == (
        "thread_keep_alive 60s cannot act within a window of 10s under load: no thread can be idle that long",
    )


def test_all_faults_come_at_once_sorted_by_line(write, snapshot):
    text = """\
study: Bad Name
target: {template: payments, cpus: 0, memory: 5, set: {chek_ms: 1}}
load:
  rate: fast
  timeout: 2
  requests:
    - {name: a, path: no-slash, wieght: 2, headers: {X: "a\\r\\nb"}}
window: {warmup: 1}
objective: {minimize: p96}
guards:
  - {metric: error_ratio}
knobs:
  worker_threads: {low: 4, high: 1}
  worker_treads: [1]
  max_blocking_threads: [0]
  fraud_check: [sometimes]
budget: {windows: 5}
seed: -1
seed: 2
colour: red
"""

    assert faults(write(text)) == snapshot


def test_faults_that_need_the_target_come_at_once_too(write, snapshot):
    text = GOOD.replace("payments, set: {check_ms: 1.5}", "echo, set: {check_ms: 1}") + (
        "  fraud_check: [inline, spawn_blocking]\n  event_interval: [61]\n  thread_keep_alive: {low: 1, high: 5}\n"
        "window: {drain: 1s}\nbaseline: {worker_threads: 0}\nbudget: {windows: 50}\nphases: {calibrate: 4}\n"
    )

    assert faults(write(text)) == snapshot


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a list\n", "a study is a mapping"),
        ("", "a study is a mapping"),
        ("study: [unclosed\n", "is no YAML"),
        ("a: &x [1]\nb: *x\n", "anchors and aliases"),
        ("a: " + "[" * 100 + "]" * 100, "nested deeper"),
        ("study: \x00\n", "cannot be read as YAML"),
    ],
)
def test_what_is_no_study_is_said_in_one_line(write, text, words):
    (line,) = faults(write(text))

    assert words in line


def test_a_missing_file_a_folder_and_other_bytes_are_said(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"study: caf\xe9\n")

    assert "there is no such file. Did you mean" in faults(tmp_path / "latim.yaml")[0]
    assert "is a folder" in faults(tmp_path)[0]
    assert "not UTF-8" in faults(tmp_path / "latin.yaml")[0]


def test_a_file_of_ten_megabytes_is_refused_before_it_is_read(write):
    file = write("study: x\n# " + "x" * 10_000_000)
    begun = time.perf_counter()

    assert "at most 1,048,576" in faults(file)[0]
    assert time.perf_counter() - begun < 1.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2.0), ("250ms", 0.25), ("1.5m", 90.0), ("30 min", 1800.0), ("10us", 1e-5)]
)
def test_durations_are_read_with_their_unit(text, seconds):
    assert quantities.duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("wrong", [2, "2", "2 parsecs", "-1s", "", None, True])
def test_a_duration_without_its_unit_is_refused(wrong):
    with pytest.raises(ValueError, match="a duration with its unit"):
        quantities.duration_s(wrong)


def test_one_duration_has_one_text():
    assert {quantities.duration_text(quantities.duration_s(text)) for text in ("1000ms", "1s", "1.0s")} == {"1s"}


def test_an_own_crate_brings_its_baseline(write):
    crate = ROOT / "tests" / "own_crate"
    text = GOOD.replace("{template: payments, set: {check_ms: 1.5}}", f"{{path: {crate}}}").replace("[2, 4]", "[4]")

    study = load(write(text))

    assert study.target.own_runtime == (crate / "src" / "runtime.rs").read_text()
    assert study.baseline == {"worker_threads": 2}
    assert study.knob("worker_threads").levels == (2, 4)


def test_an_own_crate_without_its_files_is_said(write):
    (line,) = faults(write(GOOD.replace("{template: payments, set: {check_ms: 1.5}}", "{path: nowhere}")))

    assert "target.path" in line
    assert "Cargo.toml is missing" in line


def test_variants_with_the_same_effect_have_one_id(write):
    study = load(write(GOOD))

    assert variant.of(study, {"worker_threads": "unset"}).id == variant.of(study, {"worker_threads": 1}).id
    assert variant.of(study, {"worker_threads": 2}).id != variant.baseline(study).id


def test_an_id_rests_on_sources_and_settings_too(write):
    study = load(write(GOOD))
    other_sources = replace(study, target=replace(study.target, ground="other"))
    other_setting = replace(study, target=replace(study.target, settings={"check_ms": 9.0}))

    ids = {variant.baseline(each).id for each in (study, other_sources, other_setting)}

    assert len(ids) == 3


def test_a_builder_setting_that_cannot_be_searched_says_why(write):
    (line,) = faults(write(GOOD.replace("worker_threads: [2, 4]", "enable_io_uring: [true]")))

    assert "cannot be searched: it needs cargo features" in line


def test_the_schema_is_json():
    assert json.loads(schema_file.text())["required"] == ["study", "target", "load", "objective", "knobs"]
