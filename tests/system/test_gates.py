"""Every gate by a real cause: the generator or the host is disturbed, and the window says so; the target may do what it likes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import served

from harness import variant
from harness.load import native_program, samples
from harness.load.generator import LocustGenerator
from harness.load.job import SAMPLE_COLUMNS
from harness.load.samples import Samples
from harness.study import load
from harness.study.model import WindowTimes
from harness.target import build, proc
from harness.target.process import ProcessBackend
from harness.variant import Step
from harness.window import gates, quiet
from harness.window import run as window
from harness.window.jitter import JitterProbe
from harness.window.measurement import Validity
from harness.window.run import Bench, Place

pytestmark = pytest.mark.load
TRIES, QUIET_LIMIT_S = 6, 10.0
QUOTAS = Path("/sys/fs/cgroup/cpu")
LOCKSTEP = """
from locust import FastHttpUser, constant_throughput, task
class Lockstep(FastHttpUser):
    wait_time = constant_throughput(10)
    @task
    def get(self):
        self.client.get("/")
"""
RETRIES = """
import gevent
from locust import FastHttpUser, task
class Eager(FastHttpUser):
    @task
    def get(self):
        self.client.get("/")
        gevent.sleep(0.02)
"""


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    made = LocustGenerator(served.CORES.generator, tmp_path_factory.mktemp("generator") / "log")
    yield made
    made.close()


def reasons(seen, *words):
    """Return the reasons that contain every word."""
    return [reason for reason in seen.reasons if all(word in reason for word in words)]


def undisturbed(measure):
    """Return a window that others left alone: of a few tries, each in a quiet moment if one comes, the first usable."""
    cores = (*served.CORES.generator, *served.CORES.target)
    for _ in range(TRIES):
        quiet.wait_until_quiet(cores, gates.LIMITS.foreign_degraded, QUIET_LIMIT_S)
        seen = measure()
        if seen.validity is not Validity.INVALID:
            break
    return seen


def require_usable(seen):
    """Fail where a window is INVALID or FAILED; skip, at the end of a test, where nothing but the host made it so."""
    of_the_host = [*gates.foreign_cpu(seen.host), *gates.steal(seen.host), *gates.lateness(seen.host)]
    excused = {gate.reason for gate in of_the_host if gate.validity is Validity.INVALID}
    invalid = {gate.reason for judge in gates.GATES.values() for gate in judge(seen.host, gates.LIMITS)
               if gate.validity is Validity.INVALID}  # fmt: skip
    if seen.validity is Validity.INVALID and invalid <= excused:
        pytest.skip(f"others used this machine in each of {TRIES} windows: {'; '.join(seen.reasons)}")
    assert seen.validity in {Validity.VALID, Validity.DEGRADED}, seen.reasons


@contextmanager
def busy(core):
    """Keep a core busy with somebody else's work."""
    code = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        try:
            yield
        finally:
            other.kill()


@contextmanager
def quota(pid, share):
    """Allow a process that share of one core, by a cgroup of our own."""
    group = QUOTAS / f"harness-test-{os.getpid()}"
    group.mkdir()
    home = proc.parse_cpu_cgroup(Path(f"/proc/{pid}/cgroup").read_text())
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(int(100_000 * share)))
        for task in Path(f"/proc/{pid}/task").iterdir():
            (group / "tasks").write_text(task.name)
        yield
    finally:
        for task in Path(f"/proc/{pid}/task").iterdir():
            (QUOTAS / home / "tasks").write_text(task.name)
        group.rmdir()


def stop_for(pid, after_s, length_s):
    """Return what stops a process for a while, some time after the target is up."""

    def stop():
        time.sleep(after_s)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(length_s)
        os.kill(pid, signal.SIGCONT)

    return lambda _pid: threading.Thread(target=stop, daemon=True).start()


@contextmanager
def mostly_stopped(pid, share):
    """Let a process run for that share of each tenth of a second only, as a quota would; needs no cgroup."""
    ended = threading.Event()

    def take_turns():
        while not ended.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.1 * (1 - share))
            os.kill(pid, signal.SIGCONT)
            ended.wait(0.1 * share)

    turns = threading.Thread(target=take_turns, daemon=True)
    turns.start()
    try:
        yield
    finally:
        ended.set()
        turns.join()


def test_a_generator_that_hardly_ever_runs_is_invalid_and_says_why(generator):
    with mostly_stopped(generator.pid, 0.3):
        seen = served.measured(generator, served.Backend("quick"), served.study(rate=1000.0))

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "late")


needs_quota = pytest.mark.skipif(
    not os.access(QUOTAS / "tasks", os.W_OK),
    reason="needs a cgroup v1 CPU controller that this user may write to",
)


@needs_quota
@pytest.mark.fires("throttling")
def test_a_starved_generator_is_invalid_and_says_why(generator):
    with quota(generator.pid, 0.03):
        seen = served.measured(generator, served.Backend("quick"), served.study(rate=1000.0))

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "a CPU quota stopped the generator")
    assert reasons(seen, "late")


@pytest.mark.fires("foreign_cpu")
def test_foreign_load_on_the_generators_core_is_invalid(generator):
    with busy(served.CORES.generator[0]):
        seen = served.measured(generator, served.Backend("quick"), served.study())

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "other processes used", "of a core of ours")


@pytest.mark.fires("foreign_cpu")
def test_foreign_load_on_the_targets_core_is_invalid(generator):
    with busy(served.CORES.target[0]):
        seen = served.measured(generator, served.Backend("quick"), served.study())

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "other processes used", "of a core of ours")


@pytest.mark.fires("generator_cpu")
def test_a_rate_far_above_what_the_generator_can_is_invalid(generator):
    seen = served.measured(generator, served.Backend("quick"), served.study(rate=60_000.0, measure_s=1.0))

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "the generator used")


@pytest.mark.cargo
@pytest.mark.fires("upstream")
def test_an_upstream_that_dies_within_the_window_is_invalid_though_the_target_answers_502(generator, tmp_path):
    def kill_it(pid):
        time.sleep(1.2)
        os.kill(pid, signal.SIGKILL)

    backend = ProcessBackend(tmp_path / "children.json")
    seen = served.forwarded(generator, backend, tmp_path, kill_it)

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "the upstream did not survive the window: killed by SIGKILL")
    assert seen.figures.failed > 100


@pytest.mark.fires("dispatched")
def test_a_generator_that_is_stopped_until_the_window_is_over_is_invalid(generator):
    stopped = stop_for(generator.pid, after_s=2.2, length_s=3.0)
    seen = served.measured(generator, served.Backend("quick", stopped), served.study(measure_s=2.0))

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "the generator dispatched only")


@pytest.mark.fires("lateness")
def test_a_generator_that_is_stopped_for_a_moment_is_invalid(generator):
    stopped = stop_for(generator.pid, after_s=1.5, length_s=0.6)
    seen = served.measured(generator, served.Backend("quick", stopped), served.study(measure_s=3.0))

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "sent later than")


@pytest.mark.fires("arrivals")
def test_users_of_a_locustfile_in_lockstep_are_invalid(tmp_path):
    file = tmp_path / "locustfile.py"
    file.write_text(LOCKSTEP)
    made = served.study(connections=50, rate=None, model="closed", arrivals=None, engine="locustfile", locustfile=file)
    generator = LocustGenerator(served.CORES.generator, tmp_path / "log", locustfile=file)
    try:
        seen = served.measured(generator, served.Backend("quick"), made)
    finally:
        generator.close()

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "requests went out in herds")
    assert reasons(seen, "closed model, generator-heavy")


@pytest.mark.fires("counts")
def test_a_hidden_retry_of_a_users_client_is_invalid(tmp_path):
    file = tmp_path / "locustfile.py"
    file.write_text(RETRIES)
    made = served.study(connections=8, rate=None, model="closed", arrivals=None, engine="locustfile", locustfile=file)
    generator = LocustGenerator(served.CORES.generator, tmp_path / "log", locustfile=file)
    try:
        seen = served.measured(generator, served.Backend("drops_every_tenth"), made)
    finally:
        generator.close()

    assert seen.figures.failed == 0  # as the client tells it
    assert reasons(seen, "the server counted", "somebody else sent, or counts were lost")
    assert seen.validity is Validity.INVALID


@pytest.mark.fires("counts")
def test_requests_that_somebody_else_sent_are_invalid(generator):
    seen = served.measured(generator, served.Backend("counts_twice"), served.study())

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "somebody else sent")


class Leaky:
    """A generator on whose way to the disk every fiftieth sample is lost."""

    def __init__(self, generator):
        self._generator = generator

    def __getattr__(self, name):
        return getattr(self._generator, name)

    def drive(self, job, on_start):
        driven = self._generator.drive(job, on_start)
        taken = samples.read(job.samples)
        kept = np.arange(len(taken.outcome)) % 50 > 0
        samples.write(job.samples, Samples(**{name: getattr(taken, name)[kept] for name in SAMPLE_COLUMNS}))
        return driven


@pytest.mark.fires("accounting")
def test_lost_samples_are_invalid(generator):
    seen = served.measured(Leaky(generator), served.Backend("quick"), served.study())

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "samples")


@pytest.mark.fires("connections")
def test_connections_that_somebody_else_opened_are_invalid(generator):
    opened = []

    def open_some(pid):
        def later():
            time.sleep(1.5)
            given = dict(row.split("=", 1) for row in Path(f"/proc/{pid}/environ").read_text().split("\0") if row)
            opened.extend(socket.create_connection(("127.0.0.1", int(given["PORT"]))) for _ in range(20))

        threading.Thread(target=later, daemon=True).start()

    seen = served.measured(generator, served.Backend("quick", open_some), served.study(measure_s=3.0))
    for one in opened:
        one.close()

    assert seen.validity is Validity.INVALID
    assert reasons(seen, "connections")


@pytest.mark.fires("stationarity")
def test_a_target_that_gets_slower_within_the_window_is_told_as_a_trend(generator):
    made = served.study(measure_s=6.0)
    seen = undisturbed(lambda: served.measured(generator, served.Backend("creeps"), made))

    assert reasons(seen, "third")
    require_usable(seen)
    assert seen.validity is Validity.DEGRADED, seen.reasons


@pytest.mark.fires("answers")
def test_a_wrong_body_under_the_right_status_has_failed(generator):
    seen = served.measured(generator, served.Backend("wrong_later"), served.study(contains=b"ok"))

    assert seen.validity is Validity.FAILED
    assert reasons(seen, "another body than the study expects")
    assert seen.figures.error_ratio == 1


@pytest.mark.parametrize(
    ("behaviour", "what"),
    [
        ("stall", lambda figures: figures.p95_ms > 400),
        ("slow", lambda figures: figures.timed_out > 300 and figures.error_ratio > 0.5),
        ("drops_every_tenth", lambda figures: 0.05 < figures.error_ratio < 0.2 and figures.failed > 40),
        ("goes_silent", lambda figures: figures.error_ratio > 0.5),
        ("five_percent_slow", lambda figures: figures.p90_ms < 100 and figures.p99_ms > 400),
        ("errors_later", lambda figures: figures.error_ratio == 1),
    ],
)
def test_what_the_target_does_wrong_stays_valid_and_is_measured_to_the_last_request(generator, behaviour, what):
    made = served.study(measure_s=3.0)
    seen = undisturbed(lambda: served.measured(generator, served.Backend(behaviour), made))
    figures = seen.figures

    assert what(figures), figures
    counted = figures.completed + figures.failed + figures.timed_out + figures.dropped + figures.unfinished
    assert figures.offered == counted == seen.host.planned
    assert seen.host.server_connections <= seen.host.expected_connections
    require_usable(seen)


@pytest.mark.cargo
def test_twenty_thousand_requests_a_second_are_held_or_the_window_is_invalid(tmp_path):
    read = load(served.ROOT / "bench" / "echo.yaml")
    made = replace(read, load=replace(read.load, rate=20_000.0, engine="native"), window=WindowTimes(0.5, 2.0, 0.5))
    step = Step("calibrate", "baseline", 0, 0, 0, variant.baseline(made), 7)
    generator = LocustGenerator(served.CORES.generator, tmp_path / "log", native_program.built())
    with closing(generator), closing(ProcessBackend(tmp_path / "children.json")) as backend:
        bench = Bench(made, build.build, backend, generator, served.CORES, None)
        seen = window.run(step, bench, Place(tmp_path, tmp_path, None, new_variant=False))
    figures, host = seen.figures, seen.host

    counted = figures.completed + figures.failed + figures.timed_out + figures.dropped + figures.unfinished
    assert figures.offered == counted == host.planned == pytest.approx(40_000, rel=0.05)
    assert not reasons(seen, "the server counted"), "the target's own count is another one"
    if seen.validity in {Validity.VALID, Validity.DEGRADED}:
        assert host.dispatched_share == 1
        assert host.late_share <= gates.LIMITS.late_share
    else:
        assert seen.validity is Validity.INVALID, seen.reasons


def test_a_target_that_crashes_has_failed_and_is_accounted_for(generator):
    seen = served.measured(generator, served.Backend("dies_later"), served.study())
    figures = seen.figures

    assert seen.validity is Validity.FAILED
    assert reasons(seen, "the service did not survive the window")
    assert figures.completed > 100
    assert (
        figures.completed + figures.failed + figures.timed_out + figures.dropped + figures.unfinished == figures.offered
    )


def test_a_quiet_window_says_what_it_rests_on(generator):
    jitter = JitterProbe()
    try:
        seen = undisturbed(lambda: served.measured(generator, served.Backend("quick"), served.study(), jitter))
    finally:
        jitter.close()
    host = seen.host

    assert host.samples == host.planned == seen.figures.offered
    assert host.server_connections == host.expected_connections == 32 + 2
    assert 0 < host.jitter_p50_ms < host.jitter_p99_ms <= host.jitter_max_ms
    require_usable(seen)
    assert host.gap_distance < 0.1
    assert 0 < host.generator_cpu <= host.generator_peak < 0.6
