"""The commands that measure nothing: what they print, how they exit, and that help is quick to load."""

import json
import subprocess
import sys
from pathlib import Path

import canned_run
import pytest

from harness.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = str(ROOT / "studies" / "quickstart.yaml")


def test_check_prints_the_plan_its_cost_and_the_smallest_effect(harness):
    done = harness("check", QUICKSTART)

    assert done.returncode == 0
    assert "no fault found" in done.stdout
    assert "28 windows" in done.stdout
    assert "minutes" in done.stdout
    assert "smallest gain" in done.stdout


def test_check_speaks_json(harness):
    assert json.loads(harness("check", QUICKSTART, "--json").stdout)["pairs"] == 6


def test_render_prints_the_rust_of_a_variant(harness):
    done = harness("render", QUICKSTART, "--set", "worker_threads=4", "--set", "max_blocking_threads=8")

    assert "        .worker_threads(4)\n        .max_blocking_threads(8)\n        .build()\n" in done.stdout


def test_render_of_the_baseline_is_the_committed_file(harness):
    committed = (ROOT / "target_templates" / "payments" / "src" / "runtime.rs").read_text()

    assert harness("render", QUICKSTART).stdout == committed


def test_render_refuses_what_is_no_level_of_the_study(harness):
    done = harness("render", QUICKSTART, "--set", "worker_threads=5")

    assert done.returncode == 2
    assert "the levels unset, 4" in done.stderr


@pytest.mark.cargo
def test_doctor_names_what_is_there_and_what_is_missing(harness, tmp_path):
    there = harness("doctor", "--json")
    (tmp_path / "empty").mkdir()
    missing = harness("doctor", env={"PATH": str(tmp_path / "empty")})

    assert {row["name"] for row in json.loads(there.stdout) if row["ok"]} >= {"cargo", "linker", "static libc"}
    assert missing.returncode == 3
    assert "MISSING  cargo" in missing.stdout
    assert "apt-get install build-essential" in missing.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(harness, name):
    done = harness(name, "--help")

    assert done.returncode == 0
    assert f"Example: harness {name}" in done.stdout


def test_help_loads_none_of_the_heavy_libraries():
    heavy = {"numpy", "pandas", "scipy", "optuna", "docker", "altair", "pydantic", "jinja2", "rich"}
    code = f"import sys, harness.cli.main; assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_clean_thins_samples_of_old_runs_and_keeps_ledgers_and_reports(harness):
    for n in range(3):
        run = harness.folder / "results" / "demo" / f"2026010{n}T000000Z"
        (run / "windows" / "1").mkdir(parents=True)
        for name in ("run.json", "summary.json", "windows.jsonl", "windows/1/samples.parquet"):
            (run / name).write_text("x")

    done = harness("clean", "--keep", "1")

    assert done.returncode == 0, done.stderr
    left = sorted(
        str(path.relative_to(harness.folder / "results" / "demo")) for path in harness.folder.rglob("windows")
    )
    assert left == ["20260102T000000Z/windows"]
    assert len(list(harness.folder.rglob("windows.jsonl"))) == 3


def test_report_of_a_folder_of_runs_makes_their_index(harness):
    canned_run.write(harness.folder / "results")

    done = harness("report", "results")

    assert (done.returncode, done.stdout) == (0, "all runs: results/index.html\n"), done.stderr
    assert "quickstart" in (harness.folder / "results" / "index.html").read_text()
