"""diagnosis.json and diagnosis.html of a canned run."""

import json
import re
from dataclasses import replace

import canned_run
import numpy as np
import pytest
from click.testing import CliRunner
from seen import T_S, facts

from harness.cli.report import command
from harness.diagnose.rules import RULES, diagnose
from harness.errors import TooFewWindows
from harness.ledger.folder import DIAGNOSES, RunFolder, create, runs
from harness.report import diagnosis, read
from harness.window.measurement import Validity

HOSTILE = '<script>alert("x")</script>'


def written(tmp_path, **more):
    folder = canned_run.write(tmp_path, samples=300, **more)
    return folder, diagnosis.write(folder)


def test_a_check_inline_is_found_and_shown_by_its_series(tmp_path):
    folder, content = written(tmp_path)
    page = (folder / "diagnosis.html").read_text()

    (first, *_) = content["findings"]
    assert first["rule"] == "blocking_call"
    assert f"<h1>{diagnosis.headline(diagnosis.diagnose(diagnosis.baseline_facts(read.run(folder))))}</h1>" in page
    assert "<svg" in re.search(r'<section class="finding">(.*?)</section>', page, re.DOTALL).group(1)
    assert "workers busy" in page


def test_every_rule_is_found_clear_or_not_looked_at(tmp_path):
    _, content = written(tmp_path)
    told = [*(one["rule"] for one in [*content["findings"], *content["not_looked_at"]]), *content["clear"]]

    assert sorted(told) == sorted(RULES)


def test_the_file_holds_what_was_returned(tmp_path):
    folder, content = written(tmp_path)

    assert json.loads((folder / "diagnosis.json").read_text()) == json.loads(json.dumps(content))


def test_the_page_loads_nothing_and_runs_no_script(tmp_path):
    folder, _ = written(tmp_path)
    text = (folder / "diagnosis.html").read_text()

    assert re.findall(r"<(?:script|link|iframe|img)\b|@import|url\(|\bsrc=|\bhref=", text) == []


@pytest.mark.parametrize("changes", [{"study": HOSTILE}, {"notices": [HOSTILE]}], ids=lambda one: next(iter(one)))
def test_a_string_of_the_run_is_text_and_never_markup(tmp_path, changes):
    folder, _ = written(tmp_path, changes=changes)
    text = (folder / "diagnosis.html").read_text()

    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_windows_without_a_series_leave_rules_not_looked_at_and_no_fault(tmp_path):
    content = diagnosis.write(canned_run.write(tmp_path))

    assert {one["rule"] for one in content["findings"]} == {"metrics_missing"}
    assert {"blocking_call", "task_leak"} <= {one["rule"] for one in content["not_looked_at"]}


def test_disturbed_windows_are_not_diagnosed(tmp_path):
    folder = canned_run.write(
        tmp_path,
        spoil=lambda _n, made: canned_run.lost(made, Validity.INVALID, "others used the cores"),
        finished=False,
    )

    with pytest.raises(TooFewWindows, match="others used the cores"):
        diagnosis.write(folder)


def test_a_service_that_died_in_every_window_is_looked_at_up_to_its_end(tmp_path):
    def died(_n, made):
        return replace(made, validity=Validity.FAILED, reasons=("the service did not survive the window: killed",))

    content = diagnosis.write(canned_run.write(tmp_path, samples=300, spoil=died, finished=False))
    told = {one["rule"]: one["why"] for one in content["not_looked_at"]}

    assert "did not survive" in told["blocking_call"]
    assert {"task_leak", "memory_growth"} & set(told) == set()


def test_a_service_that_died_while_its_memory_climbed_is_told_so():
    climbing = facts({"rss_bytes": np.where(T_S < 3, 2**22 + T_S * 2**24, np.nan)})
    made = diagnose(replace(climbing, died=True))

    assert [one.rule for one in made.findings] == ["memory_growth"]
    assert made.findings[0].cause.startswith("It died of it")


def test_report_makes_a_diagnosis_again(tmp_path):
    made = canned_run.write(tmp_path, samples=300)
    folder = made.parent / DIAGNOSES / made.name
    folder.parent.mkdir()
    made.rename(folder)

    done = CliRunner().invoke(command, [str(folder)])

    assert done.exit_code == 0, done.output
    assert (folder / "diagnosis.html").exists()
    assert not (folder / "report.html").exists()


def test_a_diagnosis_is_never_taken_for_a_run_of_the_study(tmp_path):
    made = create(tmp_path, "quick", 0.0, diagnosis=True)
    made.run_json.write_text("{}")

    assert made.path.parent == tmp_path / "quick" / DIAGNOSES
    assert runs(tmp_path, "quick") == ()
    assert made.run_id == "quick-diagnosis-19700101T000000Z"
    assert RunFolder(tmp_path / "quick" / "x").run_id == "quick-x"
