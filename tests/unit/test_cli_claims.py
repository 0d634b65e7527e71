"""`harness claims` around its runs: what is begun, what is gone on with, what is taken as it is. No window is measured."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from fakes import Fake, Noise, quick

from harness import loop, opening
from harness.cli import claims as command
from harness.ledger import lock

STUDY = """\
study: own-claim
target: {template: payments, memory: 256MiB}
load:
  rate: 300
  requests:
    - {name: pay, method: POST, path: /payments, json: {amount: 1200}}
window: {warmup: 1s, measure: 7s}
objective: {minimize: p95}
knobs: {fraud_check: [inline, spawn_blocking]}
phases: {calibrate: 3, screen: 1, confirm: 5}
"""
TABLE = """\
claims:
  - number: 1
    says: The blocking pool makes it faster.
    refuted_by: It gains less than a tenth.
    pairs: {study: own.yaml, change: {fraud_check: spawn_blocking}, gain_at_least: "10%"}
    because: The worker is free.
  - {number: 2, says: "Half is a third.", refuted_by: "It is not.", ratio: {of: 1, to: 2, at_least: 3}, because: "So."}
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Return a lab of two claims whose windows are measured by a fake, and count them."""
    (tmp_path / "own.yaml").write_text(STUDY)
    (tmp_path / "table.yaml").write_text(TABLE)
    measured = []

    def window(step, _bench, _place):
        if len(measured) == lab.stop_at:
            raise KeyboardInterrupt
        measured.append(step)
        return Fake(quick, Noise(3, 0.05)).run_step(step, len(measured))

    def run(*arguments):
        given = ["--table", str(tmp_path / "table.yaml"), "--results", str(tmp_path / "results"), "--json", "--quiet"]
        done = CliRunner().invoke(command.command, [*given, *arguments])
        return json.loads(done.stdout)["rows"] if done.exit_code == 0 else done.exception

    lab = SimpleNamespace(run=run, measured=measured, results=tmp_path / "results", stop_at=None)
    monkeypatch.setattr(loop.window, "run", window)
    monkeypatch.setattr(lock, "host_lock", lambda *_: nullcontext())
    monkeypatch.setattr(opening, "_generator", lambda *_: SimpleNamespace(close=lambda: None, priority=0))
    monkeypatch.setattr(opening, "chosen_backend", lambda _: ("process", ""))
    return lab


def test_a_claim_is_tested_by_its_pairs_and_taken_as_it_is_the_next_time(lab):
    pairs, ratio = lab.run()
    count = len(lab.measured)

    assert (count, {step.phase for step in lab.measured}) == (10, {"confirm"})
    assert (pairs["call"], pairs["pairs"]) == ("held here", 5)
    assert pairs["interval"][0] > 0.1
    assert pairs["run"].startswith("own-claim-")
    assert (ratio["call"], ratio["seen"]) == ("refuted here", "1 / 2 = 0.5")
    assert lab.run() == lab.run("--show") == [pairs, ratio]
    assert len(lab.measured) == count


def test_a_changed_study_and_an_explicit_wish_are_tested_again(lab):
    lab.run("1")
    lab.run("1", "--again")

    assert len(lab.measured) == 20

    (lab.results.parent / "own.yaml").write_text(STUDY.replace("rate: 300", "rate: 350"))
    assert lab.run("1", "--show")[0]["call"] == "not run yet"
    lab.run("1")

    assert len(lab.measured) == 30


def test_a_claim_that_could_not_be_judged_is_tested_again_by_the_same_command_and_shown_as_it_is(lab):
    lab.run("1")
    (summary,) = lab.results.glob("own-claim/*/summary.json")
    told = json.loads(summary.read_text())
    summary.write_text(json.dumps({**told, "verdict": {**told["verdict"], "reason_code": "machine_not_ready"}}))
    (shown,) = lab.run("1", "--show")
    lab.run("1")

    assert shown["call"] != "not run yet"
    assert len(lab.measured) == 20


def test_a_later_run_without_a_judgement_does_not_hide_what_an_earlier_one_found(lab):
    (judged,) = lab.run("1")
    lab.run("1", "--again")
    summary = max(lab.results.glob("own-claim/*/summary.json"))
    told = json.loads(summary.read_text())
    summary.write_text(json.dumps({**told, "verdict": {**told["verdict"], "reason_code": "machine_not_ready"}}))

    assert lab.run("1", "--show") == lab.run("1") == [judged]
    assert len(lab.measured) == 20


def test_what_was_interrupted_goes_on_with_its_own_flips(lab):
    lab.stop_at = 4
    lab.run("1")
    lab.stop_at = None
    (row,) = lab.run("1")

    assert len(lab.measured) == 10
    assert row["pairs"] == 5
    assert len(list(lab.results.glob("own-claim/*/run.json"))) == 1


def test_without_windows_a_claim_by_pairs_reads_not_run_yet(lab):
    assert [row["call"] for row in lab.run("--static", "--again")] == ["not run yet", "refuted here"]
    assert lab.measured == []


def test_one_number_tests_one_claim(lab):
    assert [row["number"] for row in lab.run("2")] == [2]
    assert lab.measured == []
