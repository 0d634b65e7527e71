"""`harness export` as a person types it."""

import json

import canned_run
import pytest
import yaml


@pytest.fixture
def run(harness):
    return str(canned_run.write(harness.folder / "results", samples=300))


def test_export_prometheus_prints_a_rule_file(harness, run):
    done = harness("export", "prometheus", run, "--job", "shop")

    assert done.returncode == 0, done.stderr
    (group,) = yaml.safe_load(done.stdout)["groups"]
    assert all('job="shop"' in rule["expr"] for rule in group["rules"])


def test_export_grafana_prints_a_dashboard(harness, run):
    done = harness("export", "grafana", run)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["panels"]


@pytest.mark.parametrize("form", ["prometheus", "grafana"])
def test_each_export_has_help_with_an_example(harness, form):
    done = harness("export", form, "--help")

    assert done.returncode == 0
    assert f"Example: harness export {form}" in done.stdout


def test_what_is_no_run_folder_is_refused(harness):
    done = harness("export", "prometheus", ".")

    assert done.returncode == 2
    assert "is not a run folder" in done.stderr
