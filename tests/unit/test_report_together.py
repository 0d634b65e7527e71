"""The report of an effects-only study: what the single winners do together stands in its table of effects."""

import json

import pytest
from fakes import Fake, Noise, fake_study, run_study

from harness import opening, report
from harness.ledger.folder import RunFolder
from harness.search import plan
from harness.study.model import Budget, Phases
from harness.window.cores import CoreMap

PHASES = Phases(calibrate=6, screen=6, search=0, race=0, confirm=0, interaction=8)


def planted(values):
    workers, events = values.get("worker_threads", 4) != 4, values.get("event_interval", 61) != 61
    return -0.22 * workers - 0.22 * events + 0.22 * (workers and events), 0.0


@pytest.fixture
def written(tmp_path):
    study = fake_study(phases=PHASES)
    study = fake_study(phases=PHASES, budget=Budget(plan.plan(study).windows, None))
    _, history = run_study(study, Fake(planted, Noise(1, sigma=0.03)))
    folder = RunFolder(tmp_path / study.name / "20260101T000000Z")
    folder.path.mkdir(parents=True)
    about = opening.described(study, folder, "docker", CoreMap((1,), (0,), (0,)), ())
    folder.run_json.write_text(json.dumps(about, default=str))
    folder.windows_jsonl.write_text("".join(f"{record.model_dump_json()}\n" for record in history.windows))
    folder.decisions_jsonl.write_text("".join(f"{record.model_dump_json()}\n" for record in history.decisions))
    return report.write(folder.path), folder.path


def test_the_headline_says_that_it_is_a_table_and_no_claim(written):
    summary, _ = written

    assert summary["headline"].startswith("A table of effects on p95")
    assert (summary["verdict"]["call"], summary["verdict"]["reason_code"]) == ("inconclusive", "effects_only")


def test_the_single_winners_together_stand_in_page_runbook_and_summary(written):
    summary, folder = written
    page, runbook = ((folder / name).read_text() for name in ("report.html", "runbook.md"))

    assert summary["together"]["interaction"]["call"] == "less than the sum"
    assert set(summary["together"]["levels"]) == {"worker_threads", "event_interval"}
    assert "all single winners together: " in page
    for text in (page, runbook):
        assert "together they do less than they do apart" in text
