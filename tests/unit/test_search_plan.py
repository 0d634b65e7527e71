"""The plan: sizes, cost, and what it says."""

import json
import math

import pytest
from fakes import QUICK_KNOBS, fake_study, quick_study

from harness.search import plan, sizes
from harness.study.model import UNSET, Budget, Knob, Phases, WindowTimes


def planned(windows, **changes):
    return plan.plan(fake_study(budget=Budget(windows, None), **changes))


def shape(made):
    return made.calibrate, made.screen, made.search, made.race, made.pairs


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        (24, (4, 0, 8, 0, 6)),
        (30, (4, 0, 10, 0, 8)),
        (40, (4, 0, 15, 3, 9)),
        (60, (6, 13, 12, 3, 13)),
        (80, (8, 13, 20, 7, 16)),  # the race uses 7 of its 8, the search gets the one left over
        (100, (10, 13, 26, 11, 20)),  # 11 of 12
        (200, (10, 13, 81, 14, 41)),  # 14 of 16: one more pair
    ],
)
def test_budgets_get_their_simulated_rows(windows, expected):
    assert shape(planned(windows)) == expected


@pytest.mark.parametrize("windows", range(20, 260, 7))
def test_every_window_of_the_budget_is_used_and_none_beyond(windows):
    assert planned(windows).windows == windows


@pytest.mark.parametrize("windows", range(20, 260, 7))
def test_no_budget_confirms_with_fewer_than_six_pairs(windows):
    assert planned(windows).pairs >= 6


def test_quickstart_has_28_windows_as_its_phases_say():
    made = plan.plan(quick_study())

    assert (made.windows, shape(made), made.screen_baselines) == (28, (4, 8, 4, 0, 6), 1)


@pytest.mark.parametrize(("pairs", "expected"), [(15, ((15,), (0.05,))), (16, ((8, 16), (0.01, 0.04)))])
def test_below_16_pairs_there_is_one_look(pairs, expected):
    assert sizes.looks(pairs) == expected


def test_the_levels_of_all_looks_add_up_to_5_percent():
    assert [sum(sizes.looks(n)[1]) for n in (5, 12, 16, 40)] == [0.05] * 4


def test_the_race_halves_its_runners_and_never_runs_one_alone():
    assert (sizes.race_blocks(16, 4), sizes.race_blocks(12, 1), sizes.race_blocks(2, 2)) == ((4, 2, 2, 2), (), ())


def test_few_levels_are_screened_in_more_blocks():
    made = planned(60, knobs=QUICK_KNOBS, cpus=1)

    assert (made.screen_blocks, made.screen_baselines) == (3, 1)


def test_a_screen_that_does_not_fit_leaves_its_windows_to_the_search():
    many = tuple(Knob(f"k{i}", "option", ("a", "b", "c"), ordered=False, baseline="a") for i in range(9))
    study = fake_study(budget=Budget(60, None))
    sized = next(sizes.of_budget(60, sizes.Space(one_offs=2 * len(many), variants=None)))

    assert (sized.screen_blocks, sized.search) == (0, plan.plan(study).search + 13)


def test_a_small_space_is_not_searched_longer_than_it_is_large():
    made = planned(60, knobs=QUICK_KNOBS[:1])

    assert (made.one_offs, made.search, made.race) == (1, 2, 0)  # one variant, and the odd window


def test_levels_that_all_make_the_baseline_leave_nothing_to_compare():
    made = planned(60, knobs=(Knob("worker_threads", "runtime", (UNSET, 4), ordered=True, baseline=UNSET),))

    assert (made.pairs, made.search, "nothing can be compared" in made.notes[0]) == (0, 0, True)


def test_a_plan_shrinks_until_it_fits_the_time_and_says_so():
    study = fake_study(budget=Budget(100, 600.0))
    made = plan.plan(study)

    assert plan.cost_seconds(study, made) <= 600
    assert made.notes[0] == f"The plan is cut from 100 to {made.windows} windows to fit 10 minutes."


def test_own_phases_give_up_race_and_search_before_pairs():
    study = quick_study(budget=Budget(28, 300.0), phases=Phases(calibrate=4, screen=2, search=6, race=7, confirm=6))
    made = plan.plan(study)

    assert (made.race, made.pairs) == (0, 6)


def test_a_time_too_short_for_any_claim_is_said():
    notes = plan.plan(fake_study(budget=Budget(40, 120.0))).notes

    assert any("too few for any claim" in note for note in notes)


def test_the_cost_counts_windows_and_builds():
    study = quick_study()
    made = plan.plan(study)

    assert plan.cost_seconds(study, made) == 28 * (1 + 7 + 0.5 + 1) + 40 + 7


def test_more_noise_hides_larger_gains():
    visible = plan.smallest_visible(plan.plan(quick_study()))

    assert (visible.low, visible.high) == pytest.approx((0.06, 0.19), abs=0.005)


def test_an_effect_too_small_for_the_plan_is_pointed_out():
    assert any("min_effect is 2.0%" in note for note in plan.plan(quick_study()).notes)


def test_the_plan_in_the_ledger_tells_the_noise_that_sampling_alone_makes():
    study = quick_study()

    assert plan.to_json(study, plan.plan(study))["sampling_floor"] == pytest.approx(
        (0.95 / (0.05 * 2100)) ** 0.5 / -math.log(0.05)
    )


def test_a_plan_survives_its_json():
    study = fake_study(window=WindowTimes(1, 2, 3))
    made = plan.plan(study)

    assert plan.from_json(json.loads(json.dumps(plan.to_json(study, made)))) == made


def test_the_plan_in_the_ledger_carries_the_studys_warnings():
    study = quick_study(warnings=("a keep-alive outlives the window",))

    assert plan.to_json(study, plan.plan(study))["warnings"] == ["a keep-alive outlives the window"]


def test_the_plan_in_words_tells_windows_minutes_and_what_can_be_seen():
    words = plan.in_words(quick_study(), plan.plan(quick_study()))

    sizes_in_words = "calibrate: 4, screen 2 x (3 levels + 1 baseline): 8, search: 4, 6 pairs: 12"
    visible = "the smallest gain likely to be seen is 6.1% where windows vary by 3%, 18.8% where they vary by 10%"

    assert words[:2] == (f"plan: 28 windows, about 6 minutes ({sizes_in_words})", f"looks at 6 pairs; {visible}")
