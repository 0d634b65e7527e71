"""The attribution: which blocks are run after a claim, and that nothing in them can change the claim."""

import pytest
from fakes import ERRORS, Fake, Noise, fake_study, flat, quick_study, run_study

from harness.judge.verdict import Verdict
from harness.search import attribute, plan
from harness.study.model import Budget, Phases
from harness.variant import Step, of
from harness.window.measurement import Validity

PHASES = Phases(calibrate=4, screen=2, search=6, race=0, confirm=6, attribute=3)


def two_knobs(values):
    """The check in the pool and more workers help, each by itself; a small pool hurts."""
    pool = -0.8 if values["fraud_check"] == "spawn_blocking" else 0.0
    pool += 0.9 if values.get("max_blocking_threads") == 8 else 0.0
    return pool + (-0.5 if values.get("worker_threads") == 8 else 0.0), 0.0


def event_and_workers(values):
    return (-0.4 if values.get("worker_threads") == 8 else 0) + (
        -0.4 if values.get("event_interval") == 255 else 0
    ), 0.0


def explained(study, fake):
    steps, history = run_study(study, fake)
    return [s for s in steps if isinstance(s, Step) and s.phase == "attribute"], history


@pytest.fixture(scope="module")
def asked():
    study = quick_study(phases=PHASES)
    return study, *explained(study, Fake(two_knobs, Noise(2, 0.03)))


def test_each_block_holds_baseline_winner_and_each_changed_knob_set_back_once(asked):
    study, steps, history = asked
    winner = {"fraud_check": "spawn_blocking", "worker_threads": 8}
    expected = {
        of(study, values).id for values in ({}, winner, {"fraud_check": "spawn_blocking"}, {"worker_threads": 8})
    }

    assert history.decision("freeze")["winner"] == winner
    assert [sorted(s.variant.id for s in steps if s.block == block) for block in range(3)] == [sorted(expected)] * 3


def test_the_order_is_random_and_each_block_has_arrivals_of_its_own(asked):
    _, steps, history = asked
    orders = {tuple(s.variant.id for s in steps if s.block == block) for block in range(3)}
    before = {r.schedule_seed for r in history.windows if r.phase != "attribute"}

    assert len(orders) > 1
    assert len({s.schedule_seed for s in steps} - before) == 3


def test_it_runs_after_the_last_look_and_before_the_verdict(asked):
    _, _, history = asked
    look, verdict = (next(d for d in history.decisions if d.kind == kind) for kind in ("look", "verdict"))

    assert (look.after, verdict.after) == (28 + 2, 28 + 2 + 12)


def test_the_verdict_is_the_one_without_it(asked):
    _, _, history = asked
    without = quick_study(phases=Phases(calibrate=4, screen=2, search=6, race=0, confirm=6))

    assert history.decision("verdict") == run_study(without, Fake(two_knobs, Noise(2, 0.03)))[1].decision("verdict")


def test_without_a_claim_nothing_is_explained():
    study = quick_study(phases=PHASES)

    assert explained(study, Fake(flat, Noise(2, 0.03)))[0] == []


def test_one_changed_knob_needs_no_attribution():
    study = quick_study(phases=PHASES, knobs=quick_study().knobs[:1])

    assert explained(study, Fake(two_knobs, Noise(2, 0.03)))[0] == []


def test_the_windows_that_the_first_look_saved_pay_for_it():
    study = fake_study(guards=(), seed=4)
    steps, history = explained(study, Fake(event_and_workers, Noise(3, 0.03)))
    changed = len(history.decision("freeze")["winner"])

    assert history.decision("look")["final"] is False
    assert (len(steps), len(history.windows) <= study.budget.windows) == (20 // (changed + 2) * (changed + 2), True)


def test_a_claim_at_the_last_look_leaves_nothing_for_it():
    study = fake_study(guards=(), budget=Budget(40, None), seed=4)

    assert explained(study, Fake(event_and_workers, Noise(3, 0.03)))[0] == []


def test_a_set_back_that_fails_twice_is_left_out_of_later_blocks():
    def workers_alone_fail(_, step):
        alone = step.variant.values == {"fraud_check": "inline", "worker_threads": 8}
        return (Validity.FAILED, "did not start") if alone and step.phase == "attribute" else None

    study = quick_study(phases=PHASES)
    steps, history = explained(study, Fake(two_knobs, Noise(2, 0.03), faults=workers_alone_fail))

    assert [sum(s.block == block for s in steps) for block in range(3)] == [5, 3, 3]
    assert history.decision("verdict")["call"] == "better"


@pytest.mark.parametrize("validity", [Validity.INVALID, Validity.FAILED])
def test_an_attribution_of_which_every_window_is_lost_leaves_the_claim(validity):
    study = quick_study(phases=PHASES, guards=(ERRORS,))
    lost = Fake(two_knobs, Noise(2, 0.03), faults=lambda _, s: (validity, "lost") if s.phase == "attribute" else None)
    steps, history = explained(study, lost)

    assert Verdict.from_json(history.decision("verdict")).call == "better"
    assert len(steps) <= 8


def test_time_that_runs_out_in_the_attribution_leaves_the_claim():
    study = quick_study(phases=PHASES, budget=Budget(30, 30 * 11.0 + 35))
    steps, history = explained(study, Fake(two_knobs, Noise(2, 0.03)))

    assert (0 < len(steps) < 12, history.decision("verdict")["call"]) == (True, "better")


def test_the_plan_says_what_it_costs_at_most():
    study = quick_study(phases=PHASES)
    words = plan.in_words(study, plan.plan(study))

    assert "what each knob of a confirmed winner does: 3 blocks more, at most 15 windows" in words


def test_the_plan_says_how_to_have_a_claim_explained_that_it_would_not_explain():
    asks = "ask for it by phases.attribute"
    early, small, one = fake_study(), quick_study(), quick_study(knobs=quick_study().knobs[:1])

    assert "is not explained: ask for phases.attribute" in " ".join(plan.in_words(early, plan.plan(early)))
    assert asks in " ".join(plan.in_words(small, plan.plan(small)))
    assert "phases.attribute" not in " ".join(plan.in_words(one, plan.plan(one)))


def test_before_the_freeze_there_is_nothing_to_attribute(asked):
    study, _, history = asked
    early = history.model_copy(update={"decisions": history.decisions[:1]})
    made = plan.from_json(history.decision("plan"))

    assert attribute.blocks(study, made, early) == 0
    assert attribute.next_step(study, made, early) is None
