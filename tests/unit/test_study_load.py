"""Loading a study: what is understood, and that every fault is named with its place."""

import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness import variant
from harness.errors import StudyError
from harness.study import json_schema, load, manifest, schema, schema_file

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


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.name)
def test_every_shipped_study_says_what_to_expect_and_how_many_windows_it_takes(file):
    study = load(file)
    said = re.search(r"^# (\d+) windows, about \d+ minutes\.$", study.text, re.MULTILINE)

    assert "\n# Expect: " in study.text
    assert study.budget.windows <= 30
    assert said is None or int(said.group(1)) == study.budget.windows


def test_every_target_has_a_study():
    assert {load(file).target.name for file in STUDIES} == {*manifest.template_names()}


def test_the_story_of_memory_bandwidth_needs_a_core_beside_those_of_its_target():
    study = load(ROOT / "studies" / "ingest-bandwidth.yaml")

    assert (study.target.name, study.target.cpus, study.needs_cores) == ("ingest", 4, 5)
    assert study.knob("worker_threads").levels == (1, 2, 3, "unset", 8)


def test_a_study_that_says_nothing_needs_one_core(write):
    assert load(write(GOOD)).needs_cores == 1


def test_fewer_cores_than_the_target_gets_are_no_need(write):
    text = GOOD.replace("template: payments,", "template: payments, cpus: 4,") + "needs_cores: 3\n"

    assert faults(write(text)) == [
        "study.yaml:10:1 needs_cores: must be at least target.cpus (4), and one more for the generator to be apart"
    ]


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


def test_a_range_makes_room_for_the_baselines_level(write):
    text = GOOD.replace("worker_threads: [2, 4]", "max_blocking_threads: {low: 1, high: 100}")

    levels = load(write(text)).knob("max_blocking_threads").levels

    assert levels == (1, 2, 5, 10, 22, 46, 100, "unset")


def test_a_range_of_any_width_stays_small():
    wide = schema.RangeFile(low=0, high=2**63, step=1)

    levels = schema.range_levels(wide)

    assert (len(levels), levels[0], levels[-1]) == (8, 0, 2**63)


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a list\n", "a study is a mapping"),
        ("", "a study is a mapping"),
        ("study: [unclosed\n", "is no YAML"),
        ("a: &x [1]\nb: *x\n", "anchors and aliases"),
        ("a: " + "[" * 100 + "]" * 100, "nested deeper"),
        ("study: \x00\n", "is no YAML"),
        ("study: !!python/object/apply:os.getcwd []\n", "tags (!name) are not taken"),
        ("study: x\n---\nstudy: y\n", "found another document"),
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


@pytest.mark.slow
@pytest.mark.parametrize("key", ["k{}: 1\n", "seed: 1\n", "  k{}: [1]\n"])
def test_a_file_full_of_faults_is_answered_in_time_and_in_few_lines(write, key):
    file = write(GOOD + "".join(key.format(number) for number in range(50_000)))
    begun = time.perf_counter()

    assert len(faults(file)) <= 41
    assert time.perf_counter() - begun < 20.0  # a second is usual; looking each fault up would take minutes


def test_words_that_older_yaml_reads_otherwise_stay_as_they_were_written(write):
    text = GOOD.replace("[2, 4]", "[010, 1:30, on, 0x10, 1_000, 1e1]")

    assert [line.rsplit(", not ", 1)[1] for line in faults(write(text))] == [
        "'010'",
        "'1:30'",
        "'on'",
        "'0x10'",
        "'1_000'",
        "10.0",
    ]


def test_a_rate_may_be_written_with_an_exponent(write):
    assert load(write(GOOD.replace("rate: 300", "rate: 1e3"))).load.rate == 1000.0


def test_a_json_body_is_what_json_has(write):
    text = GOOD.replace("{amount: 1}", "{day: 2026-01-01, no: .nan, big: 1e999, 1: [on, null, 2.5]}")

    assert load(write(text)).load.requests[0].body == (
        b'{"day":"2026-01-01","no":".nan","big":"1e999","1":["on",null,2.5]}'
    )


def test_a_key_cannot_steer_the_terminal(write):
    (line,) = faults(write(GOOD + '"\\e[31mred": 1\n'))

    assert line.startswith("study.yaml:10:1 \\x1b[31mred: is no known key. ")


def test_a_fault_hides_what_would_only_follow_from_it(write):
    text = GOOD.replace("name: pay", "name: Pay Me").replace("p95", "p95, of: pay")

    lines = faults(write(text + "phases: {screen: x}\nbudget: {windows: 30}\n"))

    assert [line.split(": ")[0] for line in lines] == [
        "study.yaml:6:8 load.requests[0].name",
        "study.yaml:10:10 phases.screen",
    ]


def test_two_requests_need_two_names(write):
    text = GOOD.replace("objective:", "    - {name: pay, path: /}\nobjective:")

    assert faults(write(text)) == [
        "study.yaml:7:8 load.requests[1].name: the name pay stands twice: each kind of request needs its own"
    ]


def test_knobs_of_the_other_flavor_are_warned_about(write):
    study = load(write(GOOD + "baseline: {flavor: current_thread, disable_lifo_slot: true}\n"))

    assert study.warnings == (
        "worker_threads does nothing under current_thread: every level is the same",
        "disable_lifo_slot does nothing under current_thread, so the baseline's level says nothing",
    )


def test_guards_are_held_in_the_unit_of_their_metric(write):
    text = GOOD + (
        "guards:\n  - {metric: p99, at_most: 20ms}\n  - {metric: peak_rss, at_most: 64MiB}\n"
        "  - {metric: cpu_per_request, at_most: 50us}\n  - {metric: error_ratio, at_most: 0.1%}\n"
        "  - {metric: throughput, at_least: 98%, of: baseline}\n  - {metric: threads, at_most: 40}\n"
    )

    guards = load(write(text)).guards

    assert [(guard.limit, guard.relative) for guard in guards] == [
        (20.0, False),
        (2**26, False),
        (pytest.approx(50.0), False),
        (0.001, False),
        (0.98, True),
        (40.0, False),
    ]


def test_phases_and_budget_may_both_stand_where_they_agree(write):
    study = load(write(GOOD + "phases: {calibrate: 4, screen: 2}\nbudget: {windows: 22}\n"))

    assert study.budget.windows == 22


def test_the_closed_model_has_no_rate(write):
    study = load(write(GOOD.replace("rate: 300", "model: closed")))

    assert (study.load.rate, study.load.arrivals, study.load.connections) == (None, None, 64)


def test_a_fifo_is_no_study(tmp_path):
    os.mkfifo(tmp_path / "study.yaml")

    assert faults(tmp_path / "study.yaml") == ["study.yaml: is no regular file"]


def test_an_own_crate_brings_its_baseline(write):
    crate = ROOT / "tests" / "own_crate"
    text = GOOD.replace("{template: payments, set: {check_ms: 1.5}}", f"{{path: {crate}}}").replace("[2, 4]", "[4]")

    study = load(write(text))

    assert study.target.own_runtime == (crate / "src" / "runtime.rs").read_text()
    assert study.baseline == {"worker_threads": 2}
    assert study.knob("worker_threads").levels == (2, 4)


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
    (line,) = faults(write(GOOD.replace("worker_threads: [2, 4]", "rng_seed: [7]")))

    assert "cannot be searched: it fixes the order of select!" in line


def test_io_uring_is_refused_for_a_target_that_does_nothing_by_tokio_fs(write):
    (line,) = faults(write(GOOD.replace("worker_threads: [2, 4]", "enable_io_uring: [unset, true]")))

    assert 'the Cargo.toml of payments has no feature `io_uring = ["tokio/io-uring"]`' in line


def test_the_schema_is_json():
    assert json.loads(schema_file.text())["required"] == ["study", "target", "load", "objective", "knobs"]


def lines(write, *changes):
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return write(text)


P99 = ("{minimize: p95}", "{minimize: p99}")


def test_too_few_requests_beyond_the_percentile_are_warned_of_at_load(write):
    (warning,) = load(lines(write, P99)).warnings

    assert "about 2400 requests, so only 24.0 lie beyond p99" in warning


def test_a_guard_on_a_percentile_needs_requests_beyond_it_too(write):
    guarded = ("knobs:", "guards: [{metric: p99, at_most: 50ms}]\nknobs:")

    assert "beyond p99" in load(lines(write, guarded)).warnings[0]


def test_enough_requests_are_not_remarked_on(write):
    assert load(lines(write)).warnings == ()
    assert load(lines(write, P99, ("rate: 300", "rate: 1250"))).warnings == ()


def test_closed_load_does_not_foretell_its_requests(write):
    assert load(lines(write, P99, ("rate: 300", "model: closed"))).warnings == ()


def test_a_percentile_without_a_single_request_beyond_it_is_refused(write):
    few = lines(write, ("{minimize: p95}", "{minimize: p999}"), ("rate: 300", "rate: 100"))

    (fault,) = faults(few)

    assert fault.startswith("study.yaml:7:1 objective: A window has about 800 requests, so only 0.8 lie beyond p999: ")
    assert fault.endswith("p999 would be the slowest request of a window")


def test_only_the_requests_of_the_scored_kind_count(write):
    kinds = ("/payments, json: {amount: 1}}", "/payments}\n    - {name: rare, path: /, weight: 0.01}")
    rare = ("{minimize: p95}", "{minimize: p95, of: rare}")

    assert "about 24 requests, so only 1.2 lie beyond p95" in load(lines(write, kinds, rare)).warnings[0]


def objective(write, text):
    return load(lines(write, ("{minimize: p95}", text))).objective


@pytest.mark.parametrize("metric", [*schema.MINIMIZED, *schema.MAXIMIZED])
def test_every_figure_can_be_the_objective(write, metric):
    direction = "maximize" if metric in schema.MAXIMIZED else "minimize"
    made = load(lines(write, ("{minimize: p95}", f"{{{direction}: {metric}}}"), ("rate: 300", "rate: 30000"))).objective

    assert (made.direction, made.metric, made.second) == (direction, metric, None)


@pytest.mark.parametrize("metric", schema.GUARDED)
@pytest.mark.parametrize("of", ["", "of: baseline"])
def test_every_figure_can_be_guarded_by_a_limit_or_against_the_baseline(write, metric, of):
    units = {"peak_rss": "64MiB", "cpu_per_request": "100us", "threads": "8", "throughput": "0.9", "error_ratio": "0.1"}
    limit = f"110%, {of}" if of else units.get(metric, "50ms")
    text = f"guards: [{{metric: {metric}, at_most: {limit}}}]\nknobs:"
    (guard,) = load(lines(write, ("knobs:", text), ("rate: 300", "rate: 30000"))).guards

    assert (guard.metric, guard.relative) == (metric, bool(of))


@pytest.mark.parametrize(
    "guard",
    [
        "{metric: p99, at_most: 50ms, may_rise: true}",
        "{metric: throughput, at_least: 98%, of: baseline, may_rise: true}",
        "{metric: error_ratio, at_most: 110%, of: baseline, may_rise: true}",
    ],
)
def test_only_errors_under_a_limit_of_their_own_may_rise(write, guard):
    (fault,) = faults(lines(write, ("knobs:", f"guards: [{guard}]\nknobs:")))

    assert "may_rise: is for `{metric: error_ratio, at_most: ...}`" in fault


def test_two_objectives_have_an_order_and_a_rule(write):
    made = objective(write, "{minimize: [p95, peak_rss], of: pay, pick: second, within: 5%}")

    assert (made.metric, made.of, made.pick, made.within) == ("p95", "pay", "second", 0.05)
    assert (made.second.metric, made.second.of, made.second.direction) == ("peak_rss", None, "minimize")


def test_what_gets_larger_stands_second_beside_what_gets_smaller(write):
    made = objective(write, "{minimize: cpu_per_request, maximize: throughput}")

    assert (made.metric, made.second.metric, made.second.direction) == ("cpu_per_request", "throughput", "maximize")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "objective: give minimize or maximize"),
        ("{minimize: [p95, p99, peak_rss]}", "objective.minimize: at most 2 objectives: make the others guards"),
        ("{minimize: [p95, p95]}", "objective.minimize: names p95 twice"),
        ("{minimize: [p95, pp99]}", "objective.minimize: cannot be 'pp99'. Did you mean p99?"),
        ("{minimize: [p95, throughput]}", "Write `maximize: throughput`"),
        ("{minimize: []}", "write a figure such as p95, or a list of two, not a list"),
        ("{minimize: 95}", "write a figure such as p95, or a list of two, not 95"),
        ("{minimize: p95, pick: first}", "objective.pick: is for two objectives"),
        ("{minimize: [p95, p50], pick: second}", "objective.within: belongs to `pick: second`, and to it always"),
        ("{minimize: [p95, p50], within: 5%}", "objective.within: belongs to `pick: second`"),
        ("{minimize: [p95, p50], pick: third}", "objective.pick: must be 'first', 'second' or 'balanced'"),
        ("{minimize: [threads, peak_rss], of: pay}", "objective.of: threads, peak_rss belongs to the whole service"),
    ],
)
def test_an_objective_that_cannot_be_is_refused(write, text, words):
    (fault,) = faults(lines(write, ("{minimize: p95}", text)))

    assert words in fault


def test_a_table_of_effects_needs_no_pairs(write):
    study = load(write(GOOD + "phases: {calibrate: 4, screen: 2, confirm: 0, interaction: 2}\n"))

    assert (study.phases.confirm, study.phases.interaction) == (0, 2)


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ("{screen: 2, confirm: 3}", "at least 5 pairs can make a claim; 0 is a table of effects only"),
        ("{screen: 2, confirm: 0, search: 5}", "leave it out where confirm is 0"),
        ("{screen: 2, interaction: 1}", "give at least 2 blocks"),
        ("{search: 5, interaction: 2}", "needs screen"),
    ],
)
def test_phases_that_contradict_each_other_are_refused(write, phases, words):
    assert any(words in line for line in faults(write(GOOD + f"phases: {phases}\n")))
