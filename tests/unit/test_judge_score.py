"""What a window says in the study's terms."""

import math
from dataclasses import replace

import pytest
from fakes import fake_study, figures, quick_study

from harness.judge import score
from harness.ledger.ledger import window_record
from harness.ledger.record import History
from harness.study.model import Load, Objective
from harness.variant import Step, baseline
from harness.window.measurement import Measurement, Validity


def record(study, made, by_request=None, validity=Validity.VALID):
    step = Step("calibrate", "baseline", 0, 0, 0, baseline(study), 1)
    return window_record(History(), step, Measurement(validity, (), 0.0, 1.0, made, by_request or {}))


def test_y_of_a_minimized_objective_is_its_logarithm():
    study = fake_study()

    assert score.y(study, record(study, figures(20.0))) == math.log(20.0)


def test_y_of_a_maximized_objective_is_lower_where_it_is_better():
    study = fake_study(objective=Objective("maximize", "throughput"))

    assert score.y(study, record(study, figures(throughput=0.5))) == -math.log(0.5)


def test_of_picks_one_kind_of_request():
    study = fake_study(objective=Objective("minimize", "p95", of="pay"))
    window = record(study, figures(20.0), {"pay": figures(7.0)})

    assert score.objective_value(study, window.metrics, window.by_request) == 7.0


def test_a_kind_that_was_never_requested_has_no_value():
    study = fake_study(objective=Objective("minimize", "p95", of="pay"))

    assert score.y(study, record(study, figures(20.0))) is None


@pytest.mark.parametrize("validity", [Validity.INVALID, Validity.FAILED])
def test_a_window_that_is_not_usable_has_no_y_whatever_its_figures(validity):
    study = fake_study()

    assert score.y(study, record(study, figures(1.0), validity=validity)) is None


def test_nothing_answered_is_half_a_request_and_so_very_bad():
    study = fake_study(objective=Objective("maximize", "throughput"))

    assert score.y(study, record(study, figures(throughput=0.0))) == pytest.approx(-math.log(0.5 / 2100))


def test_nothing_answered_under_closed_load_is_half_a_request_in_the_window():
    study = fake_study(
        objective=Objective("maximize", "throughput"),
        load=Load("closed", None, None, 8, 2.0, fake_study().load.requests),
    )

    assert score.y(study, record(study, figures(throughput=0.0))) == pytest.approx(-math.log(0.5 / 7.0))


def test_a_figure_of_zero_that_is_no_count_was_not_measured():
    study = fake_study(objective=Objective("minimize", "cpu_per_request"))

    assert score.y(study, record(study, replace(figures(), cpu_per_request_us=0.0))) is None


def test_gain_of_minimized_and_maximized_differences():
    minimized, maximized = fake_study(), fake_study(objective=Objective("maximize", "throughput"))
    gains = (score.gain(minimized, math.log(0.9)), score.gain(maximized, -math.log(1.1)))

    assert gains == pytest.approx((0.1, 0.1))


def test_scaling_every_latency_changes_no_difference():
    study = quick_study()
    slow, fast = (score.y(study, record(study, figures(value))) for value in (40.0, 20.0))
    slow10, fast10 = (score.y(study, record(study, figures(value))) for value in (400.0, 200.0))

    assert slow10 - fast10 == pytest.approx(slow - fast)
