"""The jitter probe: a process of its own that sees what a pause of the host does to a thread that only wakes."""

import os
import signal
import time

from harness.window.jitter import JitterProbe, summary

AT_ANY_TIME = (0, 2**62)


def test_the_quantiles_are_in_milliseconds():
    assert summary([n * 10_000 for n in range(101)]) == {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
    assert summary([]) is None


def test_a_probe_that_is_held_up_says_for_how_long():
    probe = JitterProbe()
    try:
        probe.begin(*AT_ANY_TIME)
        time.sleep(0.3)
        os.kill(probe.pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(probe.pid, signal.SIGCONT)
        time.sleep(0.1)
        held = probe.finish()
        probe.begin(*AT_ANY_TIME)
        time.sleep(0.1)
        after = probe.finish()
    finally:
        probe.close()

    assert held.max_ms > 150
    assert held.p50_ms < 20
    assert after.max_ms < held.max_ms


def test_what_comes_before_and_after_the_measured_stretch_is_not_told():
    probe = JitterProbe()
    try:
        probe.begin(time.monotonic_ns() + 3600 * 10**9, 2**62)
        time.sleep(0.1)
        assert probe.finish() is None
    finally:
        probe.close()


def test_a_probe_that_died_says_nothing_and_holds_nothing_up():
    probe = JitterProbe()
    os.kill(probe.pid, signal.SIGKILL)
    probe.begin(*AT_ANY_TIME)

    assert probe.finish() is None
    probe.close()
