"""Constraints in the search: nothing that breaks one is planned, screened, proposed, raced or confirmed."""

from dataclasses import replace

import pytest
from fakes import SIX_KNOBS, Fake, Noise, fake_study, quick, quick_study, run_study, surface

from harness import variant
from harness.judge.effects import one_offs
from harness.judge.verdict import Verdict
from harness.search import plan
from harness.study import constraints
from harness.study.model import UNSET, Budget, Knob
from harness.variant import Step


def ruled(study, *texts):
    return replace(study, constraints=tuple(constraints.parse(text) for text in texts))


@pytest.mark.parametrize("seed", range(3))
def test_no_step_ever_breaks_a_constraint(seed):
    study = ruled(
        fake_study(seed=seed, budget=Budget(60, None)),
        "worker_threads * 16 <= max_blocking_threads",
        "event_interval > 20 or flavor == 'current_thread'",
    )
    steps, _ = run_study(study, Fake(surface("additive", seed), Noise(seed)))
    tried = {step.variant.id: step.variant for step in steps if isinstance(step, Step)}

    assert len(tried) > 10
    assert [made.values for made in tried.values() if not variant.permitted(study, made)] == []


def test_without_the_rule_the_same_searches_do_break_it():
    study = ruled(fake_study(), "worker_threads * 16 <= max_blocking_threads")
    broken = 0
    for seed in range(3):
        free = fake_study(seed=seed, budget=Budget(60, None))
        steps, _ = run_study(free, Fake(surface("additive", seed), Noise(seed)))
        broken += sum(not variant.permitted(study, step.variant) for step in steps if isinstance(step, Step))

    assert broken > 0


def test_single_levels_that_break_one_are_not_screened_and_the_plan_says_how_many():
    free = fake_study()
    study = ruled(free, "worker_threads <= 4")
    planned = plan.plan(study)

    assert {(o.knob, o.level) for o in one_offs(free)} - {(o.knob, o.level) for o in one_offs(study)} == {
        ("worker_threads", 12)
    }
    assert planned.one_offs == plan.plan(free).one_offs - 1
    assert "The constraints leave 1 of 11 single levels out" in " ".join(planned.notes)


def test_the_plan_counts_only_permitted_variants():
    knobs = (
        Knob("worker_threads", "runtime", (2, UNSET, 8), ordered=True, baseline=UNSET),
        Knob("max_blocking_threads", "runtime", (8, UNSET), ordered=True, baseline=UNSET),
    )
    study = fake_study(knobs=knobs, cpus=4, budget=Budget(60, None))

    assert plan.plan(study).finalists == 2
    assert plan.plan(ruled(study, "worker_threads == unset")).finalists == 1


def test_a_large_space_in_which_little_is_permitted_is_not_searched_longer_than_it_is():
    study = ruled(
        fake_study(knobs=SIX_KNOBS[:4], budget=Budget(100, None)),
        "worker_threads == unset and max_blocking_threads == unset and thread_keep_alive == unset",
    )

    assert plan.plan(study).search <= 2


def test_constraints_that_leave_nothing_are_said_before_the_first_window_and_end_as_same():
    study = ruled(quick_study(), "worker_threads == unset and max_blocking_threads == unset", "fraud_check == 'inline'")
    steps, history = run_study(study, Fake(quick))
    verdict = Verdict.from_json(history.decision("verdict"))

    assert "another program than the baseline that its constraints permit" in " ".join(plan.plan(study).notes)
    assert {step.phase for step in steps if isinstance(step, Step)} == {"calibrate"}
    assert (verdict.call, "or breaks a constraint" in verdict.reason) == ("same", True)


@pytest.mark.slow
def test_where_the_sampler_finds_nothing_that_is_permitted_a_permitted_draw_stands_in():
    rare = "worker_threads == 16 and max_blocking_threads == 8 and event_interval == 511 or worker_threads == unset"
    study = ruled(fake_study(knobs=(SIX_KNOBS[0], SIX_KNOBS[1], SIX_KNOBS[4])), rare)
    steps, _ = run_study(study, Fake(surface("flat", 1)))

    assert all(variant.permitted(study, step.variant) for step in steps if isinstance(step, Step))
