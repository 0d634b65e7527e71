"""A capacity as the objective of a study: what it needs, and what is refused."""

import pytest

from harness.errors import StudyError
from harness.study import load
from harness.study.model import Keep

STUDY = """\
study: demo
target: {{template: echo}}
load:
  rate: 200
  arrivals: {arrivals}
  requests: [{{name: get, path: /}}]
window: {{warmup: 1s, measure: 40s}}
objective: {objective}
knobs: {{event_interval: [31, 61]}}
"""
STEPS = "{steps: {to: 800, count: 4}}"
CAPACITY = "{maximize: capacity, keep: {metric: p99, at_most: 20ms}}"


@pytest.fixture
def study(tmp_path):
    def of(arrivals, objective):
        file = tmp_path / "study.yaml"
        file.write_text(STUDY.format(arrivals=arrivals, objective=objective), encoding="utf-8")
        return load(file)

    return of


def test_a_capacity_is_the_highest_rate_of_the_steps_that_keeps_a_percentile(study):
    found = study(STEPS, CAPACITY)

    assert (found.objective.metric, found.objective.direction) == ("capacity", "maximize")
    assert found.objective.keep == Keep("p99", 20.0)


def test_the_requests_of_one_step_have_to_be_enough_for_its_percentile(study):
    found = study(STEPS, CAPACITY)

    assert any("about 2000 requests, so only 20.0 lie beyond p99" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("arrivals", "objective", "words"),
    [
        (STEPS, "{maximize: capacity}", "belongs to `maximize: capacity`, and to it always"),
        (STEPS, "{minimize: p95, keep: {metric: p99, at_most: 20ms}}", "belongs to `maximize: capacity`"),
        (STEPS, "{minimize: capacity}", "Write `maximize: capacity`"),
        ("poisson", CAPACITY, "needs a load whose rate goes up"),
        ("{steps: {to: 100, count: 4}}", CAPACITY, "needs a load whose rate goes up"),
        ("{ramp: {to: 800}}", CAPACITY, "needs a load whose rate goes up"),
    ],
)
def test_a_capacity_that_cannot_be_measured_is_refused(study, arrivals, objective, words):
    with pytest.raises(StudyError) as refused:
        study(arrivals, objective)

    assert words in str(refused.value)
