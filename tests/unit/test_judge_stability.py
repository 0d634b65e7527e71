"""How steady both sides of the pairs were: spread, worst window, span."""

import json
import math

import pytest
from fakes import fake_study
from test_judge_verdict import pairs, window

from harness.judge import stability, verdict
from harness.judge.verdict import Look
from harness.study.model import Objective

WOBBLY = [0.0, 0.2, -0.2, 0.1, -0.1, 0.3, -0.3, 0.0]
"""Differences of a winner whose baseline always reads 20 ms."""


def test_the_spread_is_that_of_the_median_absolute_deviation_and_the_worst_window_is_named():
    found = stability.of_pairs(fake_study(), pairs(WOBBLY))

    assert found.winner.spread == pytest.approx(1.4826 * 0.15)
    assert (found.baseline.spread, found.baseline.worst, found.baseline.span) == (0.0, 20.0, 0.0)
    assert found.winner.worst == pytest.approx(20 * math.exp(0.3))


def test_the_ratio_of_the_spreads_is_unknown_where_the_baseline_shows_none():
    halves = [(window(20 * math.exp(2 * x), 0.0), window(20 * math.exp(x), 0.0)) for x in WOBBLY]

    assert stability.of_pairs(fake_study(), halves).ratio == pytest.approx(2.0)
    assert stability.of_pairs(fake_study(), pairs(WOBBLY)).ratio is None


def test_windows_that_span_more_than_30_percent_of_their_mean_are_wide():
    found = stability.of_pairs(fake_study(), pairs(WOBBLY))

    assert (found.winner.is_wide, found.baseline.is_wide) == (True, False)


def test_the_worst_window_of_a_maximised_figure_is_its_least():
    study = fake_study(objective=Objective("maximize", "p95"))

    assert stability.of_pairs(study, pairs(WOBBLY)).winner.worst == pytest.approx(20 * math.exp(-0.3))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_pairs_tell_nothing(count):
    assert stability.of_pairs(fake_study(), pairs(WOBBLY[:count])) is None


def test_a_look_keeps_it_and_a_look_of_before_has_none():
    made = verdict.look(fake_study(), pairs(WOBBLY), 1, 8, 0.05)
    plain = json.loads(json.dumps(made.to_json()))
    old = {name: value for name, value in plain.items() if name != "stability"}

    assert Look.from_json(plain) == made
    assert made.stability == stability.of_pairs(fake_study(), pairs(WOBBLY))
    assert Look.from_json(old).stability is None
