"""junit.xml: what a collector of test results makes of a run."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import canned_run
import pytest

from harness import report
from harness.judge import verdict
from harness.report import junit, read

GUARD = verdict.GuardRow("error_ratio", "error_ratio at most 0.001", 0.2, None, holds=False, words="20 % failed")


@pytest.fixture
def run(tmp_path):
    return read.run(canned_run.write(tmp_path))


def told(run, **changes):
    """Return the suite and its first case for the run's verdict with these changes."""
    changed = replace(run.verdict, **changes)
    suite = ET.fromstring(junit.xml(replace(run, verdict=changed), changed)).find("testsuite")  # noqa: S314 - our own
    return suite, suite.find("testcase")


def faults(suite):
    return {kind: suite.get(kind) for kind in ("failures", "errors", "skipped")}


def test_a_win_passes_with_its_headline_and_one_case_for_each_guard(run):
    suite, case = told(run)

    assert faults(suite) == {"failures": "0", "errors": "0", "skipped": "0"}
    assert int(suite.get("tests")) == len(suite.findall("testcase")) == 1 + len(run.verdict.guards)
    assert case.find("system-out").text.startswith("p95 at least 74.3 % lower with fraud_check = spawn_blocking")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"call": "worse", "interval": (-0.3, -0.1)}, "failures"),
        ({"call": "inconclusive"}, "skipped"),
        ({"call": "inconclusive", "reason_code": "too_few_pairs"}, "errors"),
        ({"guards": (GUARD,)}, "failures"),
    ],
    ids=["worse", "inconclusive", "too few windows", "broken guard"],
)
def test_what_is_no_good_end_is_no_success(run, changes, kind):
    suite, _ = told(run, **changes)

    assert faults(suite) == {"failures": "0", "errors": "0", "skipped": "0", kind: "1"}


def test_a_broken_guard_says_what_was_measured(run):
    suite, _ = told(run, guards=(GUARD,))

    assert suite.find("testcase[2]/failure").get("message") == "20 % failed"


def test_a_character_that_xml_cannot_hold_does_not_break_the_file(run):
    _suite, case = told(run, call="worse", interval=(-0.3, -0.1), reason="]]> <b>\x00\x1b[31m\ud800")

    assert (
        case.find("failure").text
        == "]]> <b>\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}"
    )


def test_an_unfinished_run_has_no_such_file(tmp_path):
    folder = canned_run.write(tmp_path, finished=False)
    report.write(folder)

    assert not (folder / "junit.xml").exists()
