"""One variable at a time as a product of its own: effects only, and whether the single winners add up."""

import math

import pytest
from fakes import Fake, Noise, fake_study, run_study, surface

from harness import search
from harness.judge import effects, interaction
from harness.judge.verdict import Verdict
from harness.search import plan
from harness.study.model import Budget, Phases
from harness.variant import Decision

PHASES = Phases(calibrate=6, screen=6, search=0, race=0, confirm=0, interaction=8)


def study_of(phases=PHASES, seed=1):
    made = fake_study(seed=seed, phases=phases)
    return fake_study(seed=seed, phases=phases, budget=Budget(plan.plan(made).windows, None))


def ground(beyond):
    """Two winners of 20 % each; together they make `beyond` (ln units) of a difference besides."""

    def y_of(values):
        workers = values.get("worker_threads", 4) != 4
        events = values.get("event_interval", 61) != 61
        return -0.22 * workers - 0.22 * events + beyond * (workers and events), 0.0

    return y_of


def checked(beyond, seed=1, sigma=0.03):
    study = study_of(seed=seed)
    steps, history = run_study(study, Fake(ground(beyond), Noise(seed, sigma=sigma)))
    found = interaction.singles(study, effects.screen(study, history))
    return interaction.check(study, found, history.windows), steps, history


def test_an_effects_only_study_ends_with_its_table_and_confirms_nothing():
    study = study_of()
    steps, history = run_study(study, Fake(surface("flat", 1), Noise(1, sigma=0.03)))
    verdict = Verdict.from_json(history.decision("verdict"))

    assert {step.phase for step in steps if not isinstance(step, Decision)} == {"calibrate", "screen"}
    assert (verdict.reason_code, verdict.judged, verdict.winner) == ("effects_only", True, {})
    assert all(row.words.startswith("not resolved (smaller than") for row in effects.screen(study, history))


def test_it_can_be_run_though_it_can_make_no_claim():
    study = study_of()

    assert plan.can_claim(study, plan.plan(study))
    assert not any("too few" in note for note in plan.plan(study).notes)


@pytest.mark.parametrize(("beyond", "call"), [(0.22, "less than the sum"), (-0.22, "more than the sum")])
def test_a_planted_interaction_is_found(beyond, call):
    seen, *_ = checked(beyond)

    assert seen.interaction.call == call
    assert seen.interaction.interval[0] < 1 - math.exp(beyond) < seen.interaction.interval[1]
    assert set(seen.levels) == {"worker_threads", "event_interval"}


def test_what_adds_up_is_rarely_called_an_interaction_and_its_interval_covers_nothing_at_all():
    calls = [checked(0.0, seed)[0].interaction.call for seed in range(1, 41)]

    assert calls.count("not resolved") >= 31  # 36 of 40 are expected of a 90 % interval


def test_the_winners_are_measured_afresh_and_only_their_own_blocks_tell():
    seen, _, history = checked(0.22)
    again = interaction.check(
        study_of(),
        interaction.singles(study_of(), effects.screen(study_of(), history)),
        history.of_phase("interaction"),
    )

    assert again == seen
    assert {record.schedule_seed for record in history.of_phase("interaction")}.isdisjoint(
        record.schedule_seed for record in history.of_phase("screen")
    )


def test_the_plan_has_windows_for_it_and_is_not_exceeded():
    study = study_of()
    _, _, history = checked(0.22)
    made = plan.plan(study)

    assert made.at_most_together == 8 * (len(study.knobs) + 2)
    assert len(history.of_phase("interaction")) == 8 * 4
    assert len(history.windows) <= made.windows
    assert any("single winners together 8 x at most" in line for line in plan.in_words(study, made))


def test_no_window_of_it_is_run_where_fewer_than_two_knobs_win_alone():
    _, history = run_study(study_of(), Fake(surface("flat", 1), Noise(1, sigma=0.03)))

    assert history.of_phase("interaction") == ()


def test_every_prefix_names_the_step_that_was_run():
    study = study_of()
    steps, history = run_study(study, Fake(ground(0.22), Noise(1, sigma=0.03)))
    windows = 0
    for at, step in enumerate(steps):
        prefix = history.model_copy(
            update={"windows": history.windows[:windows], "decisions": history.decisions[: at - windows]}
        )
        assert search.next_step(study, prefix) == step
        windows += not isinstance(step, Decision)
