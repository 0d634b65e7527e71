"""Warm start: earlier winners are tried early by the search, and are evidence of nothing."""

from dataclasses import replace

from fakes import SIX_KNOBS, Fake, Noise, fake_study, flat, quick_study, run_study, surface

from harness import search, variant
from harness.ledger.ledger import decision_record
from harness.ledger.record import History
from harness.search import confirm, joint, suggest
from harness.study import constraints
from harness.study.model import Budget
from harness.variant import Step

STUDY = fake_study(budget=Budget(60, None))
_, EARLIER = run_study(STUDY, Fake(surface("single", 3), Noise(3)))
WINNER = confirm.frozen(EARLIER).winner


def begun(study=STUDY, earlier=(("first", EARLIER),)):
    made = suggest.decision(study, earlier)
    return History(decisions=(decision_record(History(), made, at=0.0),))


def searched(steps):
    return [step for step in steps if isinstance(step, Step) and step.phase == "search"]


def test_what_an_earlier_run_confirmed_is_among_the_first_three_that_the_search_tries():
    study = replace(STUDY, seed=99)
    cold, _ = run_study(study, Fake(flat, Noise(9)))
    warm, _ = run_study(study, Fake(flat, Noise(9)), begun(study))

    assert WINNER.id in {step.variant.id for step in searched(warm)[:3]}
    assert WINNER.id not in {step.variant.id for step in searched(cold)[:3]}


def test_nothing_that_the_earlier_run_measured_is_told_or_scored():
    history = begun()

    assert joint.told(STUDY, history) == []
    assert history.windows == ()


def test_a_suggestion_takes_no_window_beyond_the_plan():
    cold, _ = run_study(STUDY, Fake(flat, Noise(9)))
    warm, _ = run_study(STUDY, Fake(flat, Noise(9)), begun())

    assert len(searched(warm)) == len(searched(cold))


def test_replayed_over_every_prefix_a_warm_run_names_the_steps_that_were_run():
    steps, history = run_study(STUDY, Fake(surface("single", 3), Noise(4)), begun())
    named = [step for step in steps if isinstance(step, Step)]
    for n, step in enumerate(named):
        windows = history.windows[:n]
        decisions = tuple(record for record in history.decisions if record.k <= history.windows[n].after)

        assert search.next_step(STUDY, History(windows=windows, decisions=decisions)) == step


def test_a_run_that_confirmed_nothing_suggests_nothing():
    assert suggest.decision(STUDY, (("empty", History()),)) is None


def test_what_an_earlier_run_showed_to_be_worse_is_not_suggested_and_what_it_left_open_is_called_no_more_than_that():
    verdict = [record for record in EARLIER.decisions if record.kind == "verdict"][-1]
    others = tuple(record for record in EARLIER.decisions if record is not verdict)
    called = lambda call: EARLIER.model_copy(  # noqa: E731
        update={"decisions": (*others, verdict.model_copy(update={"content": {**verdict.content, "call": call}}))}
    )

    assert suggest.decision(STUDY, (("first", called("worse")),)) is None
    made = suggest.decision(STUDY, (("first", called("inconclusive")),))
    assert "that earlier runs put to pairs (first)" in made.content["words"]


def test_a_winner_that_the_study_does_not_search_any_more_is_no_suggestion():
    changed = set(variant.difference(WINNER, variant.baseline(STUDY)))
    narrower = replace(STUDY, knobs=tuple(knob for knob in SIX_KNOBS if knob.name not in changed))

    assert suggest.decision(narrower, (("first", EARLIER),)) is None


def test_a_suggestion_that_breaks_a_constraint_of_today_is_not_tried():
    name, level = next(iter(variant.difference(WINNER, variant.baseline(STUDY)).items()))
    rule = constraints.parse(f"{name} != {level}" if isinstance(level, int) else f"{name} != '{level}'")
    ruled = replace(STUDY, constraints=(rule,))

    assert suggest.assignments(STUDY, begun()) != []
    assert suggest.assignments(ruled, begun()) == []


def test_the_same_winner_of_several_runs_is_one_suggestion_and_three_are_the_most():
    made = suggest.decision(STUDY, tuple((f"run {n}", EARLIER) for n in range(9)))

    assert (len(made.content["assignments"]), made.content["runs"]) == (1, ["run 0"])


def test_another_study_in_which_the_option_is_unknown_is_passed_over():
    assert suggest.decision(quick_study(), (("first", EARLIER),)) is None
