"""What a deep diagnosis writes where something cannot be had: a sentence, and never an end of the diagnosis."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import figures, quick_study

from harness import deep
from harness.errors import MachineError
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import Ledger
from harness.target import build
from harness.target.service import Program, TargetFailed
from harness.window.cores import core_map
from harness.window.inside import Inside
from harness.window.measurement import Measurement, Validity
from harness.window.run import Bench

PROGRAM = Program(
    "abc", Path("/cache/bin/a b/server"), "digest", {"OPT_KIND": "x", "TMPDIR": "/dev/shm"}, "", 0.0, cached=False
)
SEEN = Inside("a;b 3\n", 4.2, "2 tasks", ())


@pytest.fixture
def ledger(tmp_path):
    folder = RunFolder(tmp_path / "quick" / "diagnoses" / "now")
    folder.path.mkdir(parents=True)
    return Ledger(folder)


@pytest.fixture
def looked(ledger, monkeypatch):
    """Look with a build and a window that are given here; return inside.json."""

    def look(*, built=PROGRAM, measured=None, seen=SEEN, study=None):
        def build_diagnostic(_study, _variant):
            if isinstance(built, Exception):
                raise built
            return built

        def run(_step, bench, _place):
            bench.inside.seen = seen
            if isinstance(measured, Exception):
                raise measured
            return measured or Measurement(Validity.VALID, (), 0.0, 1.0, figures())

        monkeypatch.setattr(build, "build_diagnostic", build_diagnostic)
        monkeypatch.setattr(deep.window, "run", run)
        made = study or quick_study()
        deep.look(made, ledger, Bench(made, build.build, None, None, core_map((0, 1), 1)))
        return json.loads(ledger.folder.inside_json.read_text())

    return look


def test_what_was_seen_is_kept_beside_the_diagnosis_and_the_ledger_stays_as_it_is(looked, ledger):
    content = looked()

    assert ledger.folder.stacks_txt.read_text() == "a;b 3\n"
    assert ledger.folder.tasks_txt.read_text() == "2 tasks"
    assert (content["validity"], content["missing"], content["stacks_s"]) == ("VALID", [], 4.2)
    assert not ledger.history.windows
    assert not ledger.folder.windows_jsonl.exists() or not ledger.folder.windows_jsonl.read_text()


def test_the_console_is_started_by_the_programs_own_environment_and_its_port(looked):
    start = looked()["console"]["start"]

    assert start.startswith("env OPT_KIND=x ")
    assert start.endswith("TOKIO_CONSOLE_BIND=127.0.0.1:6669 '/cache/bin/a b/server'")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            TargetFailed("the variant does not build: error: x"),
            "the diagnostic build failed: the variant does not build",
        ),
        (MachineError("crates cannot be fetched"), "there is no diagnostic build: crates cannot be fetched"),
    ],
)
def test_a_build_that_is_not_to_be_had_is_a_sentence(looked, fault, said):
    (words,) = looked(built=fault)["missing"]

    assert words.startswith(said)


def test_a_window_that_failed_is_told_by_its_reasons(looked):
    failed = Measurement(Validity.FAILED, ("the service was not ready",), 0.0, 1.0)

    assert looked(measured=failed, seen=deep.NOTHING)["missing"] == ["the service was not ready"]


def test_an_engine_that_went_away_ends_the_window_only(looked):
    (words,) = looked(measured=MachineError("Docker does not answer"))["missing"]

    assert "Docker does not answer" in words


def test_an_own_crate_without_the_feature_is_told_and_not_built(looked, tmp_path):
    (tmp_path / "Cargo.toml").write_text('[package]\nname = "own"\n')
    study = quick_study()
    study = replace(study, target=replace(study.target, form="path", crate=tmp_path))

    (words,) = looked(built=AssertionError("built"), study=study)["missing"]

    assert "declares no feature 'diagnostic'" in words
