import hashlib
import json

import canned_run
import pytest

from harness import report
from harness.errors import MachineError
from harness.judge import verdict
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import Ledger
from harness.report import read, recommended, summary
from harness.report import runbook as runbooks
from harness.variant import Decision

EVERY = {"report.html", "runbook.md", "summary.json", "junit.xml", "recommended"}


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def win(tmp_path_factory):
    """Return the folder of a finished run with its report, and the summary that was returned; nobody changes it."""
    folder = canned_run.write(tmp_path_factory.mktemp("win"))
    return folder, report.write(folder)


def recommend(folder):
    recommended.write(read.run(folder))


def test_a_finished_run_gets_every_file(win):
    folder, _ = win

    assert {file.name for file in folder.iterdir()} >= EVERY
    assert {file.name for file in (folder / "recommended").iterdir()} >= {"runtime.rs", "variant.json"}
    assert [file.name for file in folder.rglob("*.draft")] == []


def test_the_summary_returned_is_the_one_written(win):
    folder, told = win

    assert told == json.loads((folder / "summary.json").read_text())


def test_the_summary_has_the_keys_that_other_programs_rely_on(win):
    _, summary = win

    assert {"schema", "study", "backend", "objective", "verdict", "windows", "timing"} <= summary.keys()
    assert {
        "call",
        "winner",
        "at_least",
        "estimate",
        "interval",
        "confidence",
        "smallest_visible",
        "reason",
    } <= summary["verdict"].keys()
    assert summary["windows"] == {"total": 28, "valid": 28, "degraded": 0, "invalid": 0, "failed": 0}
    assert {"wall_s", "measuring_s", "overhead_per_window_s"} <= summary["timing"].keys()


def test_the_headline_of_a_folder_is_the_one_of_its_summary(win):
    folder, told = win

    assert told["headline"] == summary.headline(folder)


def test_an_unfinished_run_gets_a_page_but_no_summary_file(tmp_path):
    folder = canned_run.write(tmp_path, finished=False)
    summary = report.write(folder)

    assert (summary["verdict"]["call"], summary["finished"]) == ("inconclusive", False)
    assert {"report.html", "runbook.md"} <= {file.name for file in folder.iterdir()}
    assert not (folder / "summary.json").exists()
    assert not (folder / "recommended" / "runtime.rs").exists()


def test_the_recommended_file_is_the_one_that_was_measured(tmp_path):
    folder = canned_run.write(tmp_path, tested=canned_run.BOTH)
    recommend(folder)
    measured = folder / "variants" / canned_run.variant(canned_run.BOTH).id / "runtime.rs"

    assert digest(measured) == digest(folder / "recommended" / "runtime.rs")


def test_the_runbook_shows_that_file_to_be_pasted_as_it_is(tmp_path):
    folder = canned_run.write(tmp_path, tested=canned_run.BOTH)
    measured = folder / "variants" / canned_run.variant(canned_run.BOTH).id / "runtime.rs"
    code = "pub fn build() -> std::io::Result<Runtime> { a | b }"
    measured.write_text(f"{code}\n")
    report.write(folder)

    assert f"\n       {code}\n" in (folder / "runbook.md").read_text()


def test_the_recommended_variant_has_options_settings_and_versions_apart(tmp_path):
    folder = canned_run.write(tmp_path, tested=canned_run.BOTH)
    recommend(folder)
    told = json.loads((folder / "recommended" / "variant.json").read_text())

    assert (told["runtime"], told["options"]) == ({"worker_threads": 4}, {"fraud_check": "spawn_blocking"})
    assert told["settings"] == {"check_cpu_ms": 0.2, "check_ms": 2.0}
    assert told["versions"]["tokio"] == "1.54.1"


def test_a_lock_file_of_the_variant_is_recommended_with_it(tmp_path):
    folder = canned_run.write(tmp_path)
    (folder / "variants" / canned_run.variant(canned_run.BLOCKING).id / "Cargo.lock").write_text("version = 4\n")
    recommend(folder)

    assert (folder / "recommended" / "Cargo.lock").read_text() == "version = 4\n"


def test_the_runbook_of_another_tokio_says_how_to_pin_it(tmp_path):
    folder = canned_run.write(tmp_path)
    lock = '[[package]]\nname = "tokio"\nversion = "1.51.6"\n'
    (folder / "variants" / canned_run.variant(canned_run.BLOCKING).id / "Cargo.lock").write_text(lock)
    report.write(folder)

    runbook = (folder / "runbook.md").read_text()
    assert "2. Pin Tokio to 1.51.6, the version that was measured" in runbook
    assert "cargo update --package tokio --precise 1.51.6" in runbook
    assert json.loads((folder / "recommended" / "variant.json").read_text())["versions"]["tokio"] == "1.51.6"


def test_the_runbook_of_the_baselines_tokio_pins_nothing(tmp_path):
    folder = canned_run.write(tmp_path)
    report.write(folder)

    assert "Pin Tokio" not in (folder / "runbook.md").read_text()


def test_without_a_win_the_baseline_is_recommended(tmp_path):
    folder = canned_run.write(tmp_path, true_ms=lambda _: 12.0)
    recommend(folder)
    told = json.loads((folder / "recommended" / "variant.json").read_text())

    assert (told["change"], told["options"]) == ({}, {"fraud_check": "inline"})


def test_what_is_recommended_no_more_is_removed_when_the_report_is_made_again(tmp_path):
    folder = canned_run.write(tmp_path)
    recommend(folder)
    decisions = folder / "decisions.jsonl"
    decisions.write_text("".join(decisions.read_text().splitlines(keepends=True)[:-1]))
    recommend(folder)

    assert list((folder / "recommended").iterdir()) == []


def test_a_variant_folder_that_is_gone_is_no_obstacle(tmp_path):
    folder = canned_run.write(tmp_path)
    for file in (folder / "variants").rglob("*"):
        if file.is_file():
            file.unlink()
    recommend(folder)

    assert [file.name for file in (folder / "recommended").iterdir()] == ["variant.json"]


def test_nothing_outside_the_run_folder_is_needed(tmp_path):
    folder = canned_run.write(tmp_path / "here")
    elsewhere = (tmp_path / "years" / "later").resolve()
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)

    assert report.write(elsewhere)["verdict"]["call"] == "better"


def test_a_report_made_again_is_the_same(tmp_path):
    folder = canned_run.write(tmp_path, samples=300)
    report.write(folder)
    first = {name: digest(folder / name) for name in ("report.html", "runbook.md", "summary.json")}
    report.write(folder)

    assert first == {name: digest(folder / name) for name in first}


def test_a_file_in_the_way_of_a_folder_is_a_clear_error(tmp_path):
    folder = canned_run.write(tmp_path)
    (folder / "recommended").write_text("")

    with pytest.raises(MachineError, match="recommended"):
        report.write(folder)


def runbook(folder):
    return runbooks.text(read.run(folder))


def test_a_runbook_of_a_win_says_how_to_apply_check_and_undo_it(tmp_path):
    text = runbook(canned_run.write(tmp_path, tested=canned_run.BOTH))

    assert "OPT_FRAUD_CHECK=spawn_blocking" in text
    assert ".worker_threads(4)" in text
    assert "`blocking_queue_depth`" in text
    assert "Set `worker_threads` back to unset (1)." in text
    assert "OPT_CHECK_MS" not in text


def test_a_runbook_without_a_win_says_what_was_tried_and_ruled_out(tmp_path):
    text = runbook(canned_run.write(tmp_path, true_ms=lambda _: 12.0))

    assert "Keep the baseline" in text
    assert "| `worker_threads = 4` |" in text
    assert "are ruled out (95 % confidence)" in text


def test_a_string_of_the_run_cannot_open_a_tag_or_a_line_of_the_runbook(tmp_path):
    hostile = {"study": "<script>\n# x|y"}
    text = runbook(canned_run.write(tmp_path, changes=hostile))

    assert "# Runbook: &lt;script> # x\\|y\n" in text


def test_an_infinite_effect_is_null_in_the_summary(tmp_path):
    def nearly_equal(values):
        return 1e-300 if values.get("max_blocking_threads") == 8 else 1e300

    folder = canned_run.write(tmp_path, true_ms=nearly_equal)

    json.dumps(summary.summary(read.run(folder)), allow_nan=False)


def test_a_run_lists_its_later_confirmations_and_keeps_its_verdict(tmp_path):
    folder = canned_run.write(tmp_path)
    before = report.write(folder)
    confirms = {"run": "quickstart-20260101T000000Z", "variant": "pool00000000", "number": 1, "pairs": 6}
    again = canned_run.write(tmp_path / "again", changes={"confirms": confirms, "run": "the-first-confirmation"})
    (folder / "confirm").mkdir()
    again = again.rename(folder / "confirm" / "20260102T000000Z")
    own, after = report.write(again), report.write(folder)

    assert after == {**before, "confirmations": after["confirmations"]}
    assert [(row["number"], row["call"], row["run"]) for row in after["confirmations"]] == [
        (1, own["verdict"]["call"], "the-first-confirmation")
    ]
    assert (own["confirms"], own["effects"]) == (confirms, [])
    for page in ("report.html", "runbook.md"):
        assert "Confirmed again" in (folder / page).read_text()
    assert "one variant only" in (again / "report.html").read_text()


def test_a_confirmation_that_is_unfinished_or_torn_is_passed_over(tmp_path):
    folder = canned_run.write(tmp_path)
    for name, content in (("1", "{"), ("2", "[]"), ("3", "{}")):
        (folder / "confirm" / name).mkdir(parents=True)
        (folder / "confirm" / name / "run.json").write_text("{}")
        (folder / "confirm" / name / "summary.json").write_text(content)

    assert report.write(folder)["confirmations"] == []


TWO = {
    **canned_run.OBJECTIVE,
    "second": {"direction": "minimize", "metric": "cpu_per_request", "of": None},
    "pick": "second",
    "within": 0.05,
}


def test_two_objectives_give_a_table_of_trade_offs_with_the_picked_one_marked(tmp_path):
    folder = canned_run.write(tmp_path, changes={"objective": TWO})
    summary = report.write(folder)
    picked = [point["values"] for point in summary["pareto"] if point["picked"]]

    assert picked in ([], [canned_run.BLOCKING])
    assert all(len(point["gains"]) == 2 and point["windows"] >= 0 for point in summary["pareto"])
    assert summary["second"]["metric"] == "cpu_per_request"
    assert summary["second"]["interval"][0] <= summary["second"]["estimate"] <= summary["second"]["interval"][1]
    for page in ("report.html", "runbook.md"):
        text = (folder / page).read_text()
        assert "Two objectives" in text
        assert "the best CPU per request of those that give up at most 5 % of the best p95" in text
        assert "no claim rests on it" in text
        assert "not adjusted for looks" in text


def test_one_objective_has_no_table_of_trade_offs(win):
    folder, summary = win

    assert (summary["pareto"], summary["second"]) == ([], None)
    assert "Two objectives" not in (folder / "report.html").read_text()


def test_knobs_that_were_left_out_stand_in_the_report_with_reason_and_saving(tmp_path):
    folder = canned_run.write(tmp_path, finished=False)
    said = "Not searched: max_blocking_threads: no blocking work under this load. This saves 2 windows."
    content = {"knobs": {"max_blocking_threads": "no blocking work"}, "levels": 1, "windows_saved": 2, "pairs": 0}
    Ledger(RunFolder(folder)).append_decision(Decision("inert", {**content, "words": said}), 0.0)
    canned_run.decide(folder, verdict.ended("all_inert", "No knob can matter."))
    summary = report.write(folder)
    page = (folder / "report.html").read_text()

    assert "Search other knobs, or give a load that brings the work that these knobs act on." in page
    assert "more windows, longer windows" not in page

    assert summary["inert"] == {"knobs": {"max_blocking_threads": "no blocking work"}, "windows_saved": 2}
    assert summary["headline"] == "No change: no knob of this study can matter under this load"
    assert "max_blocking_threads" not in {row["knob"] for row in summary["effects"]}
    for page in ("report.html", "runbook.md"):
        assert said in (folder / page).read_text()
