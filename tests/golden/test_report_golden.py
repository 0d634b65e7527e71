"""The report of the stored runs, one of each version of the format: old runs stay readable."""

import json
import shutil
from pathlib import Path

import pytest

from harness import report
from harness.ledger.record import SCHEMA

RUNS = Path(__file__).parent / "runs"
STORED = sorted(RUNS.glob("schema-*"))


def rounded(value):
    """Six significant digits, so that another processor's last bit is no difference."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


@pytest.fixture(params=STORED, ids=lambda path: path.name)
def folder(request, tmp_path):
    return Path(shutil.copytree(request.param, tmp_path / request.param.name))


def test_a_run_of_each_version_is_stored():
    assert [f"schema-{version}" for version in range(1, SCHEMA + 1)] == [path.name for path in STORED]


def test_the_summary_of_a_stored_run_stays_what_it_was(folder, snapshot):
    assert snapshot == json.dumps(rounded(report.write(folder)), indent=1)


def test_the_runbook_of_a_stored_run_stays_what_it_was(folder, snapshot):
    report.write(folder)

    assert snapshot == (folder / "runbook.md").read_text()


def test_the_page_of_a_stored_run_tells_its_verdict(folder):
    report.write(folder)

    assert "p95 at least 74.3 % lower with fraud_check = spawn_blocking" in (folder / "report.html").read_text()
