"""`knobs: auto`: no knobs until a diagnosis found some, then the study as if the file had named them."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness import opening, variant
from harness.errors import StudyError
from harness.ledger.folder import RunFolder
from harness.opening import Unfinished
from harness.search import plan
from harness.study import json_schema, load
from harness.study.model import UNSET

ROOT = Path(__file__).resolve().parents[2]
AUTO = """\
study: demo
target: {template: payments}
load:
  rate: 300
  requests:
    - {name: pay, method: POST, path: /payments, json: {amount: 1}}
objective: {minimize: p95}
knobs: auto
"""
FOUND = {"fraud_check": ["inline", "spawn_blocking"], "worker_threads": [UNSET, 2, 4]}


@pytest.fixture
def auto(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(AUTO)
    return file


def test_before_the_diagnosis_there_are_no_knobs(auto):
    study = load(auto)

    assert study.knobs == ()
    assert study.knobs_auto
    assert study.warnings == ()


def test_with_what_was_found_it_is_the_study_that_names_those_knobs(auto, tmp_path):
    named = tmp_path / "named.yaml"
    named.write_text(AUTO.replace("knobs: auto", f"knobs: {json.dumps(FOUND)}"))
    ours, theirs = load(auto, FOUND), load(named)

    assert ours.knobs == theirs.knobs
    assert plan.plan(ours) == plan.plan(theirs)
    assert variant.baseline(ours).id == variant.baseline(theirs).id


def test_its_digest_is_that_of_the_file_whatever_was_found(auto):
    assert load(auto).digest == load(auto, FOUND).digest


def test_a_study_that_names_its_knobs_is_not_auto_and_takes_none_from_outside(tmp_path):
    file = tmp_path / "named.yaml"
    file.write_text(AUTO.replace("knobs: auto", "knobs: {event_interval: [unset, 7]}"))

    assert load(file, FOUND).knob_names == ("event_interval",)
    assert not load(file).knobs_auto


def test_sizes_of_phases_are_refused_beside_knobs_that_are_not_known(auto):
    auto.write_text(AUTO + "phases: {calibrate: 4, screen: 2, search: 4, race: 0, confirm: 6}\n")

    with pytest.raises(StudyError, match=r"study.yaml:9:1.*budget.windows"):
        load(auto)


def test_other_faults_of_the_file_are_named_with_their_place(auto):
    auto.write_text(AUTO.replace("minimize: p95", "minimize: p9x"))

    with pytest.raises(StudyError, match=r"study.yaml:7"):
        load(auto)


def test_editors_know_the_word():
    jsonschema.validate(yaml.safe_load(AUTO), json_schema())

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(AUTO.replace("auto", "automatic")), json_schema())


def test_the_plan_says_where_the_knobs_come_from(auto):
    study = opening.with_told_knobs(load(auto, FOUND), Path("results/demo/diagnoses/now"))

    (told,) = plan.to_json(study, plan.plan(study))["warnings"]
    assert told == "knobs: auto took fraud_check, worker_threads from the diagnosis results/demo/diagnoses/now"


def test_a_run_goes_on_with_the_knobs_that_it_began_with(auto, tmp_path):
    begun = opening.with_told_knobs(load(auto, FOUND), Path("there"))
    folder = RunFolder(tmp_path)
    knobs = [{"name": knob.name, "levels": list(knob.levels)} for knob in begun.knobs]
    folder.run_json.write_text(json.dumps({"knobs": knobs, "warnings": list(begun.warnings)}))

    assert opening.with_knobs_as_begun(auto, Unfinished(folder, "process", 3, ())) == begun


def test_a_study_of_auto_that_gets_an_unknown_knob_is_refused(auto):
    with pytest.raises(StudyError, match="no_such"):
        load(auto, {"no_such": [1, 2]})
