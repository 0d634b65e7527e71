import canned_run
import pytest

from harness.judge import verdict
from harness.report import formats, read, tables, words


def told(folder):
    return read.run(folder)


def test_a_win_is_told_with_its_lower_bound_and_its_chance_of_being_false(tmp_path):
    run = told(canned_run.write(tmp_path))

    assert words.headline(run) == "p95 at least 74.3 % lower with fraud_check = spawn_blocking"
    assert words.remarks(run) == (words.FALSE_CLAIMS,)


def test_the_evidence_names_estimate_interval_pairs_p_guards_and_what_could_be_seen(tmp_path):
    facts = words.evidence(told(canned_run.write(tmp_path)))

    assert tuple(fact.replace(formats.MINUS, "-") for fact in facts) == (
        "best estimate -74.9 %",
        "90 % interval -75.6 to -74.3 %",
        "6 of 6 pairs usable",
        "exact signed-rank p = 0.016, one-sided, limit 0.05",
        "every guard holds",
        "changes from 9 % on would very likely have been seen",
    )


def test_a_loss_is_told_as_worse(tmp_path):
    def slow_pool(values):
        return 20.0 if values.get("max_blocking_threads") == 8 else 12.0

    run = told(canned_run.write(tmp_path, tested=canned_run.SMALL_POOL, true_ms=slow_pool))

    assert words.headline(run) == "Worse: p95 at least 62 % higher with max_blocking_threads = 8"


def test_a_difference_within_min_effect_is_no_change(tmp_path):
    run = told(canned_run.write(tmp_path, true_ms=lambda _: 12.0))

    assert words.headline(run) == "No change: any difference in p95 with fraud_check = spawn_blocking lies within 5 %"


def test_what_pairs_cannot_tell_is_no_change(tmp_path):
    run = told(canned_run.write(tmp_path, true_ms=lambda _: 12.0, changes={"min_effect": 0.001}))

    assert words.headline(run) == (
        "No change: 6 fresh pairs neither show a gain in p95 with fraud_check = spawn_blocking nor rule one out"
    )


def test_a_run_without_a_verdict_is_unfinished_and_can_go_on(tmp_path):
    run = told(canned_run.write(tmp_path, spoil=lambda n, made: made if n < 18 else None, finished=False))

    assert words.headline(run) == "Unfinished: 17 of 28 windows are measured, and there is no verdict yet"
    assert words.next_steps(run, ()) == ("Go on with the run: harness optimize quickstart.yaml --resume",)


@pytest.mark.parametrize("code", sorted(verdict.UNJUDGED | {"winner_unstable", "no_candidate"}))
def test_a_run_that_was_not_judged_says_no_change_and_its_whole_reason(tmp_path, code):
    folder = canned_run.write(tmp_path, finished=False)
    canned_run.decide(folder, verdict.ended(code, "The whole reason."))
    run = told(folder)

    assert f"No change: {words.UNJUDGED[code]}" == words.headline(run)
    assert words.remarks(run) == ("The whole reason.",)


def test_a_gain_under_min_effect_says_so(tmp_path):
    run = told(canned_run.write(tmp_path, changes={"min_effect": 0.75}))

    assert run.recommends_winner
    assert "The gain may be less than the 75 % that the study asks for (min_effect)." in words.remarks(run)


def test_beside_advice_on_worker_threads_stands_where_it_was_found(tmp_path):
    run = told(canned_run.write(tmp_path, tested=canned_run.BOTH))

    assert "worker_threads: found on 1 core, re-run on yours." in words.remarks(run)


def test_a_knob_whose_own_effect_was_not_resolved_is_called_probably_not_needed(tmp_path):
    tested = {**canned_run.BLOCKING, "max_blocking_threads": 8}
    run = told(canned_run.write(tmp_path, tested=tested))
    effects = tuple(row.effect for row in tables.effects(run))

    assert any("Probably not needed: max_blocking_threads" in step for step in words.next_steps(run, effects))


def test_a_maximised_objective_is_higher_when_better(tmp_path):
    objective = {"direction": "maximize", "metric": "p95", "of": None}
    run = told(
        canned_run.write(
            tmp_path, true_ms=lambda values: 200 / canned_run.p95_ms(values), changes={"objective": objective}
        )
    )

    assert words.headline(run).startswith("p95 at least 2")
    assert words.headline(run).endswith("higher with fraud_check = spawn_blocking")


def test_a_real_gain_that_is_surely_smaller_than_what_is_asked_for_is_not_recommended(tmp_path):
    folder = canned_run.write(tmp_path, changes={"min_effect": 0.99})
    run = told(folder)

    assert run.verdict.call == "better"
    assert not run.recommends_winner
    assert words.headline(run).startswith("No change worth making: p95 is ")
    assert words.headline(run).endswith("less than the 99 % that the study asks for")
    assert words.next_steps(run, ()) == (
        "Keep the baseline: the gain is smaller than what this study asks for (min_effect).",
    )
