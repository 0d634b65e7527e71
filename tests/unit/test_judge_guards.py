"""Guards on pairs, and shortfalls while searching."""

import math
from dataclasses import replace

import pytest
from fakes import ERRORS, THROUGHPUT, fake_study, figures

from harness.judge import guards
from harness.ledger.ledger import window_record
from harness.ledger.record import History
from harness.study.model import Guard
from harness.variant import Step, baseline
from harness.window.measurement import Measurement, Validity


def window(**made):
    step = Step("confirm", "candidate", 0, 0, 0, baseline(fake_study()), 1)
    return window_record(History(), step, Measurement(Validity.VALID, (), 0.0, 1.0, figures(**made)))


def row(guard, pairs):
    return guards.rows(fake_study(guards=(guard,)), pairs, 0.05)[0]


def pairs_of(name, candidates, bases):
    return [(window(**{name: c}), window(**{name: b})) for c, b in zip(candidates, bases, strict=True)]


def test_a_relative_guard_compares_inside_each_pair():
    drifting = [0.5, 0.4, 0.3, 0.5, 0.2, 0.4]
    found = row(THROUGHPUT, pairs_of("throughput", [value * 0.99 for value in drifting], drifting))

    assert (found.holds, found.value) == (True, pytest.approx(0.99))


def test_a_relative_guard_is_broken_by_a_loss_beyond_its_limit():
    assert not row(THROUGHPUT, pairs_of("throughput", [0.47] * 6, [0.5] * 6)).holds


def test_a_broken_row_says_so_in_words():
    words = row(THROUGHPUT, pairs_of("throughput", [0.47] * 6, [0.5] * 6)).words

    assert words == "throughput at least 0.97 of the baseline's: 0.94 (0.94 to 0.94), broken"


def test_the_error_ratio_is_taken_over_all_windows_so_one_terrible_window_breaks_it():
    assert not row(ERRORS, pairs_of("error_ratio", [0, 0, 0, 0, 0, 0.1], [0] * 6)).holds


def test_one_stray_error_below_the_limit_breaks_nothing():
    assert row(ERRORS, pairs_of("error_ratio", [0, 0, 0, 0, 0, 0.0005], [0] * 6)).holds


def test_errors_below_the_limit_but_plainly_above_the_baselines_do_not_hold():
    found = row(ERRORS, pairs_of("error_ratio", [0.0005, 0.0006, 0.0007, 0.0008, 0.0004, 0.0003], [0] * 6))

    assert (found.holds, "higher than the baseline's" in found.words) == (False, True)


def test_a_candidate_that_breaks_the_limit_is_not_excused_by_a_worse_baseline():
    assert not row(ERRORS, pairs_of("error_ratio", [0.04] * 6, [0.05] * 6)).holds


def test_errors_within_the_limit_may_be_above_the_baselines_only_where_the_study_says_so():
    wide = replace(ERRORS, limit=0.9)
    refused, allowed, beyond = (
        row(guard, pairs_of("error_ratio", [0.6] * 6, [0] * 6))
        for guard in (wide, replace(wide, may_rise=True), replace(ERRORS, may_rise=True))
    )

    assert (refused.holds, allowed.holds, beyond.holds) == (False, True, False)
    assert refused.words.endswith("higher than the baseline's; `may_rise: true` would allow that")
    assert allowed.words.endswith("holds; higher than the baseline's, as it may be")


@pytest.mark.parametrize(("errors", "holds"), [(0.3, False), (0.0, True)])
def test_a_study_without_a_limit_on_errors_holds_them_against_the_baselines(errors, holds):
    (found,) = guards.rows(fake_study(guards=()), pairs_of("error_ratio", [errors] * 6, [0] * 6), 0.05)

    assert (found.metric, found.holds, found.value) == ("error_ratio", holds, errors)


def test_the_same_errors_on_both_sides_hold_without_a_limit_and_unmeasured_ones_do_not():
    (same,) = guards.rows(fake_study(guards=()), pairs_of("error_ratio", [0.02] * 6, [0.02] * 6), 0.05)
    (nothing,) = guards.rows(fake_study(guards=()), [], 0.05)

    assert (same.holds, nothing.holds) == (True, False)


def test_memory_is_judged_by_its_worst_window():
    limit = Guard("peak_rss", "at_most", 2.0**19, relative=False)

    assert row(limit, [(window(), window())] * 6).value == 2.0**20


def test_an_unmeasured_guard_does_not_hold():
    assert not row(Guard("cpu_per_request", "at_most", 100.0, relative=False), [(window(), window())] * 6).holds


def test_without_pairs_no_guard_holds():
    assert [found.holds for found in guards.rows(fake_study(guards=(THROUGHPUT, ERRORS)), [], 0.05)] == [False, False]


def test_shortfall_is_zero_where_the_limit_holds():
    assert guards.shortfall(fake_study(), ERRORS, [window(error_ratio=0.0005)], []) == 0.0


def test_shortfall_of_an_absolute_limit_is_in_ln_units():
    assert guards.shortfall(fake_study(), ERRORS, [window(error_ratio=0.002)], []) == pytest.approx(math.log(2))


def test_shortfall_of_a_relative_limit_is_shrunk_for_few_windows():
    missed = guards.shortfall(fake_study(), THROUGHPUT, [window(throughput=0.4)], [window(throughput=0.5)])

    assert missed == pytest.approx(math.log(0.97) - math.log(0.8) / 2)


def test_any_error_at_a_limit_of_none_is_a_whole_shortfall():
    none = Guard("error_ratio", "at_most", 0.0, relative=False)

    assert guards.shortfall(fake_study(), none, [window(error_ratio=0.01)], []) == guards.BROKEN


@pytest.mark.parametrize(("side", "missed"), [("at_least", 0.0), ("at_most", guards.BROKEN)])
def test_a_relative_limit_of_nothing_needs_no_logarithm_of_zero(side, missed):
    nothing = Guard("throughput", side, 0.0, relative=True)

    assert guards.shortfall(fake_study(), nothing, [window()], [window()]) == missed


@pytest.mark.parametrize(
    "guard", [Guard("p99", "at_most", 1.1, relative=True), Guard("p99", "at_most", 5000, relative=False)]
)
def test_a_limit_on_a_latency_does_not_hold_where_it_stands_at_the_time_out(guard):
    late = window().model_copy(update={"metrics": replace(figures(2000.0), censored=("p99",))})

    assert row(guard, [(window(), window())] * 6).holds
    found = row(guard, [(late, late)] * 6)
    assert (found.holds, found.value) == (False, None)
    assert "at the time-out" in found.words


def test_the_number_of_windows_a_metric_was_measured_in_is_not_overlooked():
    pairs = [(window(), window())] * 5
    unmeasured = window_record(
        History(),
        Step("confirm", "candidate", 0, 0, 0, baseline(fake_study()), 1),
        Measurement(Validity.VALID, (), 0.0, 1.0, None),
    )

    assert not row(THROUGHPUT, [*pairs, (unmeasured, window())]).holds
