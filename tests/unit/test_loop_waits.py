"""The loop waits for a quiet host before the window that follows an INVALID one, whichever window that is."""

from types import SimpleNamespace

import pytest
from fakes import Fake, Noise, quick, quick_study

from harness import loop, search
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import Ledger
from harness.study.model import Budget
from harness.window.measurement import Validity

NOTHING = SimpleNamespace(**dict.fromkeys(("step", "measured", "decided", "waits"), lambda *_: None))


@pytest.fixture
def waits_of(tmp_path, monkeypatch):
    """Return what measures a study whose windows with these numbers are INVALID, and the waits as (windows before, s)."""
    waits = []

    def carried_out(*refused, next_step=search.next_step, **study):
        ledger = Ledger(RunFolder(tmp_path))
        fake = Fake(
            quick, Noise(1, 0.05), faults=lambda n, _: (Validity.INVALID, "a neighbour") if n in refused else None
        )
        monkeypatch.setattr(loop.window, "run", lambda step, *_: fake.run_step(step, len(ledger.history.windows) + 1))
        monkeypatch.setattr(
            loop.quiet,
            "wait_until_quiet",
            lambda _c, _l, limit_s, _t: waits.append((len(ledger.history.windows), limit_s)),
        )
        bench = SimpleNamespace(cores=SimpleNamespace(target=(1,), generator=(0,)))
        loop.run(quick_study(**study), ledger, bench, NOTHING, next_step)
        return waits

    return carried_out


def test_a_quiet_run_never_waits(waits_of):
    assert waits_of() == []


def test_a_neighbour_that_stays_is_waited_for_longer_and_longer(waits_of):
    assert waits_of(2, 8, 9, 10) == [(2, 60.0), (8, 60.0), (9, 120.0), (10, 240.0)]


def test_no_wait_is_longer_than_the_time_that_is_left_for_one_more_window(waits_of):
    """Of 100 s three windows of 10 s with a second between have used 32, and the next one needs 10."""
    assert waits_of(2, 3, budget=Budget(28, 100.0)) == [(2, 60.0), (3, 58.0)]


def test_a_diagnosis_ends_after_five_refused_windows_in_a_row(waits_of):
    waits = waits_of(*range(1, 100), next_step=loop.baseline_only(30))

    assert waits == [(1, 60.0), (2, 120.0), (3, 240.0), (4, 480.0)]
