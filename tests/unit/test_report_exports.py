"""Alert rules and the dashboard of a canned confirmed run: shape, limits, what is refused."""

import json
import re
from pathlib import Path

import canned_run
import pytest
import yaml

from harness.errors import StudyError
from harness.report import exports, read
from harness.report.watched import MAKERS, watching

KIT = Path(__file__).resolve().parents[2] / "target_templates" / "kit" / "src" / "metrics.rs"
HOSTILE = 'a"}) or vector(1) #\n- x: <script>'


def confirmed(tmp_path, **more):
    return canned_run.write(tmp_path, samples=300, **more)


def rules(folder, job=None):
    (group,) = yaml.safe_load(exports.export(folder, "prometheus", job))["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_every_metric_that_is_watched_is_one_of_the_kit():
    names = set(re.findall(r'"((?:tokio|http)_\w+)"', KIT.read_text()))

    assert set(MAKERS) <= names


def test_every_watched_metric_has_a_rule_or_is_named_as_left_out(tmp_path):
    made = watching(read.run(confirmed(tmp_path)))

    assert len(made.items) + len(made.left_out) == len(MAKERS)
    assert made.left_out == ("http_requests_total",)


def test_the_limit_of_busy_workers_comes_from_the_winners_windows(tmp_path):
    expression = rules(confirmed(tmp_path))["TokioWorkersBusierThanConfirmed"]["expr"]

    assert 0.1 <= float(expression.rpartition("> ")[2]) < 0.25


def test_where_nothing_is_recommended_the_baseline_is_what_is_watched(tmp_path):
    folder = confirmed(tmp_path, true_ms=lambda _values: 9.0)

    expression = rules(folder)["TokioWorkersBusierThanConfirmed"]["expr"]
    assert float(expression.rpartition("> ")[2]) == pytest.approx(0.95)


@pytest.mark.parametrize("job", [None, "shop", HOSTILE])
def test_every_rule_selects_the_job_and_says_how_its_limit_came_about(tmp_path, job):
    for name, rule in rules(confirmed(tmp_path), job).items():
        assert f"{{job={json.dumps(job or 'quickstart')}}}" in rule["expr"], name
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["derived"]
        assert re.fullmatch(r"\d+m", rule["for"])


def test_the_dashboard_has_a_panel_for_each_rule_with_the_same_limit(tmp_path):
    folder = confirmed(tmp_path)
    panels = json.loads(exports.export(folder, "grafana", None))["panels"]
    limits = [float(rule["expr"].rpartition("> ")[2]) for rule in rules(folder).values()]

    assert [panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] for panel in panels] == limits
    for panel, rule in zip(panels, rules(folder).values(), strict=True):
        assert rule["expr"].startswith(f"{panel['targets'][0]['expr']} > ")


def test_panels_have_ids_of_their_own_and_do_not_overlap(tmp_path):
    panels = json.loads(exports.export(confirmed(tmp_path), "grafana", None))["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]

    assert len({panel["id"] for panel in panels}) == len(set(places)) == len(panels)


@pytest.mark.parametrize("form", exports.FORMS)
def test_an_unfinished_run_is_refused_with_what_to_do(tmp_path, form):
    with pytest.raises(StudyError, match=r"not confirmed.*harness optimize"):
        exports.export(confirmed(tmp_path, finished=False), form, None)


@pytest.mark.parametrize("form", exports.FORMS)
def test_a_run_without_series_is_refused_with_what_to_do(tmp_path, form):
    with pytest.raises(StudyError, match=r"no series.*--fresh"):
        exports.export(canned_run.write(tmp_path), form, None)


@pytest.mark.parametrize("form", exports.FORMS)
def test_the_same_run_gives_the_same_export(tmp_path, form):
    folder = confirmed(tmp_path)

    assert exports.export(folder, form, None) == exports.export(folder, form, None)
