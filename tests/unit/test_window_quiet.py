"""A host that is waited for: what others take of idle cores, what the hypervisor takes of busy ones."""

import os
import subprocess
import sys

import pytest

from harness.errors import StudyError
from harness.window import quiet
from harness.window.host import CpuUse
from harness.window.quiet import Disturbance

CORE = min(os.sched_getaffinity(0))
BUSY = f"import os\nos.sched_setaffinity(0, {{{CORE}}})\nprint(flush=True)\nwhile True: pass"
SECOND = 1_000_000_000


LOOK_S = 1.5


@pytest.fixture
def host(monkeypatch):
    """A host that shows these disturbances one after another, the last for ever; time passes on its own clock only."""

    def shows(*seen):
        clock, left = [0.0], list(seen)

        def look(_cores):
            clock[0] += LOOK_S
            return left.pop(0) if len(left) > 1 else left[0]

        monkeypatch.delenv(quiet.PATIENCE, raising=False)
        monkeypatch.setattr(quiet.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(quiet.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
        monkeypatch.setattr(quiet, "disturbance", look)
        return clock

    return shows


def test_a_busy_process_on_a_core_of_ours_is_a_disturbance():
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as neighbour:
        neighbour.stdout.readline()
        found = quiet.disturbance((CORE,))
        neighbour.kill()

    assert found.foreign > 0.25
    assert not found.quiet(0.25)


def test_what_the_hypervisor_takes_is_looked_for_while_the_cores_are_busy(monkeypatch):
    used, steal = {"ns": 0}, {"ns": 0}
    monkeypatch.setattr(quiet, "read_cpu_use", lambda: CpuUse({0: used["ns"]}, {0: steal["ns"]}))
    monkeypatch.setattr(quiet.time, "monotonic_ns", lambda: used["ns"] + steal["ns"])
    monkeypatch.setattr(quiet.time, "sleep", lambda seconds: used.update(ns=int(seconds * 0.02 * SECOND)))
    monkeypatch.setattr(quiet, "_keep_busy", lambda *_: steal.update(ns=SECOND // 5))

    assert quiet.disturbance((0,)).steal == 1.0


def test_steal_alone_is_waited_for(host):
    host(Disturbance(0.0, 0.3), Disturbance(0.0, 0.3), Disturbance(0.01, 0.02))
    told = []

    assert quiet.wait_until_quiet((0,), 0.05, 60.0, told.append)
    assert told == [
        "waiting up to 1 min for a quiet host: other processes use 0% of a core of ours, the hypervisor takes 30%"
    ]


def test_a_quiet_host_is_looked_at_for_a_tenth_of_the_longest_wait_and_nothing_is_said(host):
    clock, told = host(Disturbance(0.01, 0.0)), []

    assert quiet.wait_until_quiet((0,), 0.05, 60.0, told.append)
    assert (clock[0], told) == (4 * LOOK_S, [])


def test_a_moment_between_two_bursts_is_not_taken_for_the_end(host):
    clock = host(*[Disturbance(0.0, 0.2), Disturbance(0.0, 0.0), Disturbance(0.0, 0.0)] * 2, Disturbance(0.0, 0.0))

    assert quiet.wait_until_quiet((0,), 0.05, 60.0)
    assert clock[0] == 2 * (LOOK_S + quiet.REST_S) + 2 * LOOK_S + 4 * LOOK_S


def test_a_wait_ends_at_its_limit_though_the_host_never_gets_quiet(host):
    clock = host(Disturbance(0.5, 0.0))

    assert not quiet.wait_until_quiet((0,), 0.05, 30.0)
    assert 30.0 <= clock[0] < 30.0 + LOOK_S


@pytest.mark.parametrize(("patience", "waited_s"), [("0", 0.0), ("10", 10.0), ("inf", 30.0), ("1e9", 30.0)])
def test_nobody_waits_longer_than_a_person_allows(host, monkeypatch, patience, waited_s):
    clock = host(Disturbance(0.5, 0.0))
    monkeypatch.setenv(quiet.PATIENCE, patience)

    assert not quiet.wait_until_quiet((0,), 0.05, 30.0)
    assert waited_s <= clock[0] < waited_s + LOOK_S


@pytest.mark.parametrize("patience", ["-1", "nan", "long", ""])
def test_a_patience_that_is_no_number_of_seconds_is_refused(monkeypatch, patience):
    monkeypatch.setenv(quiet.PATIENCE, patience)

    with pytest.raises(StudyError, match=f"HARNESS_PATIENCE={patience} is no number of seconds"):
        quiet.patience_s()
