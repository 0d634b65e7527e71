"""Knobs that cannot matter: found in the calibration, left out with a reason, and their windows put to better use."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
from fakes import QUICK_KNOBS, QUICK_PHASES, SIX_KNOBS, Fake, Noise, fake_study, flat, run_study, surface

from harness.diagnose import inert as diagnosis
from harness.judge.verdict import Verdict
from harness.search import inert, plan
from harness.study.model import Budget
from harness.variant import Decision, Step
from harness.window.measurement import Validity

POOL = {"max_blocking_threads", "thread_keep_alive"}
STUDY = fake_study(budget=Budget(100, None))


@dataclass(frozen=True)
class WithThreads(Fake):
    """A fake whose process has `threads` threads beside those of its workers; None: nobody counted them."""

    threads: int | None = 2

    def run_step(self, step, n):
        made = super().run_step(step, n)
        if made.figures is None:
            return made
        workers = step.variant.values.get("worker_threads", 4)
        count = None if self.threads is None else workers + self.threads
        in_force = {"flavor": "multi_thread", "workers": workers}
        return replace(made, figures=replace(made.figures, threads=count), in_force=in_force)


def run(study=STUDY, threads=2, shape=None, **of_fake):
    steps, history = run_study(study, WithThreads(shape or surface("single", 1), Noise(1), threads=threads, **of_fake))
    return steps, history, Verdict.from_json(history.decision("verdict"))


def windows(steps, phase):
    return [step for step in steps if isinstance(step, Step) and step.phase == phase]


def test_without_blocking_work_the_pools_knobs_are_left_out_right_after_the_calibration():
    steps, history, _ = run()
    at = next(i for i, step in enumerate(steps) if isinstance(step, Decision) and step.kind == "inert")

    assert [step.phase for step in steps[1:at]] == ["calibrate"] * 10
    assert inert.skipped(history).keys() == POOL
    assert all("no blocking work under this load" in reason for reason in inert.skipped(history).values())


def test_no_window_tries_a_knob_that_was_left_out():
    steps, _, _ = run()
    tried = {name for step in steps if isinstance(step, Step) for name in step.variant.values}

    assert not tried & POOL
    assert "worker_threads" in tried


def test_the_windows_saved_are_said_and_become_pairs():
    steps, history, _ = run()
    planned, decided = plan.plan(STUDY), history.decision("inert")

    assert decided["windows_saved"] == planned.screen - len(windows(steps, "screen")) == 4
    assert history.decision("freeze")["pairs"] == planned.pairs + 2
    assert "This saves 4 windows; they become 2 more pairs." in inert.words(history)


def test_in_a_study_with_phases_of_its_own_the_saved_windows_are_not_run():
    phases = replace(QUICK_PHASES, calibrate=4, screen=2)
    study = fake_study(knobs=SIX_KNOBS[:3], phases=phases)
    steps, history, _ = run(study)

    assert len(windows(steps, "screen")) == plan.plan(study).screen - history.decision("inert")["windows_saved"]
    assert history.decision("freeze")["pairs"] == 6


def test_where_every_knob_is_inert_the_study_ends_with_that():
    study = fake_study(knobs=SIX_KNOBS[1:3])
    steps, history, verdict = run(study)

    assert {step.phase for step in steps if isinstance(step, Step)} == {"calibrate"}
    assert (verdict.call, verdict.reason_code, verdict.judged) == ("inconclusive", "all_inert", True)
    assert "No knob of this study can matter here" in verdict.reason
    assert history.decision("inert")["windows_saved"] == plan.plan(study).windows - plan.plan(study).calibrate


@pytest.mark.parametrize("threads", [3, 9, None])
def test_a_thread_too_many_or_an_unknown_number_leaves_every_knob_in(threads):
    _, history, _ = run(threads=threads)

    assert inert.skipped(history) == {}


def test_one_busy_window_is_enough_to_leave_every_knob_in():
    steps, history = run_study(STUDY, WithThreads(flat, Noise(1)))
    calibration = list(history.of_phase("calibrate"))
    calibration[4] = calibration[4].model_copy(update={"metrics": replace(calibration[4].metrics, threads=7)})

    assert diagnosis.knobs(STUDY, calibration) == {}
    assert diagnosis.knobs(STUDY, history.of_phase("calibrate")).keys() == POOL
    assert steps


def test_a_searched_option_may_bring_blocking_work_so_nothing_is_inert():
    _, history, _ = run(fake_study(knobs=QUICK_KNOBS, phases=QUICK_PHASES))

    assert inert.skipped(history) == {}


def test_an_own_crate_may_have_threads_of_its_own_so_its_threads_tell_nothing():
    own = replace(STUDY, target=replace(STUDY.target, form="path"))
    _, history = run_study(STUDY, WithThreads(flat, Noise(1)))

    assert diagnosis.knobs(own, history.of_phase("calibrate")) == {}


@pytest.mark.parametrize(("most", "idle"), [(0, True), (3, False), (None, False)])
def test_the_runtimes_own_count_is_believed_before_the_number_of_threads(most, idle):
    seen = {"metrics": SimpleNamespace(threads=99), "server": SimpleNamespace(blocking_threads_max=most)}
    window = SimpleNamespace(validity=Validity.VALID, in_force={"workers": 4}, **seen)

    assert bool(diagnosis.knobs(STUDY, [window] * 4)) is idle


def test_too_few_usable_windows_make_nothing_inert():
    _, history = run_study(STUDY, WithThreads(flat, Noise(1)))

    assert diagnosis.knobs(STUDY, history.of_phase("calibrate")[:2]) == {}


@pytest.mark.parametrize(
    ("rings", "is_no_op"),
    [([False, False], True), ([None, False], True), ([False, True], False), ([None], False), ([], False)],
)
def test_io_uring_is_a_no_op_where_it_was_told_to_be_open_in_no_window_that_enables_it(rings, is_no_op):
    windows = [SimpleNamespace(values={"enable_io_uring": True}, in_force={"io_uring": ring}) for ring in rings]
    baseline = SimpleNamespace(values={}, in_force={"io_uring": True})

    assert diagnosis.no_ring([baseline, *windows]) == is_no_op
