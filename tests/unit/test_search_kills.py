"""A run that is killed again and again ends like one that was left alone: ledgers on a real disk, real SIGKILLs."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
from fakes import Fake, Noise, fake_study, surface

from harness import search
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import Ledger, read_history
from harness.study.model import Budget
from harness.variant import Decision

STUDY = fake_study(budget=Budget(100, None))
FAKE = Fake(surface("tradeoff", 1), Noise(3))
KILLS = 20
FORK = multiprocessing.get_context("fork")  # what is imported stays imported, so kills fall into the run itself


def carry_on(folder):
    """Run the study from wherever its ledger stands."""
    ledger = Ledger(RunFolder(folder))
    while (step := search.next_step(STUDY, ledger.history)) is not None:
        if isinstance(step, Decision):
            ledger.append_decision(step, at=0.0)
        else:
            ledger.append_window(step, FAKE.run_step(step, len(ledger.history.windows) + 1))


def killed_after(seconds, folder):
    """Return the process that carries on, ended by then: by its own end, or by SIGKILL."""
    process = FORK.Process(target=carry_on, args=(folder,))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
    process.join()
    return process


def ledger_text(folder):
    run = RunFolder(folder)
    return run.windows_jsonl.read_text(encoding="utf-8") + run.decisions_jsonl.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_killed_twenty_times_at_random_moments_equals_an_uninterrupted_one(tmp_path):
    whole, cut = Path(tmp_path, "whole"), Path(tmp_path, "cut")
    whole.mkdir()
    cut.mkdir()
    begun = time.monotonic()
    assert killed_after(120.0, whole).exitcode == 0
    took_s = time.monotonic() - begun

    chance = np.random.default_rng(20)
    kills = [killed_after(chance.uniform(0, took_s / KILLS), cut).exitcode for _ in range(KILLS)]
    windows_at_kills = len(read_history(RunFolder(cut)).windows)
    assert killed_after(120.0, cut).exitcode == 0

    assert kills.count(-9) >= KILLS - 2  # the last ones may come after the end
    assert windows_at_kills > 0
    assert ledger_text(cut) == ledger_text(whole)
