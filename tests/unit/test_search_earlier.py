"""What earlier runs tell of the noise, and what the plan says with it."""

import json
from dataclasses import replace

from fakes import Fake, Noise, fake_study, quick_study, run_study, surface

from harness import opening
from harness.judge.rank import Interval
from harness.ledger import provenance
from harness.ledger.folder import RunFolder
from harness.search import earlier, plan
from harness.search.earlier import Known
from harness.study.model import Budget
from harness.window.cores import CoreMap

STUDY = fake_study(budget=Budget(40, None))
QUIET = Known(0.01, Interval(0.007, 0.02), 12, ("pay-1",))


def ledger_of(sigma, seed=1):
    return run_study(STUDY, Fake(surface("flat", 1), Noise(seed, sigma=sigma)))[1]


def a_run(results, study, history, stamp):
    """Write the run folder of `history` as opening writes it."""
    path = results / study.name / stamp
    path.mkdir(parents=True)
    folder = RunFolder(path)
    about = opening.described(study, folder, "docker", CoreMap((1,), (0,), (0,)), ())
    folder.run_json.write_text(json.dumps(about, default=str))
    folder.windows_jsonl.write_text("".join(f"{record.model_dump_json()}\n" for record in history.windows))


def test_windows_of_earlier_runs_tell_the_noise_they_had():
    known = earlier.noise_of(STUDY, [(f"r{seed}", ledger_of(0.05, seed)) for seed in range(5)])

    assert known.runs == ("r0", "r1", "r2", "r3", "r4")
    assert known.windows == 20
    assert known.range.low < 0.05 < known.range.high


def test_too_few_windows_tell_nothing():
    history = ledger_of(0.05)

    assert earlier.noise_of(STUDY, [("r", history.model_copy(update={"windows": history.windows[:3]}))]) is None


def test_a_run_of_the_same_study_here_is_found_and_one_with_another_load_is_not(tmp_path):
    a_run(tmp_path, STUDY, ledger_of(0.05), "20260101T000000Z")

    known = opening.known_noise(replace(STUDY, name="another-name"), tmp_path)
    other_load = replace(STUDY, load=replace(STUDY.load, rate=STUDY.load.rate * 2))

    assert known.runs == (f"{STUDY.name}-20260101T000000Z",)
    assert opening.known_noise(other_load, tmp_path) is None


def test_a_run_from_before_a_key_came_into_studies_still_tells(tmp_path):
    a_run(tmp_path, STUDY, ledger_of(0.05), "20260101T000000Z")
    file = tmp_path / STUDY.name / "20260101T000000Z" / "run.json"
    facts = json.loads(file.read_text())
    del facts["objective"]["keep"]
    file.write_text(json.dumps(facts))

    assert opening.known_noise(STUDY, tmp_path) is not None


def test_a_run_of_another_machine_tells_nothing(tmp_path, monkeypatch):
    a_run(tmp_path, STUDY, ledger_of(0.05), "20260101T000000Z")
    monkeypatch.setattr(provenance, "machine_id", lambda _facts: "elsewhere")

    assert opening.known_noise(STUDY, tmp_path) is None


def test_runs_that_cannot_be_read_are_passed_over(tmp_path):
    a_run(tmp_path, STUDY, ledger_of(0.05), "20260101T000000Z")
    for stamp, text in (("20260102T000000Z", "{"), ("20260103T000000Z", "{}"), ("20260104T000000Z", "[]")):
        (tmp_path / STUDY.name / stamp).mkdir()
        (tmp_path / STUDY.name / stamp / "run.json").write_text(text)

    assert opening.known_noise(STUDY, tmp_path).windows == 4


def test_the_plan_tells_the_smallest_gain_by_the_noise_that_was_seen_here():
    words = " ".join(plan.in_words(quick_study(), plan.plan(quick_study()), QUIET))

    assert "windows vary by 1.0% (0.7% to 2.0%) in 12 A/A windows of run pay-1 here" in words
    assert "even on a quiet machine" not in words


def test_too_much_noise_for_min_effect_is_said_with_the_pairs_and_the_minutes_that_would_see_it():
    study = quick_study(phases=None, budget=Budget(28, None), min_effect=0.05)
    words = " ".join(plan.in_words(study, plan.plan(study), replace(QUIET, sigma=0.1)))

    assert "with the noise seen here only gains above" in words
    assert "pairs would see that" in words
    assert "about" in words.split("pairs would see that")[1]


def test_the_pairs_that_are_advised_do_see_min_effect():
    study = fake_study(budget=Budget(40, None), min_effect=0.05)
    loud = replace(QUIET, sigma=0.08)
    words = " ".join(plan.in_words(study, plan.plan(study), loud))
    windows = int(words.split("pairs would see that: ")[1].split(" ")[0])
    enough = replace(study, budget=Budget(windows, None))

    assert "would see that" not in " ".join(plan.in_words(enough, plan.plan(enough), loud))


def test_where_counting_makes_the_noise_longer_windows_or_a_lower_percentile_are_advised():
    study = fake_study(min_effect=0.001, budget=Budget(40, None))
    counting = plan.to_json(study, plan.plan(study))["sampling_floor"]
    words = " ".join(plan.in_words(study, plan.plan(study), replace(QUIET, sigma=counting)))

    assert "window.measure: " in words
    assert "p90 instead of p95" in words


def test_where_something_else_makes_the_noise_longer_windows_are_not_advised():
    study = fake_study(min_effect=0.02, budget=Budget(40, None))
    words = " ".join(plan.in_words(study, plan.plan(study), replace(QUIET, sigma=0.3)))

    assert "a quieter machine helps more than longer windows do" in words
    assert "window.measure" not in words
