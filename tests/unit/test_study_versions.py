"""Versions of Tokio in a study: what each is locked to, and the knobs that an older one does not have."""

import re

import pytest

from harness import variant as variants
from harness.errors import StudyError
from harness.study import knobs, load, manifest

STUDY = """\
study: versions
target: {TARGET, cpus: 2}
load: {rate: 300, requests: [{name: get, path: /}]}
objective: {minimize: p95}
baseline: {BASELINE}
knobs: {KNOBS}
"""
TOKIO = 'tokio: ["1.47", "1.51", "1.54"]'
TOKIOS_OWN = {"addr2line", "adler2", "backtrace", "gimli", "io-uring", "miniz_oxide", "object", "rustc-demangle"}
"""What only an older Tokio depends on, beside the bindings of Windows."""


def study_of(folder, searched, baseline="", target="template: echo"):
    file = folder / "study.yaml"
    text = STUDY.replace("TARGET", target).replace("BASELINE", baseline).replace("KNOBS", searched)
    file.write_text(text, encoding="utf-8")
    return load(file)


def faults(folder, *given, **more):
    with pytest.raises(StudyError) as caught:
        study_of(folder, *given, **more)
    return [
        line.split(": ", 1)[0].split(" ")[-1] + ": " + line.split(": ", 1)[1] for line in str(caught.value).splitlines()
    ]


def locked(version):
    text = manifest.lock_file(version).read_text(encoding="utf-8")
    return set(re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"', text))


@pytest.mark.parametrize("version", knobs.TOKIO_VERSIONS)
def test_each_version_has_a_lock_file_that_holds_it(version):
    found = [exact for name, exact in locked(version) if name == "tokio"]

    assert [exact.rsplit(".", 1)[0] for exact in found] == [version]


@pytest.mark.parametrize("version", knobs.TOKIO_VERSIONS[:-1])
def test_a_lock_file_differs_from_the_default_only_in_tokio_and_what_it_needs(version):
    different = {name for name, _ in locked(version) ^ locked(knobs.TOKIO_VERSIONS[-1])}

    assert {name for name in different if not name.startswith("windows")} <= TOKIOS_OWN | {"tokio", "tokio-macros"}


@pytest.mark.parametrize(("version", "is_left_out"), [("1.47", True), ("1.51", False), ("1.54", False)])
def test_a_line_of_a_manifest_that_needs_a_newer_tokio_is_left_out(version, is_left_out):
    whole = (manifest.TEMPLATES / "ingest" / "Cargo.toml").read_text(encoding="utf-8")
    (line,) = (line for line in whole.splitlines(keepends=True) if "tokio/io-uring" in line)

    assert manifest.for_version(whole, version) == (whole.replace(line, "") if is_left_out else whole)


def test_no_other_lock_file_is_kept():
    kept = {file.name for file in (manifest.TEMPLATES / "locks").iterdir()}

    assert kept == {manifest.lock_file(version).name for version in knobs.TOKIO_VERSIONS[:-1]}


def test_the_workspace_allows_the_oldest_version():
    workspace = manifest.read_toml(manifest.TEMPLATES / "Cargo.toml")["workspace"]

    assert workspace["dependencies"]["tokio"]["version"] == knobs.TOKIO_VERSIONS[0]


def test_each_version_is_a_variant_of_its_own_and_the_default_is_the_baseline(tmp_path):
    study = study_of(tmp_path, TOKIO)

    made = {level: variants.of(study, {"tokio": level}).id for level in knobs.TOKIO_VERSIONS}

    assert len(set(made.values())) == 3
    assert made["1.54"] == variants.baseline(study).id


def test_a_knob_that_an_older_version_lacks_is_never_combined_with_it(tmp_path):
    study = study_of(tmp_path, f"{TOKIO}, enable_alt_timer: [unset, true], max_io_events_per_busy_tick: [unset, 8]")

    refused = [
        (version, name)
        for version in knobs.TOKIO_VERSIONS
        for name, level in (("enable_alt_timer", True), ("max_io_events_per_busy_tick", 8))
        if not variants.permitted(study, variants.of(study, {"tokio": version, name: level}))
    ]

    assert refused == [
        ("1.47", "enable_alt_timer"),
        ("1.47", "max_io_events_per_busy_tick"),
        ("1.51", "max_io_events_per_busy_tick"),
    ]


def test_the_impossible_combinations_are_named_when_the_study_is_read(tmp_path):
    study = study_of(tmp_path, f"{TOKIO}, enable_eager_driver_handoff: [unset, true]")

    words = "enable_eager_driver_handoff came with Tokio 1.52: no variant sets it together with tokio 1.47, 1.51"
    assert [warning for warning in study.warnings if "came with" in warning] == [words]
    assert [rule.text for rule in study.constraints] == [
        "enable_eager_driver_handoff == unset or tokio != '1.47' and tokio != '1.51'"
    ]


def test_a_study_whose_versions_have_all_of_its_knobs_says_nothing(tmp_path):
    study = study_of(tmp_path, f"{TOKIO}, disable_lifo_slot: [unset, true]")

    assert (study.constraints, [warning for warning in study.warnings if "came with" in warning]) == ((), [])


def test_an_explicit_default_of_a_newer_knob_is_no_call_and_so_no_obstacle(tmp_path):
    study = study_of(tmp_path, f"{TOKIO}, enable_alt_timer: [false, true]")

    assert variants.permitted(study, variants.of(study, {"tokio": "1.47", "enable_alt_timer": False}))


def test_a_baseline_that_its_own_tokio_cannot_build_is_a_fault(tmp_path):
    assert faults(tmp_path, "event_interval: [16, unset]", 'tokio: "1.47", enable_alt_timer: true') == [
        "baseline.enable_alt_timer: came with Tokio 1.49, and the baseline's is 1.47: leave one of them out"
    ]


def test_a_knob_that_no_version_of_the_study_has_is_a_fault(tmp_path):
    words = "came with Tokio 1.54, which no version of this study has: add a newer one to knobs.tokio, or raise the baseline's"
    searched = 'tokio: ["1.47", "1.51"], max_io_events_per_busy_tick: [unset, 8]'

    assert faults(tmp_path, searched, 'tokio: "1.51"') == [f"knobs.max_io_events_per_busy_tick: {words}"]


def test_a_version_without_quotes_is_told_to_be_quoted(tmp_path):
    words = 'must be "1.47" or "1.51" or "1.54", in quotes: a lock file is kept for each of them; not 1.47'

    assert faults(tmp_path, 'tokio: [1.47, "1.54"]') == [f"knobs.tokio[0]: {words}"]


def test_an_own_crate_serves_by_one_runtime(tmp_path):
    own = manifest.TEMPLATES.parent / "tests" / "own_crate"

    assert faults(tmp_path, "flavor: [unset, thread_per_core]", target=f"path: {own}") == [
        (
            "knobs.flavor[1]: thread_per_core is for the templates: build() of an own crate returns one runtime, and its main "
            "serves by that one"
        )
    ]


def test_an_own_crate_keeps_the_tokio_of_its_lock_file(tmp_path):
    own = manifest.TEMPLATES.parent / "tests" / "own_crate"

    assert faults(tmp_path, TOKIO, target=f"path: {own}") == [
        (
            "knobs.tokio: is for the templates: the Tokio of an own crate is what its Cargo.lock says, so measure two copies "
            "of it"
        )
    ]
