"""Bad input and what it gets: a line that says what, where and what to do, the right exit code, and no traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WAIT = ("--wait", "200")
FRAMES = "{name: frame, method: POST, path: /frames}\n    - {name: first, path: /frames/first}"


def refused(done, code, *words):
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("command", ["check", "optimize"])
def test_a_study_that_needs_a_larger_machine_is_refused_with_what_it_needs(harness, command):
    harness.study.write_text(harness.study.read_text() + "needs_cores: 4096\n")

    refused(harness(command, "small.yaml"), 3, "small needs 4096 cores", "run it on a larger machine")
    assert not (harness.folder / "results").exists() or not any((harness.folder / "results").rglob("run.json"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("knobs:", "knobbs:", "small.yaml:11:1 knobbs: is no known key. Did you mean knobs?"),
        ("timeout: 500ms", "timeout: 500", "load.timeout: write a duration with its unit"),
        ("[inline, spawn_blocking]", "[inline]", "has only one level in effect"),
        (
            "template: payments, memory: 256MiB, set: {check_ms: 2}",
            "template: echo",
            "Options of echo: planted_percent",
        ),
        ("confirm: 5", "confirm: 1", "phases.confirm: at least 5 pairs can make a claim"),
        ("fraud_check: [inline, spawn_blocking]", "worker_threads: {low: 9, high: 2}", "must be at least low (9)"),
    ],
)
def test_a_faulty_study_is_refused_with_line_and_key(harness, old, new, words):
    harness.study.write_text(harness.study.read_text().replace(old, new))

    refused(harness("check", "small.yaml"), 2, words)


def test_a_missing_study_names_the_nearest(harness):
    refused(harness("optimize", "smal.yaml"), 2, "smal.yaml: there is no such file. Did you mean small.yaml?")


def test_an_unknown_command_or_flag_is_a_usage_error(harness):
    refused(harness("optimise"), 2, "optimise")
    refused(harness("check", "small.yaml", "--fast"), 2, "--fast")


def test_a_folder_that_is_no_run_is_refused(harness):
    refused(harness("report", "."), 2, "run.json")


def test_nothing_to_resume_is_said(harness):
    refused(
        harness("optimize", "small.yaml", "--resume", "--backend", "process", *WAIT), 2, "no unfinished run to resume"
    )


@pytest.mark.load
def test_a_missing_cargo_is_named_with_what_brings_it(harness, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    env = {"PATH": str(tools), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    refused(harness("optimize", "small.yaml", "--backend", "process", *WAIT, env=env), 3, "install Rust", "--resume")


def test_a_patience_that_is_no_number_is_refused_before_anything_is_spent(harness):
    done = harness("optimize", "small.yaml", "--backend", "process", *WAIT, env={"HARNESS_PATIENCE": "long"})

    refused(done, 2, "HARNESS_PATIENCE=long is no number of seconds")
    assert not (harness.folder / "results").exists()


def test_a_budget_too_small_for_any_claim_is_refused_before_it_is_spent(harness):
    harness.study.write_text(harness.study.read_text() + "budget: {time: 45s}\n")

    refused(harness("optimize", "small.yaml", *WAIT), 2, "too few for any claim", "are the fewest that allow one")
    assert not (harness.folder / "results").exists()


def test_an_optuna_storage_that_cannot_be_opened_is_refused_before_anything_is_spent(harness):
    done = harness("optimize", "small.yaml", "--optuna-storage", "sqlite:////nowhere/of/mine.db", *WAIT)

    refused(done, 2, "--optuna-storage: the storage cannot be opened (sqlite", "sqlite:///optuna.db")
    assert not (harness.folder / "results").exists()


def test_more_cores_than_there_are_is_the_machines_fault(harness):
    harness.study.write_text(harness.study.read_text().replace("memory: 256MiB", "cpus: 900"))

    refused(harness("optimize", "small.yaml", "--backend", "process", *WAIT), 3, "set target.cpus to")


@pytest.mark.cargo
@pytest.mark.load
def test_a_target_that_answers_wrongly_ends_the_run_at_once_with_its_words(harness):
    study = harness.study.read_text().replace("json: {amount: 1200}", "json: {amount: 1200}, expect: {status: 201}")
    harness.study.write_text(study)

    refused(harness("optimize", "small.yaml", "--backend", "process", *WAIT), 4, "answered 200 instead of 201")
    assert [window["validity"] for window in harness.windows()] == ["FAILED", "FAILED"]


@pytest.mark.cargo
@pytest.mark.load
def test_a_crate_that_does_not_compile_ends_the_run_with_the_compilers_words(harness, tmp_path):
    crate = tmp_path / "crate"
    shutil.copytree(ROOT / "tests" / "own_crate", crate, ignore=shutil.ignore_patterns("target"))
    (crate / "src" / "main.rs").write_text("mod runtime;\nfn main() { this is no Rust }\n")
    study = harness.study.read_text().replace(
        "{template: payments, memory: 256MiB, set: {check_ms: 2}}", "{path: crate}"
    )
    harness.study.write_text(study.replace("fraud_check: [inline, spawn_blocking]", "worker_threads: [2, 1]"))

    refused(harness("optimize", "small.yaml", "--backend", "process", *WAIT), 4, "does not build")
    assert "this is no Rust" in harness.windows()[0]["log"]


@pytest.mark.cargo
@pytest.mark.load
def test_an_io_uring_that_the_system_forbids_is_said_once_and_the_rest_works(harness):
    study = harness.study.read_text().replace(
        "{template: payments, memory: 256MiB, set: {check_ms: 2}}", "{template: ingest, set: {frame_kib: 4}}"
    )
    study = study.replace("{name: pay, method: POST, path: /payments, json: {amount: 1200}}", FRAMES)
    harness.study.write_text(study.replace("fraud_check: [inline, spawn_blocking]", "enable_io_uring: [unset, true]"))

    forbidding = [sys.executable, str(ROOT / "tests" / "contract" / "without_io_uring.py")]
    done = subprocess.run(
        [
            *forbidding,
            sys.executable,
            "-m",
            "harness.cli.main",
            "optimize",
            "small.yaml",
            "--backend",
            "process",
            *WAIT,
        ],
        cwd=harness.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=280,
    )

    assert done.returncode in {0, 4}, done.stderr
    asked = [window for window in harness.windows() if window["values"].get("enable_io_uring")]
    assert asked
    assert {window["in_force"].get("io_uring") for window in asked if window["validity"] != "FAILED"} == {False}
    assert done.stderr.count("no-op here") == 1


def in_own_mounts(harness, mount, *arguments):
    """Run harness where `results` is a mount of its own, and copy out what it wrote there before the mount goes."""
    (harness.folder / "results").mkdir()
    command = f'{mount} && "$@"; code=$?; cp -r results kept; exit $code'
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", command, "sh", sys.executable, "-m", "harness.cli.main", *arguments],
        cwd=harness.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=280,
    )


may_mount = pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="mounts of its own need root",
)


@may_mount
def test_a_results_folder_that_is_read_only_is_said(harness):
    done = in_own_mounts(
        harness, "mount -t tmpfs -o ro none results", "optimize", "small.yaml", "--backend", "process", *WAIT
    )

    refused(done, 3, "read-only file system", "--results")


@may_mount
@pytest.mark.cargo
@pytest.mark.load
def test_a_full_disk_ends_the_run_and_keeps_what_was_measured(harness):
    study = (
        harness.study.read_text().replace("rate: 100", "rate: 3000").replace("inline, spawn", "spawn_blocking, spawn")
    )
    study = (
        study.replace("rate: 3000", "rate: 1000")
        .replace("measure: 500ms", "measure: 3s")
        .replace("_blocking, spawn", "")
    )
    harness.study.write_text(study.replace("[spawn_blocking]", "[inline, spawn_blocking]"))
    done = in_own_mounts(
        harness,
        "mount -t tmpfs -o size=256k none results",
        *("optimize", "small.yaml", "--backend", "process", *WAIT),
    )
    (ledger,) = harness.folder.glob("kept/*/*/windows.jsonl")
    lines = ledger.read_text().split("\n")

    refused(done, 3, "free some space", "--resume", "kept")
    assert all(json.loads(line)["n"] == n for n, line in enumerate(lines[:-1], start=1))
