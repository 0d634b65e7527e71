"""The whole path for real: cargo, Docker or child processes, Locust, the search, the report; killed, resumed, disturbed."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import opening, search, variant
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import read_history
from harness.study import load
from harness.variant import Decision

pytestmark = [pytest.mark.cargo, pytest.mark.load]
WAIT = ("--wait", "200")


def ours(run_id=""):
    """Return the containers that carry our label, all of them where no run is named."""
    label = f"label=tokio-harness.run{'=' + run_id if run_id else ''}"
    done = subprocess.run(["docker", "ps", "-aq", "--filter", label], capture_output=True, text=True, check=False)
    return done.stdout.split()


def replayed(harness):
    """Replay next_step over every prefix of the ledger and return the first step that was not the one run, if any."""
    folder = RunFolder(harness.run_folder())
    study, history = opening.as_begun(load(harness.study), opening.read_run(folder)), read_history(folder)
    decided = [(record.after, record.k, "decision", record) for record in history.decisions]
    measured = [(record.n - 1, record.after + 0.5, "window", record) for record in history.windows]
    windows, decisions = [], []
    for _, _, kind, record in sorted([*decided, *measured], key=lambda row: row[:2]):
        prefix = history.model_copy(update={"windows": tuple(windows), "decisions": tuple(decisions)})
        step = search.next_step(study, prefix)
        if kind == "decision":
            assert isinstance(step, Decision)
            assert (step.kind, json.loads(json.dumps(step.content))) == (record.kind, record.content)
            decisions.append(record)
        else:
            named = (
                step.phase,
                step.role,
                step.block,
                step.position,
                step.attempt,
                step.variant.id,
                step.schedule_seed,
            )
            was = (record.phase, record.role, record.block, record.position, record.attempt, record.variant)
            assert named == (*was, record.schedule_seed)
            windows.append(record)
    return len(windows), len(decisions)


@pytest.mark.docker
def test_a_study_runs_to_its_report_in_containers_and_leaves_none(harness):
    done = harness("optimize", "small.yaml", *WAIT)

    assert done.returncode in {0, 4}, done.stderr  # 4 on a machine that is not quiet
    assert "Traceback" not in done.stderr
    folder = harness.run_folder()
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {
        "run.json",
        "windows.jsonl",
        "decisions.jsonl",
        "report.html",
        "runbook.md",
        "summary.json",
        "junit.xml",
    } <= written
    assert f"small/{folder.name}/report.html" in (harness.folder / "results" / "index.html").read_text()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["backend"] == "docker"
    assert summary["verdict"]["call"] in {"better", "same", "inconclusive", "worse"}
    assert sum(summary["windows"][kind] for kind in ("valid", "degraded", "invalid", "failed")) == len(
        harness.windows()
    )
    assert ours(f"small-{folder.name}") == []
    if summary["verdict"]["call"] == "better":
        measured = (folder / "variants" / variant_of(harness, summary["verdict"]["winner"]) / "runtime.rs").read_bytes()
        assert (folder / "recommended" / "runtime.rs").read_bytes() == measured
    assert replayed(harness)[0] == len(harness.windows())


def variant_of(harness, winner):
    return variant.of(load(harness.study), winner).id


KILLED_AFTER = ((1, 0.1), (2, 0.6), (4, 0.9))
"""Windows in the ledger, and seconds from there to the kill: early, in the middle and late in a window; the last is one of
the first pair. Not later, because five invalid windows in a row end the run of a machine that is not quiet."""


@pytest.mark.docker
def test_a_run_killed_three_times_at_different_moments_loses_no_window_and_doubles_none(harness):
    """Each start goes on where the one before was killed; replayed over every prefix, each step is the one that was run."""
    known = []
    for windows, seconds in KILLED_AFTER:
        process = harness.start("optimize", "small.yaml", *WAIT)
        harness.wait_for_windows(process, windows)
        time.sleep(seconds)
        code, _, _ = harness.end(process, signal.SIGKILL)
        before, left = harness.windows(), ours()

        assert code == -signal.SIGKILL
        assert before[: len(known)] == known
        assert len(before) >= windows
        assert len(left) <= 1
        known = before

    done = harness("optimize", "small.yaml", *WAIT)
    after = harness.windows()

    assert "resuming" in done.stderr, done.stderr
    assert after[: len(known)] == known
    assert [window["n"] for window in after] == list(range(1, len(after) + 1))
    assert not set(left) & set(ours())
    assert ours() == []
    assert replayed(harness)[0] == len(after)


def test_ctrl_c_keeps_what_was_measured_and_says_how_to_go_on(harness):
    process = harness.start("optimize", "small.yaml", "--backend", "process", *WAIT)
    harness.wait_for_windows(process, 1)
    code, _, err = harness.end(process, signal.SIGINT)

    assert code == 130
    assert "Traceback" not in err
    assert "are kept in" in err
    assert "harness optimize small.yaml --resume" in err


def test_a_second_run_is_refused_and_told_who_holds_the_host(harness):
    first = harness.start("optimize", "small.yaml", "--backend", "process", *WAIT)
    harness.wait_for_windows(first, 1)
    second = harness("optimize", "small.yaml", "--backend", "process", "--results", "elsewhere")
    harness.end(first)

    assert second.returncode == 3
    assert f"pid {first.pid}" in second.stderr
    assert "--wait" in second.stderr


def test_without_docker_the_process_backend_is_taken_and_said(harness):
    done = harness("optimize", "small.yaml", *WAIT, env={"DOCKER_HOST": "unix:///nowhere.sock"})

    assert done.returncode in {0, 4}, done.stderr
    assert "the process backend is taken. What is lost without Docker" in done.stderr
    assert json.loads((harness.run_folder() / "run.json").read_text())["backend"] == "process"


@pytest.mark.docker
def test_docker_going_away_ends_the_run_keeps_it_and_the_next_start_cleans_up(harness):
    socket_file = harness.folder / "docker.sock"
    relay = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import relay; relay.serve({str(socket_file)!r})"
    with subprocess.Popen(
        [os.environ.get("PYTHON", "python3"), "-c", relay], stdout=subprocess.PIPE, text=True
    ) as proxy:
        assert proxy.stdout.readline() == "ready\n"
        process = harness.start("optimize", "small.yaml", *WAIT, env={"DOCKER_HOST": f"unix://{socket_file}"})
        harness.wait_for_windows(process, 2)
        proxy.kill()
    _, err = process.communicate(timeout=120)
    measured = len(harness.windows())

    assert process.returncode == 3, err
    assert "Traceback" not in err
    assert "Docker does not answer as it should" in err
    assert "--resume" in err
    assert measured >= 2

    lost = harness("optimize", "small.yaml", *WAIT, env={"DOCKER_HOST": "unix:///nowhere.sock"})
    assert lost.returncode == 3, lost.stderr  # a run never changes its backend

    done = harness("optimize", "small.yaml", *WAIT)
    assert "resuming" in done.stderr
    assert len(harness.windows()) > measured
    assert ours() == []


def test_an_own_crate_is_measured_against_its_own_committed_runtime(harness):
    crate = Path(__file__).resolve().parents[1] / "own_crate"
    before = {path: path.stat().st_mtime_ns for path in crate.rglob("*")}
    harness.study.write_text(
        harness.study.read_text()
        .replace("{template: payments, memory: 256MiB, set: {check_ms: 2}}", f"{{path: {crate}}}")
        .replace("method: POST, path: /payments, json: {amount: 1200}", "path: /")
        .replace("fraud_check: [inline, spawn_blocking]", "worker_threads: [2, 1]")
    )
    done = harness("optimize", "small.yaml", "--backend", "process", *WAIT)

    assert done.returncode in {0, 4}, done.stderr
    (baseline,) = {window["variant"] for window in harness.windows() if window["role"] == "baseline"}
    kept = harness.run_folder() / "variants" / baseline / "runtime.rs"
    assert kept.read_text() == (crate / "src" / "runtime.rs").read_text()
    assert all("no request counter" in " ".join(window["reasons"]) for window in harness.windows())
    assert (done.stderr.count("no request counter"), done.stderr.count("has no probe")) == (1, 1)
    assert {path: path.stat().st_mtime_ns for path in crate.rglob("*")} == before


def test_a_target_slower_than_its_rate_is_measured_and_not_called_invalid_for_it(harness):
    harness.study.write_text(harness.study.read_text().replace("check_ms: 2", "check_ms: 50"))
    harness("optimize", "small.yaml", "--backend", "process", *WAIT)
    baselines = [window for window in harness.windows() if window["values"]["fraud_check"] == "inline"]

    assert baselines
    for window in baselines:
        figures = window["metrics"]
        ends = ("completed", "failed", "timed_out", "dropped", "unfinished")
        assert figures["offered"] == sum(figures[end] for end in ends)
        assert figures["throughput"] < 0.9
        assert figures["p50_ms"] == 500.0  # reads as the time-out
        assert window["host"]["dispatched_share"] == 1.0
