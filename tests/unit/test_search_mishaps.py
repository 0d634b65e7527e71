"""Windows that are invalid or fail, guards that break, time that runs out: what is run again, and when a run ends."""

from dataclasses import replace

import pytest
from fakes import ERRORS, QUICK_KNOBS, QUICK_PHASES, Fake, Noise, flat, quick, quick_study, run_study

from harness.judge.verdict import Verdict
from harness.search import cells, ending, joint
from harness.study.model import UNSET, Budget, Knob, Objective
from harness.variant import Step
from harness.window.measurement import Validity

INVALID = Validity.INVALID


def run(fault, study=None, surface=quick, **of_fake):
    study = study or quick_study()
    steps, history = run_study(study, Fake(surface, faults=fault, **{"noise": Noise(1, 0.05), **of_fake}))
    return [step for step in steps if isinstance(step, Step)], history, Verdict.from_json(history.decision("verdict"))


def spoil(validity, when):
    return lambda n, step: (validity, "spoiled by the test") if when(n, step) else None


def is_winner(step):
    return step.phase == "confirm" and step.role == "candidate"


def test_an_invalid_window_is_run_again_once():
    steps, _, _ = run(spoil(Validity.INVALID, lambda _n, s: (s.phase, s.position) == ("calibrate", 2)))
    attempts = [step.attempt for step in steps if (step.phase, step.position) == ("calibrate", 2)]

    assert attempts == [0, 1]


def test_the_second_attempt_asks_for_the_very_same_window():
    steps, _, _ = run(spoil(Validity.INVALID, lambda _n, s: (s.phase, s.position, s.attempt) == ("search", 3, 0)))
    first, second = [step for step in steps if (step.phase, step.position) == ("search", 3)]

    assert replace(first, attempt=1) == second


def test_a_variant_that_fails_twice_is_infeasible_and_not_run_in_the_next_block():
    steps, _, _ = run(spoil(Validity.FAILED, lambda _n, s: s.variant.values.get("max_blocking_threads") == 8))
    blocks = [s.block for s in steps if s.phase == "screen" and s.variant.values.get("max_blocking_threads") == 8]

    assert blocks == [0, 0]


def test_a_failing_variant_is_told_as_infeasible_with_the_worst_value_so_far():
    slow_workers = lambda values: (1.0 if values.get("worker_threads") == 8 else 0.0, 0.0)  # noqa: E731
    fault = spoil(Validity.FAILED, lambda _n, s: (s.phase, s.position) == ("search", 3))
    _, history, _ = run(fault, surface=slow_workers)
    *rows, failed = joint.told(quick_study(), history)

    assert (failed.constraints["failed"], failed.value) == (1.0, max(row.value for row in rows))
    assert failed.value == pytest.approx(1.0, abs=0.3)


def test_a_variant_that_cannot_run_is_not_proposed_again():
    fault = spoil(Validity.FAILED, lambda _n, s: s.variant.values.get("fraud_check") == "spawn_blocking")
    again = []
    for seed in range(12):
        steps, _, _ = run(fault, quick_study(seed=seed, knobs=QUICK_KNOBS[:2]), flat)
        failed = [step.variant.id for step in steps if step.phase == "screen" and step.attempt == 1]
        again += [step for step in steps if step.phase == "search" and step.variant.id in failed]

    assert again == []


def test_an_invalid_window_is_not_told_and_not_infeasible():
    _, history, _ = run(spoil(Validity.INVALID, lambda _n, s: (s.phase, s.position) == ("search", 1)))
    searched = [row for row in joint.told(quick_study(), history) if row.constraints["failed"] > 0]

    assert (searched, len(joint.told(quick_study(), history))) == ([], 1 + 6 + 3)


def test_a_baseline_that_fails_twice_ends_the_run_with_its_reason():
    steps, _, verdict = run(spoil(Validity.FAILED, lambda _n, s: s.role == "baseline"))

    assert (len(steps), verdict.call, verdict.reason_code, verdict.judged) == (
        2,
        "inconclusive",
        "baseline_failed",
        False,
    )
    assert "spoiled by the test" in verdict.reason


def test_five_invalid_windows_in_a_row_mean_that_the_machine_is_not_ready():
    steps, _, verdict = run(spoil(Validity.INVALID, lambda n, _s: n > 6))

    assert (len(steps), verdict.reason_code) == (11, "machine_not_ready")


def test_no_candidate_that_ever_runs_ends_the_run():
    _, _, verdict = run(spoil(Validity.FAILED, lambda _n, s: s.role == "candidate"))

    assert (verdict.call, verdict.reason_code, verdict.winner) == ("inconclusive", "no_candidate", {})


def test_where_every_candidate_breaks_the_limit_on_errors_nothing_is_confirmed():
    errors = {"errors": lambda values: 0.5 if values != {"fraud_check": "inline"} else 0.0}
    steps, _, verdict = run(lambda _n, _s: None, **errors)

    assert (verdict.reason_code, any(step.phase == "confirm" for step in steps)) == ("no_candidate", False)


@pytest.mark.parametrize("seed", range(6))
def test_a_spoiled_half_makes_both_halves_run_again_with_the_next_flip(seed):
    fault = spoil(Validity.INVALID, lambda _n, s: (s.phase, s.position, s.attempt) == ("confirm", 1, 0) and s.block % 2)
    steps, history, _ = run(fault, quick_study(seed=seed))
    pairs = [step for step in steps if step.phase == "confirm"]
    flips = history.decision("freeze")["flips"]

    assert [(s.attempt, s.position) for s in pairs if s.block == 1] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [s.role == "candidate" for s in pairs if s.position == 0] == flips[:9]
    assert [s.role == "baseline" for s in pairs if s.position == 1] == flips[:9]


def test_a_spoiled_first_half_is_not_followed_by_its_second():
    steps, _, _ = run(
        spoil(Validity.INVALID, lambda _n, s: (s.phase, s.block, s.position, s.attempt) == ("confirm", 1, 0, 0))
    )
    again = [(step.attempt, step.position) for step in steps if step.phase == "confirm" and step.block == 1]

    assert again == [(0, 0), (1, 0), (1, 1)]


def test_a_pair_that_is_invalid_twice_is_lost_and_said_to_be():
    _, _, verdict = run(spoil(Validity.INVALID, lambda _n, s: (s.phase, s.block, s.position) == ("confirm", 1, 1)))

    assert (verdict.call, verdict.pairs) == ("better", 5)
    assert "1 of 6 planned pairs were lost" in verdict.reason


def test_too_few_usable_pairs_are_inconclusive_however_fast_the_winner_is():
    _, _, verdict = run(spoil(Validity.INVALID, lambda _n, s: s.phase == "confirm" and s.block < 2 and s.position == 1))

    assert (verdict.call, verdict.reason_code, verdict.judged, verdict.pairs) == (
        "inconclusive",
        "too_few_pairs",
        False,
        4,
    )


def test_a_winner_that_fails_twice_in_the_confirmation_is_unstable():
    _, _, verdict = run(spoil(Validity.FAILED, lambda _n, s: is_winner(s) and s.block in {1, 3}))

    assert (verdict.call, verdict.reason_code) == ("inconclusive", "winner_unstable")
    assert verdict.reason.startswith("Not confirmed: unstable")


def test_a_winner_that_fails_once_may_still_win():
    _, _, verdict = run(spoil(Validity.FAILED, lambda _n, s: is_winner(s) and s.block == 1 and s.attempt == 0))

    assert (verdict.call, verdict.pairs) == ("better", 6)


def test_a_baseline_that_fails_twice_in_the_confirmation_ends_it():
    fault = spoil(Validity.FAILED, lambda _n, s: s.phase == "confirm" and s.role == "baseline")
    _, _, verdict = run(fault)

    # On this surface more workers change nothing once the check is off the runtime: either variant is truly the best.
    assert (verdict.reason_code, verdict.winner["fraud_check"]) == ("baseline_failed", "spawn_blocking")


def test_a_winner_that_breaks_a_guard_is_not_better():
    study = quick_study(guards=(replace(ERRORS, metric="peak_rss", limit=1.0),))
    _, _, verdict = run(lambda _n, _s: None, study)

    assert (verdict.call, verdict.reason_code) == ("inconclusive", "guard_broken")


def test_an_objective_that_no_baseline_window_gives_ends_the_run():
    _, _, verdict = run(lambda _n, _s: None, quick_study(objective=Objective("minimize", "cpu_per_request")))

    assert (verdict.reason_code, verdict.judged) == ("not_measured", False)


def test_levels_that_all_make_the_baseline_end_as_same():
    study = quick_study(knobs=(Knob("worker_threads", "runtime", (UNSET, 1), ordered=True, baseline=UNSET),))
    steps, _, verdict = run(lambda _n, _s: None, study)

    assert ({step.phase for step in steps}, verdict.call) == ({"calibrate"}, "same")


def test_when_time_gets_short_the_search_stops_for_the_sake_of_the_pairs():
    study = quick_study(budget=Budget(28, 330.0))
    steps, _, verdict = run(lambda _n, _s: None, study, window_s=14.0)
    phases = [step.phase for step in steps]

    assert (phases.count("confirm"), phases.count("search"), verdict.call) == (12, 0, "better")


def test_no_window_starts_that_would_outlast_the_time():
    study = quick_study(budget=Budget(28, 330.0))
    steps, history, _ = run(lambda _n, _s: None, study, window_s=14.0)

    assert history.windows[-1].ended - history.windows[0].started == len(steps) * 15.0 - 1.0 <= 330.0


def after(*times, refused=()):
    """Return a ledger whose windows have these times; those with a number in `refused` are INVALID."""
    _, history = run_study(quick_study(), Fake(quick))
    windows = tuple(
        one.model_copy(update={"started": begun, "ended": over} | ({"validity": INVALID} if one.n in refused else {}))
        for one, (begun, over) in zip(history.windows, times, strict=False)
    )
    return history.model_copy(update={"windows": windows})


@pytest.mark.parametrize(("windows", "fits"), [(2, True), (3, False)])
def test_the_wait_before_a_window_is_tried_again_is_time_of_the_budget(windows, fits):
    study = quick_study(budget=Budget(28, 100.0))

    assert ending.has_time_for(study, after((0, 10), (50, 60), (61, 71), refused={1}), windows) is fits


@pytest.mark.parametrize(("refused", "counted_s"), [((), 5), ({2}, 65), ({1, 2}, 125)])
def test_the_time_in_which_a_run_lay_still_counts_as_no_more_than_the_longest_wait(refused, counted_s):
    resumed = after((0, 10), (10, 20), (10_000, 10_010), refused=refused)
    study = quick_study(budget=Budget(28, 30 + counted_s + 70.0))

    assert ending.has_time_for(study, resumed, 7)
    assert not ending.has_time_for(study, resumed, 8)


@pytest.mark.parametrize(
    ("validities", "seconds"), [("", 0), ("V", 0), ("I", 60), ("VI", 60), ("IVI", 60), ("VIII", 240), ("IIIIIII", 480)]
)
def test_each_further_invalid_window_in_a_row_doubles_the_wait_for_a_quiet_host(validities, seconds):
    refused = {n for n, letter in enumerate(validities, 1) if letter == "I"}
    history = after(*[(n, n + 1) for n in range(len(validities))], refused=refused)

    assert cells.quiet_limit_s(history.windows) == seconds


@pytest.mark.parametrize("seconds", [15.0, 45.0, 95.0])
def test_time_over_before_any_pair_is_inconclusive(seconds):
    _, _, verdict = run(lambda _n, _s: None, quick_study(budget=Budget(28, seconds)))

    assert (verdict.call, verdict.judged) == ("inconclusive", False)


class _SlowPairs(Fake):
    """A fake whose windows take longer once the pairs begin."""

    def run_step(self, step, n):
        made = super().run_step(step, n)
        return replace(made, ended=made.started + 25.0) if step.phase == "confirm" else made


def test_time_over_in_the_pairs_gives_a_last_look_at_what_there_is():
    _, history = run_study(quick_study(budget=Budget(28, 320.0)), _SlowPairs(quick, Noise(1, 0.05)))
    verdict = Verdict.from_json(history.decision("verdict"))

    assert 0 < verdict.pairs < 6
    assert f"{6 - verdict.pairs} of 6 planned pairs were lost or not run" in verdict.reason


def test_time_over_before_the_first_of_two_looks_gives_one_look_with_the_whole_error_budget():
    study = quick_study(budget=Budget(48, 450.0), phases=replace(QUICK_PHASES, confirm=16))
    _, history = run_study(study, _SlowPairs(quick, Noise(1, 0.05)))
    frozen, look = history.decision("freeze"), history.decision("look")
    verdict = Verdict.from_json(history.decision("verdict"))

    assert (frozen["looks"], frozen["alphas"], look["number"], look["final"]) == ([8, 16], [0.01, 0.04], 1, True)
    assert (look["alpha"], look["planned"], 5 <= look["pairs"] < 7) == (0.05, 16, True)
    assert frozen["if_time_ends"] == "before the first look: one look at the pairs there are, at 5%"
    assert verdict.call == "better"


def test_time_over_after_the_first_look_leaves_the_second_what_was_declared_for_it():
    study = quick_study(budget=Budget(48, 700.0), phases=replace(QUICK_PHASES, confirm=16))
    _, history = run_study(study, _SlowPairs(flat, Noise(1, 0.05)))
    looks = [record.content for record in history.decisions if record.kind == "look"]

    assert [(look["alpha"], look["final"]) for look in looks] == [(0.01, False), (0.04, True)]
    assert 8 < looks[-1]["pairs"] < looks[-1]["planned"] == 16


def test_a_variant_that_breaks_the_limit_on_errors_is_not_the_one_that_is_confirmed():
    errors = {"errors": lambda values: 0.5 if values["fraud_check"] == "spawn_blocking" else 0.0}
    _, _, verdict = run(lambda _n, _s: None, **errors)

    assert (verdict.call, verdict.winner["worker_threads"]) == ("better", 8)
