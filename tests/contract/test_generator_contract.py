"""What a load generator keeps to, on real sockets: nothing is retried, nothing is lost, nothing is sent late unseen."""

import os
import select
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

from harness.errors import MachineError, StudyError
from harness.load import native_program, samples, schedule
from harness.load.generator import LocustGenerator
from harness.load.job import COMPLETED, DROPPED, FAILED, TIMED_OUT, UNFINISHED, Job, TargetRefused
from harness.load.wire import job_line
from harness.study.model import Load, Piece, Request, WindowTimes

pytestmark = pytest.mark.load
SERVERS = Path(__file__).with_name("servers.py")
CORES = sorted(os.sched_getaffinity(0))
ENGINE_NAMES = ("http", "native")
TRIES = 5


def a_generator(folder, engine="http", **more):
    """Return a generator that carries out every job by this engine."""
    program = native_program.built() if engine == "native" else None
    made = LocustGenerator((CORES[0],), folder / "generator.log", program, **more)
    made.engine = engine
    return made


@pytest.fixture(scope="module", params=ENGINE_NAMES)
def generator(request, tmp_path_factory):
    made = a_generator(tmp_path_factory.mktemp("generator"), request.param)
    yield made
    made.close()


@contextmanager
def server(name):
    with started([sys.executable, str(SERVERS), name]) as process:
        yield process


@contextmanager
def started(command):
    """Run a server that prints its port, and how much it counted when its input is closed."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, {CORES[-1]})
        process.port = int(process.stdout.readline())

        def count():
            process.stdin.close()
            return int(process.stdout.readline())

        process.count = count
        try:
            yield process
        finally:
            process.kill()


def get(path="/", name="get", method="GET", expect=200, weight=1.0, body=b""):
    return Request(name, method, path, (), body, weight, expect)


def job(port, tmp_path, *, rate=200.0, measure=2.0, warmup=0.5, timeout=1.0, connections=16, requests=None, **more):
    model = more.get("model", "open")
    load = Load(
        model=model,
        rate=rate if model == "open" else None,
        arrivals=more.get("arrivals", "uniform") if model == "open" else None,
        connections=connections,
        timeout_s=timeout,
        requests=requests or (get(),),
        keep_alive=more.get("keep_alive", True),
        think_s=more.get("think_s", 0.0),
    )
    times = WindowTimes(warmup, measure, more.get("drain", timeout))
    return Job(port, load, times, more.get("seed", 1), tmp_path / "samples.parquet")


def drive(generator, the_job):
    the_job = replace(the_job, load=replace(the_job.load, engine=getattr(generator, "engine", "http")))
    started = []
    driven = generator.drive(the_job, lambda *times: started.append(times))
    taken = samples.read(the_job.samples)

    assert started == [(driven.start_ns, driven.t0_ns, driven.t1_ns)]
    assert len(taken.outcome) == driven.offered
    assert driven.locust_requests == (driven.sent_total if the_job.load.engine == "locustfile" else driven.offered)
    assert set(np.unique(taken.outcome)) <= {COMPLETED, FAILED, TIMED_OUT, DROPPED, UNFINISHED}
    assert np.all((taken.intended_ns >= driven.t0_ns) & (taken.intended_ns < driven.t1_ns))
    return driven, taken


def latency_ms(taken):
    return (taken.done_ns - taken.intended_ns)[taken.outcome == COMPLETED] / 1e6


def quietest_ms(measure, limit_ms):
    """Return the median latency of the first of a few windows that is below the limit: others only ever add to it."""
    for _ in range(TRIES):
        median = float(np.median(latency_ms(measure())))
        if median < limit_ms:
            break
    return median


def test_a_server_of_known_delay_is_measured_to_within_a_small_floor(generator, tmp_path):
    with server("two_ms") as target:

        def measure():
            driven, taken = drive(generator, job(target.port, tmp_path, arrivals="uniform", rate=100.0))
            assert driven.offered == 200
            assert np.all(taken.outcome == COMPLETED)
            return taken

        assert 2.0 <= quietest_ms(measure, 3.0) < 3.0


def test_every_request_that_is_sent_is_counted_by_the_server_once(generator, tmp_path):
    with server("quick") as target:
        driven, _ = drive(generator, job(target.port, tmp_path, arrivals="poisson"))

        assert target.count() == driven.sent_total == driven.answered_total


def test_a_stall_shows_in_the_requests_that_had_to_wait_for_it(generator, tmp_path):
    with server("stall") as target:
        _, taken = drive(
            generator, job(target.port, tmp_path, rate=500.0, measure=8.0, warmup=0.0, timeout=3.0, connections=64)
        )

    # One second of 8 stalls: 5 % of all requests came in its first 0.4 s or waited at least 0.6 s.
    assert np.all(taken.outcome == COMPLETED)
    assert np.quantile(latency_ms(taken), 0.95) == pytest.approx(600, abs=120)
    assert np.quantile(latency_ms(taken), 0.5) < 20


def test_the_closed_model_hides_the_same_stall(generator, tmp_path):
    with server("stall") as target:
        _, taken = drive(
            generator, job(target.port, tmp_path, model="closed", measure=5.0, warmup=0.0, timeout=3.0, connections=4)
        )

    assert np.quantile(latency_ms(taken), 0.95) < 50
    assert latency_ms(taken).max() > 800


def test_dropped_connections_are_failures_each_and_never_tried_again(generator, tmp_path):
    with server("drops_every_tenth") as target:
        driven, taken = drive(generator, job(target.port, tmp_path))
        seen = target.count()

    assert seen == driven.sent_total
    assert driven.sent_total - driven.answered_total == driven.reconnects
    assert np.count_nonzero(taken.outcome == FAILED) == pytest.approx(driven.offered / 10, abs=2)
    assert np.all(taken.done_ns[taken.outcome == FAILED] == 0)


def test_wrong_answers_are_failures_that_keep_their_status(generator, tmp_path):
    with server("errors_later") as target:
        driven, taken = drive(generator, job(target.port, tmp_path))

    assert driven.dispatched == driven.offered
    assert np.all(taken.outcome == FAILED)
    assert np.all(taken.status == 500)


def test_a_target_that_answers_wrongly_from_the_start_is_refused_with_its_words(generator, tmp_path):
    with server("errors") as target, pytest.raises(TargetRefused, match="answered 500 instead of 200: broken"):
        drive(generator, job(target.port, tmp_path))


def test_nobody_listening_is_refused(generator, tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # held but not listening

        with pytest.raises(TargetRefused, match="had no answer"):
            drive(generator, job(holder.getsockname()[1], tmp_path))


def test_a_target_slower_than_the_rate_is_dispatched_on_time_and_accounted_for(generator, tmp_path):
    with server("slow") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, rate=200.0, connections=8))

    assert driven.dispatched == driven.offered == 400
    assert np.median(taken.woken_ns - taken.intended_ns) / 1e6 < 2
    assert np.mean(taken.outcome == TIMED_OUT) > 0.4
    assert np.all(np.isin(taken.outcome, [COMPLETED, TIMED_OUT, UNFINISHED]))


def test_a_target_that_goes_silent_is_accounted_to_the_last_request(generator, tmp_path):
    with server("goes_silent") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, timeout=0.5))
        seen = target.count()

    assert seen <= driven.sent_total
    assert np.count_nonzero(taken.outcome == COMPLETED) == pytest.approx(100, abs=3)
    assert np.all(np.isin(taken.outcome, [COMPLETED, TIMED_OUT, UNFINISHED]))


def test_slow_answers_keep_their_share_at_the_edges_of_the_window(generator, tmp_path):
    with server("five_percent_slow") as target:
        _, taken = drive(generator, job(target.port, tmp_path, rate=400.0, connections=64))

    assert np.mean(latency_ms(taken) > 400) == pytest.approx(0.05, abs=0.004)


@pytest.mark.parametrize(
    ("name", "size"), [("closes_after_each", 2), ("until_eof", 26), ("chunked", 7), ("empty", 0), ("interim", 2)]
)
def test_every_way_to_end_an_answer_is_understood(generator, tmp_path, name, size):
    wanted = get(expect=204 if name == "empty" else 200)
    with server(name) as target:
        driven, taken = drive(generator, job(target.port, tmp_path, measure=1.0, requests=(wanted,)))

    assert np.all(taken.outcome == COMPLETED)
    assert np.all(taken.bytes == size)
    assert driven.reconnects == 0


def test_an_answer_to_head_has_no_body(generator, tmp_path):
    with server("head") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, measure=1.0, requests=(get(method="HEAD"),)))

    assert np.all(taken.outcome == COMPLETED)
    assert driven.reconnects == 0


def test_a_large_body_is_read_to_its_last_byte(generator, tmp_path):
    with server("big") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, rate=50.0, measure=1.0))

    assert np.all(taken.bytes == 1_000_000)
    assert driven.reconnects == 0


def test_an_answer_too_many_is_never_taken_for_the_next_one(generator, tmp_path):
    with server("twice") as target:
        _, taken = drive(generator, job(target.port, tmp_path, measure=1.0))

    assert set(taken.status) == {200}


@pytest.mark.parametrize("name", ["garbage_later", "upgrade_later"])
def test_what_is_no_answer_is_a_failure_at_once(generator, tmp_path, name):
    with server(name) as target:
        driven, taken = drive(generator, job(target.port, tmp_path, rate=50.0, measure=1.0, timeout=2.0))

    assert np.all(taken.outcome == FAILED)
    assert np.all(taken.status == 0)
    assert driven.answered_total == 1


def test_no_answer_after_the_time_out_is_a_success(generator, tmp_path):
    with server("answers_late") as target:
        _, taken = drive(generator, job(target.port, tmp_path, timeout=0.2, drain=1.0, connections=128))

    assert latency_ms(taken).max() <= 200
    assert set(taken.outcome) == {COMPLETED, TIMED_OUT}
    assert np.all(taken.done_ns[taken.outcome == TIMED_OUT] == 0)


def test_a_request_that_waited_past_its_time_out_is_never_sent(generator, tmp_path):
    with server("goes_silent") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, timeout=0.5, drain=1.0, connections=4))
        seen = target.count()

    queued = taken.sent_ns == 0
    assert 0 < np.count_nonzero(queued) < len(queued)
    assert np.all(taken.outcome[queued] == TIMED_OUT)
    assert np.all(taken.connection[queued] == -1)
    assert np.all((taken.sent_ns - taken.intended_ns)[~queued] <= 0.5e9)
    assert seen == driven.sent_total


def test_what_a_full_queue_cannot_hold_is_dropped_and_the_rest_unfinished(generator, tmp_path):
    wanted = job(0, tmp_path, rate=8000.0, measure=2.0, warmup=0.0, timeout=30.0, drain=0.1, connections=2)
    with server("slow") as target:
        driven, taken = drive(generator, replace(wanted, port=target.port))

    counts = np.bincount(taken.outcome, minlength=5)
    assert counts[DROPPED] == pytest.approx(6000, abs=200)
    assert counts[UNFINISHED] == pytest.approx(10_000, abs=5)
    assert counts.sum() == driven.offered == driven.dispatched == 16_000


def test_a_target_that_dies_half_way_is_accounted_for_without_a_storm(generator, tmp_path):
    with server("quick") as target:
        killer = threading.Timer(1.5, target.kill)
        killer.start()
        driven, taken = drive(generator, job(target.port, tmp_path, timeout=0.5))
        killer.join()

    gone = taken.outcome != COMPLETED
    assert 0.3 < np.mean(gone) < 0.7
    assert np.all(np.isin(taken.outcome[gone], [FAILED, TIMED_OUT]))
    assert driven.dispatched == driven.offered
    assert driven.reconnects < 4 * 16  # a storm is hundreds; a time-out under a busy host is one


def test_a_target_that_hangs_up_on_everybody_causes_no_storm_of_connections(generator, tmp_path):
    with server("hangs_up") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, connections=16))

    assert np.count_nonzero(taken.outcome == FAILED) > 0
    assert driven.connects < 16 * 20


def test_connections_that_do_not_come_up_are_refused_with_their_number(generator, tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=4) as listener:
        answering = threading.Thread(target=answer_once, args=(listener,))
        answering.start()

        with pytest.raises(TargetRefused, match=r"only \d+ of 64 connections came up within 5 s"):
            drive(generator, job(listener.getsockname()[1], tmp_path, connections=64))
        answering.join()


def answer_once(listener):
    peer, _ = listener.accept()
    with peer:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def test_twelve_hundred_connections_stay_open(generator, tmp_path):
    with server("quick") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, connections=1200, rate=400.0))

    assert (driven.connects, driven.reconnects) == (1201, 0)
    assert np.all(taken.outcome == COMPLETED)


def test_kinds_come_in_their_weights_with_their_own_expectation(generator, tmp_path):
    mix = (get("/light", "light", weight=3), get("/heavy", "heavy", "POST", 201, 1.0, b"x" * 100_000))
    with server("tells_path") as target:
        _, taken = drive(generator, job(target.port, tmp_path, requests=mix))

    assert np.all(taken.outcome == COMPLETED)
    assert np.mean(taken.kind) == pytest.approx(0.25, abs=0.08)


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another(generator, tmp_path):
    with server("quick") as target:
        offsets = []
        for seed in (1, 1, 2):
            driven, taken = drive(generator, job(target.port, tmp_path, measure=1.0, arrivals="poisson", seed=seed))
            offsets.append((taken.intended_ns - driven.start_ns).tolist())

    assert offsets[0] == offsets[1] != offsets[2]


BURSTS = 3 * (Piece(0.2, 400.0, 400.0), Piece(0.3, 0.0, 0.0))


@pytest.mark.parametrize(
    "law", [{"arrivals": "poisson"}, {"arrivals": "bursts", "pieces": BURSTS}], ids=["poisson", "bursts"]
)
def test_the_same_seed_gives_the_same_schedule_in_every_engine(generator, tmp_path, law):
    mix = (get("/light", "light", weight=3), get("/heavy", "heavy"))
    wanted = job(0, tmp_path, measure=1.0, requests=mix)
    wanted = replace(wanted, load=replace(wanted.load, **law))
    plan = schedule.arrivals(wanted.load, wanted.times, wanted.seed)
    with server("quick") as target:
        driven, taken = drive(generator, replace(wanted, port=target.port))
    measured = plan.offsets_ns + driven.start_ns >= driven.t0_ns

    assert (taken.intended_ns - driven.start_ns).tolist() == plan.offsets_ns[measured].tolist()
    assert taken.kind.tolist() == plan.kinds[measured].tolist()


def test_a_redirect_is_an_answer_and_never_followed(generator, tmp_path):
    with server("redirects_later") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, measure=0.5))
        seen = target.count()

    assert set(taken.status) == {302}
    assert np.all(taken.outcome == FAILED)
    assert seen == driven.sent_total


def test_without_keep_alive_each_request_has_a_connection_of_its_own(generator, tmp_path):
    with server("quick") as target:
        driven, taken = drive(generator, job(target.port, tmp_path, measure=1.0, keep_alive=False))
        seen = target.count()

    assert np.all(taken.outcome == COMPLETED)
    assert driven.connects == driven.sent_total == seen
    assert driven.reconnects == 0


def test_clients_that_think_send_as_often_as_their_thinking_lets_them(generator, tmp_path):
    wanted = job(0, tmp_path, model="closed", measure=2.0, connections=20, think_s=0.05)
    with server("quick") as target:
        _, taken = drive(generator, replace(wanted, port=target.port))

    assert len(taken.outcome) == pytest.approx(20 * 2.0 / 0.05, rel=0.15)


def test_tls_asked_of_a_plain_port_is_refused_before_the_window(generator, tmp_path):
    with server("speaks_tls") as target, pytest.raises(TargetRefused, match="speaks TLS"):
        drive(generator, job(target.port, tmp_path))


def test_the_native_engine_is_a_process_of_its_own_while_it_sends(tmp_path):
    made, seen = a_generator(tmp_path, "native"), []
    with closing(made), server("quick") as target:
        wanted = job(target.port, tmp_path, measure=0.5)
        wanted = replace(wanted, load=replace(wanted.load, engine="native"))
        made.drive(wanted, lambda *_: seen.extend(made.pids))

    assert len(seen) == 2
    assert made.pids == (made.pid,)


def test_twenty_thousand_requests_a_second_are_each_accounted_for(tmp_path):
    made = a_generator(tmp_path, "native")
    with closing(made), started([str(native_program.null_server()), "--delay-us", "0", "--port", "0"]) as target:
        wanted = job(target.port, tmp_path, rate=20_000.0, measure=2.0, arrivals="poisson", connections=64)
        driven, taken = drive(made, wanted)
        answered = target.count()

    assert len(taken.outcome) == driven.offered == driven.dispatched == pytest.approx(40_000, rel=0.05)
    assert answered == driven.sent_total
    sent = np.count_nonzero(taken.sent_ns)
    assert sent == np.count_nonzero(np.isin(taken.outcome, [COMPLETED, FAILED])) + driven.reconnects


USERS = """
from locust import FastHttpUser, constant, task
class Plain(FastHttpUser):
    wait_time = constant(0.02)
    @task
    def get(self):
        self.client.get("/", name="theirs")
"""


def of_a_locustfile(folder, text):
    file = folder / "locustfile.py"
    file.write_text(text)
    made = a_generator(folder, locustfile=file)
    made.engine = "locustfile"
    return made


def test_users_of_a_locustfile_are_tapped_before_anything_is_rounded(tmp_path):
    with closing(of_a_locustfile(tmp_path, USERS)) as made, server("two_ms") as target:
        driven, taken = drive(made, job(target.port, tmp_path, model="closed", connections=4))
        seen = target.count()

    assert np.all(taken.outcome == COMPLETED)
    assert seen == driven.sent_total
    assert 2.0 <= np.median(latency_ms(taken)) < 6.0
    assert len(set((latency_ms(taken) % 1).round(4))) > len(taken.outcome) / 2  # no whole milliseconds


def test_failures_that_a_locustfile_reports_are_failures(tmp_path):
    with closing(of_a_locustfile(tmp_path, USERS)) as made, server("errors_later") as target:
        _, taken = drive(made, job(target.port, tmp_path, model="closed", connections=4))

    assert np.all(taken.outcome == FAILED)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import locust\nraise ValueError('no such host')", r"locustfile.py:2: ValueError: no such host"),
        ("import not_installed_anywhere", r"locustfile.py:1: ModuleNotFoundError"),
        ("x = 1", "has no user class"),
        (USERS + "from locust import LoadTestShape\nclass Mine(LoadTestShape):\n    tick = None", "LoadTestShape"),
    ],
)
def test_a_locustfile_that_cannot_be_used_is_named_before_the_first_window(tmp_path, text, words):
    with pytest.raises(StudyError, match=words):
        of_a_locustfile(tmp_path, text)


def test_users_of_a_locustfile_reach_nobody_but_this_host(tmp_path):
    elsewhere = USERS.replace('"/", name="theirs"', '"http://192.0.2.1/", name="theirs"')
    with closing(of_a_locustfile(tmp_path, elsewhere)) as made, server("quick") as target:
        driven, taken = drive(made, job(target.port, tmp_path, model="closed", connections=2, measure=1.0))
        seen = target.count()

    assert seen == 0
    assert driven.offered > 0
    assert np.all(taken.outcome == FAILED)


def test_a_full_disk_is_the_machines_fault_and_says_what_to_do(generator, tmp_path):
    wanted = job(0, tmp_path)
    with server("quick") as target, pytest.raises(MachineError, match="cannot write"):
        generator.drive(Job(target.port, wanted.load, wanted.times, 1, Path("/proc/nowhere")), lambda *_: None)


def test_more_connections_than_files_are_the_machines_fault(generator, tmp_path):
    with server("quick") as target, pytest.raises(MachineError, match="ulimit -n"):
        drive(generator, job(target.port, tmp_path, connections=50_000_000))


def test_an_interrupt_ends_the_child_at_once(tmp_path):
    made = LocustGenerator((CORES[0],), tmp_path / "generator.log")
    watched = os.pidfd_open(made.pid)

    def interrupted(*_):
        raise KeyboardInterrupt

    with server("quick") as target:
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            made.drive(job(target.port, tmp_path, measure=20.0), interrupted)
        assert select.select([watched], [], [], 1)[0]  # ended by the interrupt, not by the closing below
        made.close()

    assert time.monotonic() - begun < 5
    assert not Path(f"/proc/{made.pid}").exists()


def test_ctrl_c_in_the_terminal_leaves_the_child_to_the_harness(generator, tmp_path):
    with server("quick") as target:
        wanted = job(target.port, tmp_path)
        driven = generator.drive(wanted, lambda *_: os.kill(generator.pid, signal.SIGINT))

    assert driven.offered == 400


@pytest.mark.parametrize("engine", ENGINE_NAMES)
def test_nothing_that_sends_outlives_the_harness_in_the_middle_of_a_window(tmp_path, engine):
    wanted = job(0, tmp_path, measure=30.0)
    wanted = replace(wanted, load=replace(wanted.load, engine=engine))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.load.generator import LocustGenerator\n"
        "from harness.load.wire import job_from\n"
        f"made = LocustGenerator(({CORES[0]},), Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "wanted = job_from(sys.stdin.readline().encode())\n"
        "made.drive(wanted, lambda *_: print(*made.pids, flush=True))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "generator.log"), str(native_program.built())]
    with (
        server("quick") as target,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent,
    ):
        parent.stdin.write(job_line(replace(wanted, port=target.port)).decode())
        parent.stdin.flush()
        watched = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
        ended = [select.select([one], [], [], 2)[0] for one in watched]

    assert len(ended) == (2 if engine == "native" else 1)
    assert all(ended)


def test_neither_the_folder_nor_the_environment_of_the_caller_changes_the_child(tmp_path, monkeypatch):
    (tmp_path / "locust.py").write_text("raise RuntimeError('not the real one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("GEVENT_LOOP", "no.such.Loop")
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    made = LocustGenerator((CORES[0],), tmp_path / "generator.log")
    try:
        with server("quick") as target:
            assert drive(made, job(target.port, tmp_path, measure=1.0))[0].offered == 200
    finally:
        made.close()


def test_a_fault_of_our_own_on_the_loop_ends_the_child_and_is_never_the_targets(tmp_path):
    code = (
        "from harness.load import locustfile\n"
        "def broken(*_): raise ValueError('our own fault')\n"
        "locustfile.OpenModel.answered = broken\n"
        "locustfile.main()"
    )
    ours, theirs = socket.socketpair()
    with ours, server("quick") as target:
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid()), str(CORES[0]), "", ""]
            child = subprocess.Popen(
                [sys.executable, "-c", code, *arguments], pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True
            )
        ours.sendall(job_line(job(target.port, tmp_path)))
        _, written = child.communicate(timeout=60)

    assert child.returncode == 1
    assert "our own fault" in written


def test_a_generator_that_dies_ends_the_run_with_its_log(tmp_path):
    doomed = LocustGenerator((CORES[0],), tmp_path / "generator.log")
    try:
        with server("quick") as target:
            killer = threading.Timer(1.0, os.kill, (doomed.pid, signal.SIGKILL))
            killer.start()
            with pytest.raises(MachineError, match=r"load generator ended \(exit code -9\)"):
                doomed.drive(job(target.port, tmp_path), lambda *_: None)
    finally:
        doomed.close()


def test_the_harness_itself_never_imports_locust():
    code = (
        "import sys, harness.loop, harness.opening, harness.cli.main, harness.cli.optimize, harness.report\n"
        "assert not {'locust', 'gevent'} & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_users_of_a_locustfile_that_send_nothing_are_a_failed_window_with_their_error(tmp_path):
    text = USERS.replace("    @task", "    def on_start(self):\n        raise ValueError('no account')\n\n    @task")
    said = pytest.raises(TargetRefused, match=r"not one request(?s:.*)no account")
    with closing(of_a_locustfile(tmp_path, text)) as made, server("quick") as target, said:
        drive(made, job(target.port, tmp_path, model="closed", connections=2, measure=0.5))
