"""The verdict's rules, on hand-made pairs."""

import json
import math
from dataclasses import replace

import pytest
from fakes import ERRORS, fake_study, figures

from harness.judge import verdict
from harness.judge.verdict import Look, Verdict
from harness.ledger.ledger import window_record
from harness.ledger.record import History
from harness.study.model import Keep, Objective, Piece
from harness.variant import Step, baseline
from harness.window.measurement import Measurement, Validity

TESTED = verdict.Tested("abc", {"worker_threads": 8})


def pairs(differences, errors=0.0):
    return [(window(20 * math.exp(d), errors), window(20.0, 0.0)) for d in differences]


def window(latency_ms, errors):
    step = Step("confirm", "candidate", 0, 0, 0, baseline(fake_study()), 1)
    return window_record(
        History(), step, Measurement(Validity.VALID, (), 0.0, 1.0, figures(latency_ms, error_ratio=errors))
    )


def judged(differences, errors=0.0, **changes):
    study = fake_study(**{"guards": (ERRORS,), **changes})
    found = verdict.look(study, pairs(differences, errors), 1, len(differences), 0.05)
    return verdict.judged(study, TESTED, found, 0.1)


def test_six_pairs_that_all_got_better_are_better_by_at_least_the_intervals_end():
    found = judged([-0.5, -0.6, -0.55, -0.52, -0.58, -0.51])

    assert (found.call, found.at_least) == ("better", found.interval[0])


def test_at_least_is_the_lower_end_of_the_gain():
    found = judged([-0.5, -0.6, -0.55, -0.52, -0.58, -0.51])

    assert found.at_least == pytest.approx(1 - math.exp(-0.51), abs=0.01)


def test_a_winner_that_is_slower_in_every_pair_is_worse():
    assert judged([0.5, 0.6, 0.55, 0.52, 0.58, 0.51]).call == "worse"


def test_an_interval_inside_the_indifference_zone_is_same():
    assert judged([0.001, -0.002, 0.003, -0.001, 0.002, -0.003]).call == "same"


def test_a_wide_interval_around_nothing_is_inconclusive():
    assert judged([0.1, -0.2, 0.3, -0.1, 0.2, -0.3]).call == "inconclusive"


def test_a_gain_that_a_guard_forbids_is_not_better():
    found = judged([-0.5, -0.6, -0.55, -0.52, -0.58, -0.51], errors=0.01)

    assert (found.call, found.reason_code) == ("inconclusive", "guard_broken")


def test_a_gain_at_the_price_of_errors_is_not_better_where_the_study_has_no_guard():
    gains = [-0.5, -0.6, -0.55, -0.52, -0.58, -0.51]

    assert judged(gains, errors=0.3, guards=()).reason_code == "guard_broken"
    assert judged(gains, errors=0.0, guards=()).call == "better"


def test_the_broken_guard_stands_in_the_reason():
    found = judged([-0.5, -0.6, -0.55, -0.52, -0.58, -0.51], errors=0.01)

    assert "error_ratio at most 0.001: 0.01" in found.reason


@pytest.mark.parametrize("n", range(5))
def test_too_few_pairs_are_inconclusive_however_good_they_look(n):
    found = judged([-3.0] * n)

    assert (found.call, found.reason_code, found.judged, found.at_least) == (
        "inconclusive",
        "too_few_pairs",
        False,
        None,
    )


def test_a_better_below_the_asked_effect_says_so():
    found = judged([-0.010, -0.011, -0.012, -0.013, -0.014, -0.015], min_effect=0.05)

    assert (found.call, "less than the 5.0%" in found.reason) == ("better", True)


def test_a_look_with_unbounded_interval_passes_no_test():
    found = verdict.look(fake_study(guards=()), pairs([-3.0] * 5), 1, 10, 0.025)

    assert (found.passed, found.interval) == (False, (None, None))


def test_scaling_both_sides_of_a_pair_changes_nothing():
    study = fake_study(guards=())
    d = [-0.5, 0.1, -0.55, -0.52, -0.58, -0.51]
    scaled = [(window(k * 20 * math.exp(x), 0.0), window(k * 20.0, 0.0)) for k, x in enumerate(d, start=1)]
    before, after = (verdict.look(study, made, 1, 6, 0.05) for made in (pairs(d), scaled))

    assert (after.p, after.shift) == (before.p, pytest.approx(before.shift))


def test_a_verdict_survives_its_json():
    found = judged([-0.5, -0.6, -0.55, -0.52, -0.58, -0.51])

    assert Verdict.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_look_survives_its_json_with_keys_of_the_search_beside_it():
    found = verdict.look(fake_study(), pairs([-0.5, 0.1, 0.2]), 1, 3, 0.05)

    assert Look.from_json(json.loads(json.dumps({**found.to_json(), "final": True}))) == found


def test_a_run_that_ended_early_is_never_better_or_worse():
    found = verdict.ended("machine_not_ready", "why")

    assert (found.call, found.judged, found.winner, found.estimate) == ("inconclusive", False, {}, None)


@pytest.mark.parametrize(("floor_ms", "call"), [(1.0, "better"), (12.0, "inconclusive")])
def test_a_difference_below_the_floor_of_the_host_is_not_resolvable(floor_ms, call):
    differences = [-0.5, -0.6, -0.55, -0.52, -0.58, -0.51]  # of 20 ms, so some 8 ms
    found = judged(differences, floor_ms={"p95": floor_ms})

    assert found.call == call
    assert (found.reason_code == "not_resolvable") == (call == "inconclusive")
    assert ("below the noise floor" in found.reason) == (call == "inconclusive")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_claim_on_a_host_whose_floor_is_unknown_says_so(sign):
    differences = [sign * d for d in (-0.5, -0.6, -0.55, -0.52, -0.58, -0.51)]
    unknown = "The noise floor of this host is not known"

    assert unknown in judged(differences).reason
    assert unknown not in judged(differences, floor_ms={"p95": 0.4}).reason


def test_what_is_the_same_stays_the_same_below_the_floor():
    assert judged([0.001, -0.002, 0.003, -0.001, 0.002, -0.003], floor_ms={"p95": 5.0}).call == "same"


def timed_out(differences, *, winner=(), base=()):
    """Return pairs in which the named halves stand at the time-out of 2 s."""
    late = replace(figures(2000.0), censored=("p95", "p99", "p999"))
    return [
        (
            one.model_copy(update={"metrics": late}) if at in winner else one,
            other.model_copy(update={"metrics": late}) if at in base else other,
        )
        for at, (one, other) in enumerate(pairs(differences))
    ]


def call_of(made, **changes):
    study = fake_study(guards=(), **changes)
    found = verdict.look(study, made, 1, len(made), 0.05)
    return verdict.judged(study, TESTED, found, None), found


def test_two_sides_that_both_time_out_are_not_the_same():
    every = range(8)
    found, look = call_of(timed_out([0.0] * 8, winner=every, base=every))

    assert (found.call, found.reason_code, look.both_censored) == ("inconclusive", "end_of_scale", 8)
    assert (found.interval, look.p) == ((None, None), 1.0)
    assert "In 8 of 8 fresh pairs both sides' p95 are at least the time-out" in found.reason


def test_one_pair_of_time_outs_among_equal_ones_is_enough_to_not_be_the_same():
    still = [0.001, -0.002, 0.003, -0.001, 0.002, -0.003, 0.001, -0.002, 0.002, -0.001, 0.001, -0.001]

    assert call_of(timed_out(still))[0].call == "same"
    assert call_of(timed_out(still, winner=[3], base=[3]))[0].call == "inconclusive"


def test_a_baseline_that_times_out_is_beaten_by_at_least_so_much_and_nobody_knows_by_how_much_at_most():
    found, look = call_of(timed_out([0.0] * 8, base=range(8)))

    assert (found.call, look.both_censored) == ("better", 0)
    assert found.interval == (pytest.approx(0.99), None)


def test_a_winner_that_times_out_is_worse_by_at_least_so_much():
    found, _ = call_of(timed_out([0.0] * 8, winner=range(8)))

    assert (found.call, found.interval) == ("worse", (None, pytest.approx(-99.0)))


def test_a_time_out_of_the_winner_counts_as_the_worst_that_it_may_be():
    gains = [-0.5, -0.6, -0.55, -0.52, -0.58, -0.51, -0.53, -0.54]
    plain, look = call_of(timed_out(gains))
    spoiled, worse_look = call_of(timed_out(gains, winner=[0]))

    assert plain.call == "better"
    assert worse_look.p > look.p
    assert spoiled.at_least is None or spoiled.at_least < plain.at_least


def test_a_capacity_at_the_last_step_on_both_sides_is_not_the_same():
    pieces = (Piece(1.0, 100.0, 100.0), *(Piece(2.0, rate, rate) for rate in (100.0, 200.0, 300.0)))
    load = replace(fake_study().load, pieces=pieces)
    objective = Objective("maximize", "capacity", keep=Keep("p99", 20.0))
    made = [
        tuple(one.model_copy(update={"metrics": replace(one.metrics, capacity=300.0)}) for one in pair)
        for pair in pairs([0.0] * 8)
    ]
    found, look = call_of(made, load=load, objective=objective)

    assert (found.call, look.both_censored) == ("inconclusive", 8)
    assert "lie at an end of the load's steps" in found.reason


def test_a_look_of_before_time_outs_were_counted_is_still_read():
    old = verdict.look(fake_study(), pairs([-0.5] * 6), 1, 6, 0.05).to_json()
    del old["both_censored"]

    assert Look.from_json(old).both_censored == 0


def test_a_look_of_before_there_was_a_floor_is_still_read():
    study = fake_study()
    old = verdict.look(study, pairs([-0.5] * 6), 1, 6, 0.05).to_json()
    del old["floor_ms"], old["difference_ms"]

    assert Look.from_json(old).resolvable
