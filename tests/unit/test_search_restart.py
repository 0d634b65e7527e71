"""A host that moves while calibration or screen runs: the block is measured again, and what moved is told."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from fakes import Fake, Noise, fake_study, flat, run_study
from test_search_resume import prefixes, reread

from harness import search
from harness.judge import steps
from harness.search import plan, restart, seeds
from harness.study.model import Budget

STUDY = fake_study(budget=Budget(100, None))


@dataclass(frozen=True)
class Stepping(Noise):
    """A host that is slower by `shift` (ln units) from window `at` on."""

    at: int = 0
    shift: float = 0.0

    def of_window(self, n, schedule_seed):
        y, t = super().of_window(n, schedule_seed)
        return y + (self.shift if n >= self.at else 0.0), t


def moved(at, shift=1.0):
    return run_study(STUDY, Fake(flat, Stepping(1, 0.05, at=at, shift=shift)))[1]


@pytest.mark.parametrize(("at", "phase"), [(9, "calibrate"), (11, "screen")])
def test_a_step_restarts_the_running_block_and_keeps_what_was_measured(at, phase):
    history = moved(at)
    (made,) = history.restarts
    aside = [record for record in history.windows if record.n in history.set_aside]
    again = [record for record in history.of_phase(phase) if record.block == made["block"]]
    since = min(record.n for record in history.windows if record.role == "baseline" and record.n >= at)

    assert (made["phase"], made["block"]) == (phase, 0)
    assert {record.phase for record in aside} == {phase}
    assert all(record.n < min(fresh.n for fresh in again) for record in aside)
    assert f"The host moved at window {since}:" in made["words"]
    assert history.decision("verdict") is not None


def test_the_plan_says_how_many_windows_a_host_that_moves_may_cost():
    small, long = fake_study(budget=Budget(40, None)), fake_study(budget=Budget(100, None))
    extra = (
        "should the host move, the running block of calibration or screen is measured again: at most 26 windows more"
    )

    assert extra in plan.in_words(long, plan.plan(long))
    assert not any("host move" in line for line in plan.in_words(small, plan.plan(small)))


@dataclass(frozen=True)
class Restless(Noise):
    """A host that moves again and again."""

    def of_window(self, n, schedule_seed):
        y, t = super().of_window(n, schedule_seed)
        return y + 2.0 * (n // 14), t


def test_a_host_that_moves_again_and_again_costs_no_more_than_that():
    study = replace(STUDY, guards=())
    made = plan.plan(study)
    _, history = run_study(study, Fake(flat, Restless(1, 0.02)))

    assert 0 < len(history.set_aside) <= restart.most_windows(made)


def test_a_block_that_was_measured_again_is_whole():
    still = run_study(STUDY, Fake(flat, Noise(1, 0.05)))[1]

    for at in (9, 11):
        for phase in ("calibrate", "screen"):
            assert len(moved(at).of_phase(phase)) == len(still.of_phase(phase))


def test_a_host_that_stands_still_restarts_nothing():
    assert run_study(STUDY, Fake(flat, Noise(1, 0.05)))[1].restarts == ()


def test_a_step_in_the_search_is_told_and_restarts_nothing():
    arrivals = seeds.exploring_arrivals(STUDY, 0)
    still = run_study(STUDY, Fake(flat, Noise(1, 0.05)))[1]
    bases = [one.n for one in still.of_phase("search") if one.role == "baseline" and one.schedule_seed == arrivals]
    history = moved(bases[0])

    assert history.restarts == ()
    assert any("The host moved at window" in words for words in restart.said(STUDY, history))
    assert restart.said(STUDY, still) == ()


def test_every_prefix_of_a_ledger_with_a_restart_names_the_step_that_was_run():
    taken, history = run_study(STUDY, Fake(flat, Stepping(1, 0.05, at=11, shift=1.0)))

    assert [search.next_step(STUDY, prefix) for prefix in prefixes(reread(history))] == [*taken, None]


def test_one_outlier_is_no_step_and_two_in_a_row_are_one():
    quiet = [0.0, 0.02, -0.01, 0.01, -0.02, 0.015, 0.0, 0.01]

    assert steps.steps([*quiet, 1.0, 0.0, 0.01]) == []
    assert steps.steps([*quiet, 1.0, -1.0, 0.01]) == []
    assert [found.at for found in steps.steps([*quiet, 1.0, 1.1, 1.0])] == [8]


@pytest.mark.parametrize("after", [13, 12.01])
def test_a_figure_that_reads_the_very_same_in_most_windows_makes_no_step(after):
    assert steps.steps([12] * 6 + [after] * 2) == []


def test_steps_are_seldom_seen_where_none_is_and_large_ones_usually():
    chance = np.random.default_rng(5)
    still = [steps.steps(list(chance.standard_normal(17))) for _ in range(1000)]
    large = [steps.steps([*chance.standard_normal(10), *(10 + chance.standard_normal(7))]) for _ in range(300)]

    assert sum(map(bool, still)) <= 25
    assert sum(any(found.at == 10 for found in each) for each in large) >= 240


def test_a_drift_is_told_with_its_size_and_noise_is_not():
    chance = np.random.default_rng(6)
    up = [0.02 * n + 0.02 * chance.standard_normal() for n in range(20)]

    assert steps.drift(up) == pytest.approx(0.38, abs=0.08)
    assert sum(steps.drift(list(chance.standard_normal(20))) is not None for _ in range(300)) <= 12
