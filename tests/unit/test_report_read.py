import json

import canned_run
import pytest

from harness.errors import StudyError
from harness.report import read


def test_a_folder_without_run_json_is_no_run_folder(tmp_path):
    with pytest.raises(StudyError, match="is not a run folder"):
        read.run(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "one"}', '{"schema": 1}'])
def test_a_damaged_run_json_is_refused_with_its_name(tmp_path, text):
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(StudyError, match=r"run\.json"):
        read.run(tmp_path)


def test_a_run_of_a_newer_format_is_refused_with_the_version_that_reads_it(tmp_path):
    folder = canned_run.write(tmp_path, changes={"schema": 99, "harness": "9.0.0"}, finished=False)

    with pytest.raises(StudyError, match=r"format 99.*use harness 9\.0\.0 or newer"):
        read.run(folder)


def test_a_damaged_line_of_the_ledger_is_refused_with_its_number(tmp_path):
    folder = canned_run.write(tmp_path)
    file = folder / "windows.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1][:50], *lines[2:]]) + "\n")

    with pytest.raises(StudyError, match=r"windows\.jsonl:2"):
        read.run(folder)


def test_a_verdict_that_was_changed_by_hand_is_refused(tmp_path):
    folder = canned_run.write(tmp_path)
    file = folder / "decisions.jsonl"
    file.write_text(file.read_text().replace('"at_least"', '"at_most"'))

    with pytest.raises(StudyError, match="at_least"):
        read.run(folder)


def test_a_later_key_beside_the_verdict_is_passed_over(tmp_path):
    folder = canned_run.write(tmp_path)

    assert "too_few" in json.loads((folder / "decisions.jsonl").read_text().splitlines()[-1])["content"]
    assert read.run(folder).verdict.call == "better"


def test_a_run_without_a_ledger_is_an_empty_one(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(canned_run.RUN))

    assert (read.run(tmp_path).history.windows, read.run(tmp_path).verdict) == ((), None)


def test_a_knob_that_this_version_does_not_know_is_kept(tmp_path):
    later = {"name": "quantum_slots", "kind": "runtime", "levels": [1, 2], "ordered": True, "baseline": 1, "about": "?"}
    folder = canned_run.write(tmp_path, changes={"knobs": [*canned_run.KNOBS, later]})

    assert "quantum_slots" in read.run(folder).study.knob_names


def test_the_constraints_of_a_run_are_those_of_its_study(tmp_path):
    folder = canned_run.write(tmp_path, changes={"constraints": ["worker_threads <= 4"]})
    study = read.run(folder).study

    assert [(rule.text, rule.holds({"worker_threads": 8}, 1)) for rule in study.constraints] == [
        ("worker_threads <= 4", False)
    ]
