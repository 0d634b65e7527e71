"""A claim as a run: pairs of the baseline and one named variant, with nothing before them and nothing chosen."""

from dataclasses import replace

import pytest
from fakes import Fake, Noise, flat, quick, quick_study, run_study

from harness import search, variant
from harness.errors import StudyError
from harness.judge.claims import Range, of_pairs
from harness.judge.verdict import Verdict
from harness.ledger.ledger import decision_record
from harness.ledger.record import History
from harness.search import claimed
from harness.study.model import Budget
from harness.variant import Step

STUDY = quick_study(budget=Budget(12, None))
CHANGE = {"fraud_check": "spawn_blocking"}


def begun(study=STUDY):
    made = History()
    for decision in claimed.decisions(study, CHANGE):
        record = decision_record(made, decision, at=0.0)
        made = made.model_copy(update={"decisions": (*made.decisions, record)})
    return made


def carried_out(fake):
    steps, done = run_study(STUDY, fake, begun())
    return [step for step in steps if isinstance(step, Step)], done, Verdict.from_json(done.decision("verdict"))


def test_a_claim_takes_its_pairs_and_no_other_window():
    steps, _, verdict = carried_out(Fake(quick, Noise(2, 0.05)))

    assert {step.phase for step in steps} == {"confirm"}
    assert (len(steps), verdict.pairs) == (12, 6)
    assert {step.variant.id for step in steps} == {variant.baseline(STUDY).id, variant.of(STUDY, CHANGE).id}


def test_a_real_gain_holds_a_claim_of_it_and_refutes_one_of_no_difference():
    _, _, verdict = carried_out(Fake(quick, Noise(3, 0.05)))

    assert of_pairs(Range(low=0.05), verdict.interval).call == "held here"
    assert of_pairs(Range(-0.05, 0.05), verdict.interval).call == "refuted here"


def test_where_there_is_nothing_a_claim_of_a_large_gain_is_refuted_and_one_of_a_small_gain_stays_open():
    _, _, verdict = carried_out(Fake(flat, Noise(4, 0.05)))

    assert of_pairs(Range(low=0.30), verdict.interval).call == "refuted here"
    assert of_pairs(Range(low=0.02), verdict.interval).call == "not resolved"


def test_replayed_over_every_prefix_a_claim_names_the_step_that_was_run():
    steps, done, _ = carried_out(Fake(quick, Noise(2, 0.05)))

    for count in range(len(done.windows)):
        prefix = begun().model_copy(update={"windows": done.windows[:count]})
        assert search.next_step(STUDY, prefix) == steps[count]


def test_a_study_that_says_no_pairs_tests_no_claim():
    with pytest.raises(StudyError, match="`phases` with `confirm`"):
        claimed.planned(replace(STUDY, phases=None))
