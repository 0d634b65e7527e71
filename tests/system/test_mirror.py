"""The Optuna mirror and the warm start on a real run."""

import json

import optuna
import pytest

WAIT = ("--wait", "200")


@pytest.mark.cargo
@pytest.mark.load
def test_a_run_is_mirrored_window_for_window_and_the_next_one_starts_warm(harness):
    url = f"sqlite:///{harness.folder}/mirror.db"
    first = harness("optimize", "small.yaml", "--backend", "process", "--optuna-storage", url, *WAIT)
    run, windows = harness.run_folder(), harness.windows()
    second = harness("optimize", "small.yaml", "--backend", "process", "--warm-start", *WAIT)
    (again,) = (path for path in harness.folder.glob("results/small/*") if path != run)
    decided = [json.loads(line) for line in (again / "decisions.jsonl").read_text().splitlines()]
    mirrored = optuna.load_study(study_name=f"small-{run.name}", storage=url).get_trials()

    assert {first.returncode, second.returncode} <= {0, 4}, (first.stderr, second.stderr)
    assert [trial.user_attrs["n"] for trial in mirrored] == [window["n"] for window in windows]
    assert "warm start: " in second.stderr
    assert [record["kind"] for record in decided[:2]] == ["suggest", "plan"] or "suggests anything" in second.stderr
