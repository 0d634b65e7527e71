"""Studies that cannot come to anything: said before it is spent, or ended as soon as it shows, with the reason."""

from dataclasses import dataclass, field, replace

import pytest
from fakes import ERRORS, Fake, Noise, fake_study, flat, quick, quick_study, run_study

from harness.judge.verdict import Verdict
from harness.search import notices, plan
from harness.study.model import UNSET, Budget, Guard, Knob
from harness.variant import Decision, Step
from harness.window.measurement import ServerFacts, Validity


@dataclass(frozen=True)
class Telling(Fake):
    """A fake whose /metrics tells what `server` says."""

    server: ServerFacts = field(default_factory=ServerFacts)

    def run_step(self, step, n):
        return replace(super().run_step(step, n), server=self.server)


def run(study, fake):
    steps, history = run_study(study, fake)
    return [step for step in steps if isinstance(step, Step)], history, Verdict.from_json(history.decision("verdict"))


@pytest.mark.parametrize("phases", [True, False])
def test_a_budget_too_small_for_any_claim_says_what_would_suffice(phases):
    study = quick_study(budget=Budget(28, 150.0)) if phases else fake_study(budget=Budget(60, 110.0))
    planned = plan.plan(study)
    (note,) = (note for note in planned.notes if "too few for any claim" in note)
    needed = int(note.partition("give budget.windows at least ")[2].partition(" ")[0])
    minutes = int(note.partition("budget.time ")[2].partition("m")[0])
    enough = plan.plan(replace(study, budget=Budget(needed, 60.0 * minutes)))

    assert not plan.can_claim(study, planned)
    assert plan.can_claim(study, enough)
    assert (enough.pairs, enough.windows <= needed) == (5, True)


def test_a_budget_that_suffices_has_no_such_note():
    assert not any("too few" in note for note in plan.plan(quick_study()).notes)


def test_a_study_in_which_nothing_differs_needs_no_pairs_to_say_so():
    study = quick_study(knobs=(Knob("worker_threads", "runtime", (UNSET, 1), ordered=True, baseline=UNSET),))

    assert plan.can_claim(study, plan.plan(study))


def test_a_constant_objective_ends_as_same_and_says_that_it_tells_nothing_apart():
    _, history, verdict = run(quick_study(), Fake(flat, Noise(sigma=0.0)))

    assert (verdict.call, verdict.estimate, verdict.interval) == ("same", 0.0, (0.0, 0.0))
    assert "the very same p95 on both sides" in verdict.reason
    assert history.decision("freeze")["sigma"] is None
    assert history.decision("freeze")["smallest_visible"] is None
    assert verdict.smallest_visible is None


def test_a_baseline_that_cannot_run_ends_the_study_at_once():
    steps, _, verdict = run(quick_study(), Fake(quick, faults=lambda _n, _s: (Validity.FAILED, "port in use")))

    assert (len(steps), verdict.reason_code) == (2, "baseline_failed")
    assert "port in use" in verdict.reason


def test_windows_that_fail_one_after_the_other_end_a_study_that_ran_before():
    fails = lambda n, step: (Validity.FAILED, "disk full") if n > 12 and step.role == "candidate" else None  # noqa: E731
    steps, _, verdict = run(fake_study(budget=Budget(100, None)), Fake(flat, faults=fails))
    last = [step for step in steps if step.role == "candidate"][-10:]

    assert (verdict.call, verdict.judged, len(last)) == ("inconclusive", False, 10)
    assert (verdict.reason_code, "disk full" in verdict.reason, len(steps) < 60) == ("windows_fail", True, True)


@pytest.mark.parametrize(
    ("guard", "words"),
    [(ERRORS, "error_ratio at most 0.001: 0.02"), (Guard("p95", "at_most", 5.0, relative=False), "p95 at most 5: ")],
)
def test_a_baseline_that_breaks_its_own_guard_is_said_right_after_the_calibration(guard, words):
    steps, history = run_study(quick_study(guards=(guard,)), Fake(quick, Noise(1, 0.05), errors=lambda _: 0.02))
    at = next(i for i, step in enumerate(steps) if isinstance(step, Decision) and step.kind == "notice")

    assert [step.phase for step in steps[1:at]] == ["calibrate"] * 4
    assert steps[at + 1].phase == "screen"
    assert words in notices.said(history)[0]
    assert "to keep the baseline is then no safe choice" in notices.said(history)[0]


def test_a_baseline_that_keeps_its_guards_is_not_remarked_on():
    _, history = run_study(quick_study(), Fake(quick, Noise(1, 0.05)))

    assert notices.said(history) == ()


def test_a_relative_guard_is_never_broken_by_the_baseline():
    _, history = run_study(quick_study(guards=(Guard("p95", "at_most", 0.5, relative=True),)), Fake(quick))

    assert notices.said(history) == ()


def noticed(server, *, has_admin=True, form="path"):
    study = quick_study()
    study = replace(study, target=replace(study.target, form=form, has_admin=has_admin))
    return notices.said(run_study(study, Telling(quick, server=server))[1])


def test_an_own_crate_that_tells_stable_metrics_only_has_that_said_once_and_the_rest_works():
    (words,) = noticed(ServerFacts(busy_share=0.3))

    assert "nothing of the blocking pool" in words
    assert "docs/metrics.md" in words


def test_an_own_crate_whose_probe_tells_no_metrics_has_that_said_once_and_the_rest_works():
    (words,) = noticed(ServerFacts())

    assert "none of Tokio's metrics" in words


@pytest.mark.parametrize(
    ("server", "of"),
    [
        (ServerFacts(busy_share=0.3, blocking_threads_max=0.0), {}),
        (ServerFacts(), {"has_admin": False}),
        (ServerFacts(), {"form": "template"}),
    ],
    ids=["all is told", "no probe, which the study's loading says", "a template"],
)
def test_of_metrics_that_are_there_or_were_remarked_on_before_nothing_is_said(server, of):
    assert noticed(server, **of) == ()


def test_two_notices_are_each_said_once():
    study = quick_study(guards=(ERRORS,))
    study = replace(study, target=replace(study.target, form="path"))

    _, history = run_study(study, Telling(quick, Noise(1, 0.05), errors=lambda _: 0.02, server=ServerFacts()))

    assert [record.content["about"] for record in history.decisions if record.kind == "notice"] == [
        notices.BROKEN_GUARD,
        notices.METRICS_MISSING,
    ]


URING = (Knob("enable_io_uring", "runtime", (UNSET, True), ordered=False, baseline=UNSET),)


def told_of_rings(ring):
    """The notices of a study of io_uring whose service tells `ring` after the load of each window that enables it."""

    @dataclass(frozen=True)
    class WithRing(Fake):
        def run_step(self, step, n):
            shown = {"io_uring": ring} if step.variant.values.get("enable_io_uring") else {}
            return replace(super().run_step(step, n), in_force=shown)

    return run_study(quick_study(knobs=URING), WithRing(flat, Noise(1)))


def test_an_io_uring_that_is_forbidden_is_said_once_after_the_first_window_that_asks_for_it():
    steps, history = told_of_rings(ring=False)
    at = next(i for i, step in enumerate(steps) if isinstance(step, Decision) and step.kind == "notice")

    (words,) = notices.said(history)
    assert "no-op here" in words
    assert [step.variant.values.get("enable_io_uring") for step in steps[1:at]].count(True) == 1


@pytest.mark.parametrize("ring", [True, None], ids=["open", "not told"])
def test_of_an_io_uring_that_is_open_or_not_told_nothing_is_said(ring):
    _, history = told_of_rings(ring)

    assert notices.said(history) == ()
