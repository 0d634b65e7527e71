"""Confirming a variant of a finished run again: fresh coin flips and arrivals, and a test that stands by itself."""

import pytest
from fakes import Fake, Noise, flat, quick, quick_study, run_study

from harness import search, variant
from harness.errors import StudyError
from harness.judge.verdict import Verdict
from harness.ledger.ledger import decision_record
from harness.ledger.record import History
from harness.search import again
from harness.search.again import Asked
from harness.variant import Decision, Step

STUDY = quick_study()
_, FINISHED = run_study(STUDY, Fake(quick, Noise(1, 0.05)))
WINNER = again.chosen(STUDY, FINISHED, None)


def begun(asked, history=FINISHED, study=STUDY):
    made = History()
    for decision in again.decisions(study, history, asked):
        record = decision_record(made, decision, at=0.0)
        made = made.model_copy(update={"decisions": (*made.decisions, record)})
    return made


def confirmed(asked, fake, study=STUDY, history=FINISHED):
    steps, done = run_study(study, fake, begun(asked, history, study))
    return [step for step in steps if isinstance(step, Step)], done, Verdict.from_json(done.decision("verdict"))


def test_without_a_name_the_winner_of_the_run_is_confirmed():
    assert WINNER.id == FINISHED.decision("freeze")["winner_id"]


def test_any_measured_variant_is_found_by_the_beginning_of_its_id():
    other = variant.of(STUDY, {"worker_threads": 8})

    assert again.chosen(STUDY, FINISHED, other.id[:6]) == other


@pytest.mark.parametrize(
    ("name", "words"), [("zzz", "no variant that the run measured"), ("", "fits several"), (None, "is the baseline")]
)
def test_a_name_that_means_no_single_variant_is_refused_with_those_that_do(name, words):
    with pytest.raises(StudyError, match=words) as refused:
        again.chosen(STUDY, FINISHED, variant.baseline(STUDY).id if name is None else name)

    assert WINNER.id in str(refused.value)


def test_a_confirmation_is_pairs_and_nothing_else():
    steps, _, verdict = confirmed(Asked(WINNER, 7, 1), Fake(quick, Noise(2, 0.05)))

    assert ({step.phase for step in steps}, len(steps), verdict.pairs) == ({"confirm"}, 14, 7)
    assert {step.variant.id for step in steps} == {WINNER.id, variant.baseline(STUDY).id}


def test_a_real_gain_is_confirmed_again():
    _, _, verdict = confirmed(Asked(WINNER, 6, 1), Fake(quick, Noise(3, 0.05)))

    # With the check off the runtime more workers change nothing here: either variant is truly the best.
    assert (verdict.call, verdict.winner["fraud_check"]) == ("better", "spawn_blocking")
    assert verdict.winner == variant.difference(WINNER, variant.baseline(STUDY))


def test_every_flip_is_in_the_ledger_before_the_first_pair_and_is_what_is_run():
    steps, done, _ = confirmed(Asked(WINNER, 6, 1), Fake(quick, Noise(2, 0.05)))
    flips = begun(Asked(WINNER, 6, 1)).decision("freeze")["flips"]

    assert flips == done.decision("freeze")["flips"]
    assert [step.role == "candidate" for step in steps if step.position == 0] == flips[:6]


def test_each_confirmation_has_flips_and_arrivals_of_its_own():
    drawn = set()
    for number in range(1, 6):
        steps, done, _ = confirmed(Asked(WINNER, 16, number), Fake(flat, Noise(1, 0.05)))
        drawn.add((tuple(done.decision("freeze")["flips"]), tuple(step.schedule_seed for step in steps[:2])))
    first = [record.schedule_seed for record in FINISHED.windows]

    assert len(drawn) == len({seeds for _, seeds in drawn}) == 5
    assert not {seed for _, seeds in drawn for seed in seeds} & set(first)


def test_an_interrupted_confirmation_goes_on_as_an_uninterrupted_one():
    fake = Fake(quick, Noise(4, 0.05))
    steps, done, _ = confirmed(Asked(WINNER, 6, 1), fake)
    for windows in range(len(done.windows)):
        prefix = begun(Asked(WINNER, 6, 1)).model_copy(update={"windows": done.windows[:windows]})

        assert search.next_step(STUDY, prefix) == steps[windows]


def test_where_nothing_differs_a_confirmation_claims_at_most_at_its_own_five_percent():
    _, history = run_study(STUDY, Fake(flat, Noise(1, 0.05)))
    winner = again.chosen(STUDY, history, None)
    calls = [
        confirmed(Asked(winner, 6, 1), Fake(flat, Noise(seed, 0.1)), quick_study(seed=seed), history)[2].call
        for seed in range(100)
    ]

    assert calls.count("better") <= 13  # the 99.9 % point of 5 % of 100


def test_the_error_budget_says_that_each_confirmation_is_a_test_of_its_own():
    assert "one extra test at 5%" in again.error_budget(1)
    assert "one of the 3 so far claims by chance is up to 14%" in again.error_budget(3)


def test_pairs_are_as_many_as_the_run_had_and_never_too_few_for_a_claim():
    assert again.usual_pairs(FINISHED) == 6
    assert again.usual_pairs(History()) >= 5


def test_a_plan_of_pairs_only_is_what_the_ledger_begins_with():
    planned, frozen = again.decisions(STUDY, FINISHED, Asked(WINNER, 8, 2))

    assert isinstance(planned, Decision)
    assert (planned.kind, planned.content["windows"], frozen.kind, frozen.content["pairs"]) == ("plan", 16, "freeze", 8)
