"""`harness confirm` and `--fail-on` for real: what they refuse, what they measure, what they leave as it was."""

import json
from pathlib import Path

import canned_run
import pytest

WAIT = ("--wait", "200")
FOLDERS = "results/small/*/run.json"


def refused(done, code, *words):
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


def finished(harness):
    """Return the folder of a finished run with a variant to confirm; on a machine too busy for one the test is skipped."""
    done = harness("optimize", "small.yaml", "--backend", "process", *WAIT)
    (run,) = (path.parent for path in harness.folder.glob(FOLDERS))
    assert done.returncode in {0, 4}, done.stderr
    if not any(window["role"] == "candidate" and window["metrics"] for window in harness.windows()):
        pytest.skip("the machine is too busy to measure any variant")
    return run


def test_a_folder_that_is_no_run_cannot_be_confirmed(harness):
    refused(harness("confirm", "."), 2, "no run.json", "results/STUDY/STAMP")


def test_an_unfinished_run_is_finished_first(harness, tmp_path):
    folder = canned_run.write(tmp_path / "results", finished=False)

    refused(harness("confirm", str(folder)), 2, "is unfinished", "harness optimize quickstart.yaml --resume")


def test_a_run_whose_study_was_moved_asks_where_it_is(harness, tmp_path):
    folder = canned_run.write(tmp_path / "results")

    refused(harness("confirm", str(folder)), 2, "not at quickstart.yaml any more", "--study FILE")


def test_a_run_of_another_study_version_or_machine_is_not_mixed_with_windows_from_here(harness, tmp_path):
    folder = canned_run.write(tmp_path / "results")

    refused(
        harness("confirm", str(folder), "--study", "small.yaml"), 2, "the study file has changed", "another machine"
    )


def test_a_confirmation_is_not_confirmed_itself(harness, tmp_path):
    folder = canned_run.write(tmp_path / "results", changes={"confirms": {"run": "r", "variant": "v", "number": 1}})

    refused(harness("confirm", str(folder)), 2, "is a confirmation itself")


def test_fewer_pairs_than_can_claim_anything_are_refused(harness):
    refused(harness("confirm", ".", "--pairs", "4"), 2, "--pairs", "5<=x<=1000")


@pytest.mark.parametrize("command", ["optimize", "confirm"])
def test_a_call_that_there_is_not_is_refused(harness, command):
    refused(harness(command, "small.yaml", "--fail-on", "worse,slower"), 2, "'slower' is none of worse, better")


@pytest.mark.cargo
@pytest.mark.load
def test_a_finished_run_is_confirmed_again_in_a_folder_of_its_own(harness):
    harness.study.write_text(harness.study.read_text().replace("[inline, spawn_blocking]", "[spawn_blocking, inline]"))
    run = finished(harness)
    ledger = {name: (run / name).read_bytes() for name in ("windows.jsonl", "decisions.jsonl", "run.json")}
    verdict = json.loads((run / "summary.json").read_text())["verdict"]
    again = harness("confirm", str(run.relative_to(harness.folder)), "--fail-on", "better,worse,inconclusive", *WAIT)
    (folder,) = run.glob("confirm/*")
    kept, own = (json.loads((at / "summary.json").read_text()) for at in (run, folder))

    assert "one extra test at 5%" in again.stderr
    assert {name: (run / name).read_bytes() for name in ledger} == ledger
    assert kept["verdict"] == verdict
    assert [(row["number"], row["call"]) for row in kept["confirmations"]] == [(1, own["verdict"]["call"])]
    assert own["confirms"]["run"] == f"small-{run.name}"
    assert own["phases"].keys() == {"confirm"}
    assert list(harness.folder.glob(FOLDERS)) == [run / "run.json"]
    assert again.returncode == (0 if own["verdict"]["call"] == "same" else 5), again.stderr
    assert again.returncode == 0 or f"the verdict is {own['verdict']['call']}, which --fail-on names" in again.stderr


@pytest.mark.cargo
@pytest.mark.load
def test_a_confirmation_that_was_interrupted_goes_on_with_its_own_flips(harness):
    run = finished(harness)
    process = harness.start("confirm", str(run), *WAIT)
    ledger = lambda: list(Path(run).glob("confirm/*/windows.jsonl"))  # noqa: E731
    harness.wait_until(lambda: ledger() and ledger()[0].read_text().count("\n") >= 2, process)
    code, _, err = harness.end(process)
    decided = (ledger()[0].parent / "decisions.jsonl").read_text()
    done = harness("confirm", str(run), *WAIT)

    assert (code, "go on with: harness confirm" in err) == (130, True), err
    assert "resuming" in done.stderr, done.stderr
    (file,) = ledger()
    assert (file.parent / "decisions.jsonl").read_text().startswith(decided)
    assert [json.loads(line)["n"] for line in file.read_text().splitlines()] == list(
        range(1, file.read_text().count("\n") + 1)
    )
