"""The signed-rank test, its estimate and its interval, against worked values and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.judge import rank

WORKED = [-0.12, -0.05, 0.03, -0.20, -0.08, -0.15, -0.01, -0.09]
PAIRS = (6, 8, 9, 10, 12, 13, 16, 20, 30, 40)

untied = st.lists(st.integers(1, 10**6), min_size=1, max_size=14, unique=True).flatmap(
    lambda sizes: st.tuples(*[st.sampled_from((size, -size)) for size in sizes])
)


def test_worked_value_of_the_exact_p():
    assert rank.signed_rank_p(WORKED) == 3 / 256


def test_ties_get_mid_ranks_where_the_usual_exact_method_is_too_small():
    assert rank.signed_rank_p([-1, -1, -2, -3, 1, -2]) == 0.0625


def test_zeros_count_against_the_claim():
    assert rank.signed_rank_p([0.0] * 6) == 1.0


def test_no_differences_prove_nothing():
    assert (rank.signed_rank_p([]), rank.interval([], 0.05)) == (1.0, rank.Interval(-np.inf, np.inf))


def test_worked_hodges_lehmann_estimate():
    assert rank.hodges_lehmann(WORKED) == pytest.approx(-0.085)


@pytest.mark.parametrize(("alpha", "ends"), [(0.05, (-0.14, -0.03)), (0.025, (-0.15, -0.01))])
def test_worked_intervals(alpha, ends):
    found = rank.interval(WORKED, alpha)

    assert (found.low, found.high) == pytest.approx(ends)


@pytest.mark.parametrize(
    ("alpha", "values"),
    [(0.05, (2, 5, 8, 10, 17, 21, 35, 60, 151, 286)), (0.025, (0, 3, 5, 8, 13, 17, 29, 52, 137, 264))],
)
def test_critical_values_are_those_of_the_table(alpha, values):
    assert tuple(rank.critical_value(n, alpha) for n in PAIRS) == values


def test_five_pairs_can_reach_5_percent_and_never_half_of_it():
    reached = (rank.critical_value(5, 0.05), rank.critical_value(5, 0.025))

    assert reached == (0, -1)


def test_fewest_pairs_are_where_the_first_critical_value_appears():
    assert (rank.fewest_pairs(0.05), rank.fewest_pairs(0.025)) == (5, 6)


@given(untied)
def test_equals_scipys_exact_p_without_ties(d):
    exact = stats.wilcoxon(d, alternative="less", method="exact").pvalue

    assert rank.signed_rank_p(d) == pytest.approx(exact)


@given(untied, st.sampled_from((0.05, 0.025)))
def test_p_is_at_most_alpha_exactly_when_the_interval_excludes_zero(d, alpha):
    assert (rank.signed_rank_p(d) <= alpha) == (rank.interval(d, alpha).high < 0)


@given(untied, st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_changes_nothing(d, random):
    shuffled = list(d)
    random.shuffle(shuffled)

    assert rank.signed_rank_p(shuffled) == rank.signed_rank_p(d)


def test_the_null_rejects_no_more_often_than_alpha():
    rng = np.random.default_rng(7)
    claims = sum(rank.signed_rank_p(rng.standard_cauchy(12)) <= 0.05 for _ in range(2000))

    assert claims / 2000 < 0.046 + 4 * np.sqrt(0.046 * 0.954 / 2000)
