"""Readers of /proc and of cgroups, and identities of processes."""

import os
import resource
import subprocess
import sys
import threading
import time

import pytest

from harness.target import proc

STAT = "77 (a) b (c) S 1 77 77 0 -1 4194304 100 0 0 0 7 8 0 0 20 0 5 0 123456 1000 42 18446744073709551615"
V1 = "9:name=systemd:/docker/f00\n4:memory:/docker/f00\n2:cpu,cpuacct:/docker/f00\n0::/docker/f00\n"


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def burn(seconds):
    begun = time.thread_time()
    while time.thread_time() - begun < seconds:
        pass


def test_a_stat_is_read_behind_a_name_with_parentheses():
    assert proc.parse_stat(STAT) == proc.Stat(state="S", threads=5, start_time=123456)


def test_processor_time_of_threads_that_have_ended_stays_in_the_account():
    before = proc.process_cpu_ns(os.getpid())
    thread = threading.Thread(target=burn, args=(0.03,))
    thread.start()
    thread.join()

    assert proc.process_cpu_ns(os.getpid()) - before >= 30_000_000


def test_processor_time_is_finer_than_a_tick_of_the_clock():
    readings = {proc.process_cpu_ns(os.getpid()) % 10_000_000 for _ in range(10)}

    assert len(readings) > 1


def test_the_most_files_are_what_the_process_may_open_now(sleeper):
    resource.prlimit(sleeper.pid, resource.RLIMIT_NOFILE, (77, 100))

    assert proc.most_files(sleeper.pid) == 77


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_a_process_that_is_not_there_has_no_figures(pid):
    found = [
        proc.process_cpu_ns(pid),
        proc.threads(pid),
        proc.rss_bytes(pid),
        proc.vm_hwm_bytes(pid),
        proc.identity(pid),
        proc.most_files(pid),
    ]

    assert found == [None] * 6


def test_threads_are_counted_and_named():
    stop = threading.Event()
    before = proc.threads(os.getpid())
    thread = threading.Thread(target=stop.wait)
    thread.start()
    during = proc.threads(os.getpid())
    stop.set()
    thread.join()

    assert during - before == 1
    assert len(proc.thread_names(os.getpid())) >= 1


def test_the_peak_is_at_least_the_resident_memory():
    now = proc.rss_bytes(os.getpid())

    assert proc.vm_hwm_bytes(os.getpid()) >= now > 2**20


def test_the_peak_is_read_in_bytes():
    assert proc.parse_vm_hwm("VmPeak:\t  900 kB\nVmHWM:\t     640 kB\nVmRSS:\t 10 kB\n") == 640 * 1024
    assert proc.parse_vm_hwm("Name: kthreadd\n") is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (V1, "docker/f00"),
        ("1:cpu:/\n0::/\n", ""),
        ("0::/system.slice/docker-f00.scope\n", "system.slice/docker-f00.scope"),
    ],
)
def test_the_cgroup_that_accounts_cpu_is_found_in_v1_and_v2(text, path):
    assert proc.parse_cpu_cgroup(text) == path


def test_no_cgroup_is_unknown():
    assert proc.parse_cpu_cgroup("") is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("nr_periods 4\nnr_throttled 2\nthrottled_time 1500000000\n", 1.5),
        ("usage_usec 9\nnr_throttled 2\nthrottled_usec 250000\n", 0.25),
        ("usage_usec 9\nuser_usec 9\n", None),
    ],
)
def test_throttled_time_is_nanoseconds_in_v1_and_microseconds_in_v2(text, seconds):
    assert proc.parse_throttled_s(text) == seconds


def test_a_living_process_has_not_ended(sleeper):
    assert not proc.has_ended(proc.identity(sleeper.pid))


def test_a_process_that_was_killed_has_ended_even_before_it_is_reaped(sleeper):
    known = proc.identity(sleeper.pid)
    sleeper.kill()

    assert proc.wait_gone(sleeper.pid, 5)
    assert proc.has_ended(known)


def test_the_same_pid_with_another_start_is_another_process(sleeper):
    pid, start, boot, namespace = proc.identity(sleeper.pid).split(":")

    assert proc.has_ended(f"{pid}:{int(start) - 1}:{boot}:{namespace}")


def test_what_ran_before_the_last_boot_has_ended(sleeper):
    pid, start, _, namespace = proc.identity(sleeper.pid).split(":")

    assert proc.has_ended(f"{pid}:{start}:another-boot:{namespace}")


@pytest.mark.parametrize("named", ["", "12", "12:34:boot", "x:1:2:3", "a:b:c:d:e"])
def test_what_is_no_identity_cannot_be_said_to_have_ended(named):
    assert not proc.has_ended(named)


def test_a_process_of_another_pid_namespace_cannot_be_said_to_have_ended():
    _, _, boot, namespace = proc.identity(os.getpid()).split(":")

    assert not proc.has_ended(f"{2**22 + 1}:1:{boot}:{namespace}0")


def test_waiting_for_a_living_process_ends_with_the_limit(sleeper):
    assert not proc.wait_gone(sleeper.pid, 0.01)


def test_waiting_for_a_process_that_is_gone_ends_at_once():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()

    assert proc.wait_gone(done.pid, 5)
