"""The exported alert rules as Prometheus itself reads them: its own checker takes them, and each fires when it should."""

import json
import re
import subprocess
from datetime import timedelta

import canned_run
import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from harness.report import exports
from harness.report.watched import MAKERS

pytestmark = pytest.mark.promtool

JOB = 'a "quoted" job'
MINUTES = 120
"""Length of every made series: more than the longest range and the longest `for` of a rule together."""


def steady(name, value):
    return name, f"{value}x{MINUTES}"


def rising(name, a_minute):
    return name, f"0+{a_minute}x{MINUTES}"


SERIES = {
    "TokioWorkersBusierThanConfirmed": lambda busy: rising("tokio_worker_busy_seconds_total", 60 * busy),
    "TokioWorkersNotAsConfirmed": lambda off: steady("tokio_workers", 1 + off),
    "TokioTasksClimb": lambda an_hour: rising("tokio_alive_tasks", an_hour / 60),
    "TokioGlobalQueueGrows": lambda depth: steady("tokio_global_queue_depth", depth),
    "TokioBlockingQueueGrows": lambda depth: steady("tokio_blocking_queue_depth", depth),
    "TokioBlockingPoolNearCap": lambda threads: steady("tokio_blocking_threads", threads),
    "LoadBeyondWhatWasConfirmed": lambda a_second: rising("http_requests_total", 60 * a_second),
}
"""Rule -> the series of one service in which its expression has a given value; the baseline that is watched has one worker."""


@pytest.fixture(scope="module")
def rule_file(tmp_path_factory):
    """The rules of a run whose baseline is kept and whose windows tell every metric that is watched."""
    folder = tmp_path_factory.mktemp("run")
    run = canned_run.write(folder, samples=50, true_ms=lambda _values: 9.0)
    for file in run.glob("**/series.parquet"):
        table = parquet.read_table(file)
        parquet.write_table(table.append_column("requests", pa.array(np.arange(table.num_rows) * 30.0)), file)
    made = folder / "rules.yaml"
    made.write_text(exports.export(run, "prometheus", JOB))
    return made


@pytest.fixture(scope="module")
def rules(rule_file):
    (group,) = yaml.safe_load(rule_file.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


@pytest.fixture
def asked(promtool):
    def of(*arguments):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return of


def fires(rule_file, rule, value, job, expected):
    """A file for promtool: one service whose series has that value, and in which minute the rule is to fire or not."""
    name, values = SERIES[rule["alert"]](value)
    labels = f'job={json.dumps(job)},instance="one"'
    fired = {
        "exp_labels": {"severity": "warning", "job": job, "instance": "one"},
        "exp_annotations": rule["annotations"],
    }
    content = {
        "rule_files": [str(rule_file)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": f"{name}{{{labels}}}", "values": values}],
                "alert_rule_test": [
                    {"eval_time": f"{minute}m", "alertname": rule["alert"], "exp_alerts": [fired] if is_due else []}
                    for minute, is_due in expected.items()
                ],
            }
        ],
    }
    file = rule_file.with_name(f"{rule['alert']}.test.yaml")
    file.write_text(yaml.safe_dump(content))
    return str(file)


def limit(rule):
    return float(rule["expr"].rpartition("> ")[2])


def sustained(rule):
    (minutes,) = re.fullmatch(r"(\d+)m", rule["for"]).groups()
    return timedelta(minutes=int(minutes)) // timedelta(minutes=1)


def test_promtool_takes_the_rules_without_a_complaint(rule_file, asked):
    code, said = asked("check", "rules", "--lint-fatal", str(rule_file))

    assert code == 0, said
    assert f"{len(SERIES)} rules found" in said


def test_every_rule_is_put_to_the_test(rules):
    assert set(rules) == set(SERIES)
    assert len(rules) == len(MAKERS)


@pytest.mark.parametrize("name", SERIES)
def test_a_rule_fires_above_its_limit_once_that_has_lasted(rule_file, rules, asked, name):
    rule = rules[name]
    above = limit(rule) * 1.1 + (limit(rule) == 0)

    code, said = asked("test", "rules", fires(rule_file, rule, above, JOB, {sustained(rule) - 1: False, MINUTES: True}))

    assert code == 0, said


@pytest.mark.parametrize("name", SERIES)
def test_a_rule_is_silent_below_its_limit(rule_file, rules, asked, name):
    below = limit(rules[name]) * 0.9

    code, said = asked("test", "rules", fires(rule_file, rules[name], below, JOB, {MINUTES: False}))

    assert code == 0, said


@pytest.mark.parametrize("name", SERIES)
def test_a_rule_is_silent_for_another_job(rule_file, rules, asked, name):
    above = limit(rules[name]) * 9 + 9

    code, said = asked("test", "rules", fires(rule_file, rules[name], above, "another", {MINUTES: False}))

    assert code == 0, said
