import json

import canned_run
import pytest

from harness.errors import StudyError
from harness.judge import verdict
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import Ledger
from harness.report import read, words
from harness.variant import Decision


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


def edited(file, change):
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    change(lines)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_a_figure_of_a_pair_that_was_changed_by_hand_contradicts_its_look_and_is_refused(tmp_path):
    folder = canned_run.write(tmp_path)
    read.run(folder)
    edited(folder / "windows.jsonl", lambda lines: lines[-1]["metrics"].update(p95_ms=900.0))
    edited(folder / "windows.jsonl", lambda lines: lines[-2]["metrics"].update(p95_ms=900.0))

    with pytest.raises(StudyError, match=r"look 1 does not follow from the pairs in .*changed by hand"):
        read.run(folder)


def test_a_look_that_another_version_took_is_not_taken_again(tmp_path):
    folder = canned_run.write(tmp_path, changes={"harness": "0.0.9"})
    edited(folder / "windows.jsonl", lambda lines: lines[-1]["metrics"].update(p95_ms=900.0))

    assert read.run(folder).verdict is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines.pop(1), "decisions.jsonl:2 is decision 3, not 2"),
        (lambda lines: lines[-1].update(after=99), "a decision after window 99, of which there are 28"),
        (lambda lines: lines[1].update(kind="guess"), "changed by hand or written by another version"),
    ],
)
def test_decisions_that_were_moved_or_come_from_another_version_are_refused(tmp_path, change, words):
    folder = canned_run.write(tmp_path)
    edited(folder / "decisions.jsonl", change)

    with pytest.raises(StudyError, match=words):
        read.run(folder)


def test_what_the_calibration_showed_stands_beside_the_headline(tmp_path):
    folder = canned_run.write(tmp_path, finished=False)
    notice = Decision("notice", {"about": "baseline_breaks_guard", "words": "The baseline itself breaks a guard."})
    Ledger(RunFolder(folder)).append_decision(notice, 0.0)
    canned_run.decide(folder, verdict.ended("out_of_time", "over"))

    assert "The baseline itself breaks a guard." in words.remarks(read.run(folder))
