"""Every figure of a study can be its objective and its guard: the pairs claim what moved, the limits hold or break."""

from dataclasses import replace

import pytest
from fakes import fake_study, figures

from harness.judge import guards, verdict
from harness.judge.score import FIGURE
from harness.ledger.ledger import window_record
from harness.ledger.record import History
from harness.study.model import Guard, Objective
from harness.variant import Step, baseline
from harness.window.measurement import Measurement, Validity

BEFORE = {
    "throughput": 0.5,
    "cpu_per_request": 200.0,
    "peak_rss": 4 << 20,
    "threads": 40,
    "error_ratio": 0.02,
    **dict.fromkeys(("p50", "p90", "p95", "p99", "p999"), 20.0),
}
MINIMIZED = [metric for metric in BEFORE if metric not in {"throughput", "error_ratio"}]


def window(metric, factor):
    step = Step("confirm", "candidate", 0, 0, 0, baseline(fake_study()), 1)
    made = replace(figures(), **{FIGURE[metric]: type(BEFORE[metric])(BEFORE[metric] * factor)})
    return window_record(History(), step, Measurement(Validity.VALID, (), 0.0, 1.0, made))


def pairs(metric, factor):
    return [(window(metric, factor), window(metric, 1.0)) for _ in range(8)]


def call(direction, metric, factor):
    study = fake_study(objective=Objective(direction, metric), guards=())
    seen = verdict.look(study, pairs(metric, factor), 1, 8, 0.05)
    return verdict.judged(study, verdict.Tested("v", {}), seen, None).call


@pytest.mark.parametrize("metric", MINIMIZED)
def test_a_figure_that_falls_is_better_and_one_that_rises_is_worse(metric):
    assert (call("minimize", metric, 0.5), call("minimize", metric, 2.0)) == ("better", "worse")


def test_throughput_that_rises_is_better_and_that_falls_is_worse():
    assert (call("maximize", "throughput", 1.5), call("maximize", "throughput", 0.5)) == ("better", "worse")


@pytest.mark.parametrize("metric", BEFORE)
def test_an_absolute_guard_holds_at_its_limit_and_breaks_beyond_it(metric):
    limit = BEFORE[metric]
    rows = [
        guards.rows(fake_study(guards=(Guard(metric, side, limit, relative=False),)), pairs(metric, factor), 0.05)[0]
        for side, factor in (("at_most", 0.75), ("at_most", 1.5), ("at_least", 1.5), ("at_least", 0.75))
    ]

    assert [row.holds for row in rows] == [True, False, metric != "error_ratio", False]


@pytest.mark.parametrize("metric", BEFORE)
def test_a_guard_against_the_baseline_holds_within_its_share_and_breaks_beyond_it(metric):
    rows = [
        guards.rows(fake_study(guards=(Guard(metric, "at_most", 1.1, relative=True),)), pairs(metric, factor), 0.05)[0]
        for factor in (1.05, 1.5)
    ]

    assert [row.holds for row in rows] == [True, False]
