"""A small real study and a way to run the command line on it, as a person would."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARNESS = [sys.executable, "-m", "harness.cli.main"]
SMALL = """\
study: small
target: {template: payments, memory: 256MiB, set: {check_ms: 2}}
load:
  rate: 100
  connections: 8
  timeout: 500ms
  requests:
    - {name: pay, method: POST, path: /payments, json: {amount: 1200}}
window: {warmup: 200ms, measure: 500ms}
objective: {minimize: p50}
knobs:
  fraud_check: [inline, spawn_blocking]
phases: {calibrate: 3, search: 1, confirm: 5}
"""


ALONE = {"PYTHONPATH": str(ROOT), "HARNESS_PATIENCE": "3"}
"""This repository's harness, which does not wait for minutes where a neighbour stays: a test has a time limit of its own."""


class Runner:
    """Runs harness in a folder with the small study in it."""

    def __init__(self, folder):
        self.folder = folder
        self.study = folder / "small.yaml"
        self.study.write_text(SMALL)

    def __call__(self, *arguments, env=None, timeout=280):
        return subprocess.run(
            [*HARNESS, *arguments],
            cwd=self.folder,
            env={**os.environ, **ALONE, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *arguments, env=None):
        return subprocess.Popen(
            [*HARNESS, *arguments],
            cwd=self.folder,
            env={**os.environ, **ALONE, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run_folder(self):
        (folder,) = (path.parent for path in self.folder.glob("results/*/*/run.json"))
        return folder

    def windows(self):
        found = list(self.folder.glob("results/*/*/windows.jsonl"))
        return [json.loads(line) for line in found[0].read_text().splitlines()] if found else []

    def wait_for_windows(self, process, count, seconds=180):
        self.wait_until(lambda: len(self.windows()) >= count, process, seconds)

    def wait_until(self, happened, process, seconds=180):
        end = time.monotonic() + seconds
        while not happened():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "the windows did not come"
            time.sleep(0.02)

    def end(self, process, number=signal.SIGINT):
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def harness(tmp_path):
    return Runner(tmp_path)
