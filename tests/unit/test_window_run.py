"""One window from end to end, with fakes at the two seams only: a service that answers by hand, a generator of known samples."""

import http.server
import json
import os
import resource
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import variant
from harness.errors import MachineError
from harness.load import samples, schedule
from harness.load.job import COMPLETED, Driven, TargetRefused
from harness.study import load
from harness.study.model import WindowTimes
from harness.target import proc, starting
from harness.target.service import Exit, Program, TargetFailed
from harness.variant import Step
from harness.window import run as window
from harness.window.cores import core_map
from harness.window.measurement import Validity
from harness.window.run import Bench, Place
from harness.window.upstream import Upstream

QUICKSTART = Path(__file__).resolve().parents[2] / "studies" / "quickstart.yaml"
N = 100


class Answers(http.server.BaseHTTPRequestHandler):
    """The probe of a target, answered by hand."""

    def do_GET(self):
        body = self.server.answers.get(self.path, "")
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class FakeService:
    """A service inside this process."""

    pid = os.getpid()

    def __init__(self):
        self.end = None

    def exited(self):
        return self.end

    def log(self, lines=20):
        return "\n".join(["last words"][:lines])


class FakeBackend:
    """Serves the probe's answers on the ports that it is given."""

    name = "fake"

    def __init__(self, runtime=None, requests=N, connections=64):
        self.runtime, self.requests, self.connections = runtime or {}, requests, connections
        self.service, self.stopped = FakeService(), 0

    @contextmanager
    def serve(self, program, placement):
        self.placement = placement
        options = {name.removeprefix("OPT_").lower(): value for name, value in program.environment.items()}
        runtime = {
            "flavor": "multi_thread",
            "workers": 1,
            "tokio": "1.54.1",
            "options": options,
            "nonce": placement.nonce,
            **self.runtime,
        }
        metrics = f"http_requests_total {self.requests}\nhttp_connections_total {self.connections}\n"
        answers = {"/runtime": json.dumps(runtime), "/metrics": metrics}
        servers = [
            http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers)
            for port in (placement.port, placement.admin_port)
        ]
        for server in servers:
            server.answers, server.daemon_threads = answers, True
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield self.service
        finally:
            self.stopped += 1
            for server in servers:
                server.shutdown()
                server.server_close()

    def close(self):
        pass


class FakeGenerator:
    """Writes samples of 1 to 100 ms, or raises what it is told."""

    pids = (os.getpid(),)

    def __init__(self, error=None, at_end=lambda: None, lost=0, **told):
        self.error, self.at_end, self.lost, self.told = error, at_end, lost, told

    def drive(self, job, on_start):
        if self.error:
            raise self.error
        start = time.monotonic_ns()
        t0, t1 = start + 10_000_000, start + 210_000_000
        on_start(start, t0, t1)
        time.sleep(0.25)
        planned = schedule.arrivals(job.load, job.times, job.seed).offsets_ns + start
        intended = planned[(planned >= t0) & (planned < t1)]
        done = intended + np.arange(1, N + 1) * 1_000_000
        zeros = np.zeros(N, dtype=np.int64)
        columns = (
            intended, intended + 1000, intended + 2000, done, (zeros + COMPLETED).astype(np.int8),
            (zeros + 200).astype(np.int16), zeros.astype(np.int32), zeros.astype(np.int16), zeros.astype(np.int32),
        )  # fmt: skip
        samples.write(job.samples, samples.Samples(*(column[self.lost :] for column in columns)))
        self.at_end()
        return replace(Driven(start, t0, t1, t1 + 1_000_000, N, N, N, N, 64, 0, N), **self.told)

    def close(self):
        pass


@pytest.fixture(scope="module")
def study():
    read = load(QUICKSTART)
    return replace(read, load=replace(read.load, rate=500.0, arrivals="uniform"), window=WindowTimes(0.01, 0.2, 2.0))


def program(study, wanted):
    from harness.target.render import environment

    return Program(
        wanted.id,
        Path("/bin/true"),
        "digest",
        environment(study, wanted),
        "// rust\n",
        0.5,
        cached=False,
        cargo_lock="version = 4\n",
    )


def ran(study, tmp_path, backend=None, generator=None, build=program, upstream=None, **assignment):
    step = Step("calibrate", "baseline", 0, 0, 0, variant.of(study, assignment), 7)
    cores = core_map((0, 1), 1)
    bench = Bench(study, build, backend or FakeBackend(), generator or FakeGenerator(), cores, upstream=upstream)
    (tmp_path / "window").mkdir()
    (tmp_path / "variant").mkdir()
    return window.run(step, bench, Place(tmp_path / "window", tmp_path / "variant", None, new_variant=True))


def test_a_window_gives_figures_series_and_what_was_measured(study, tmp_path):
    seen = ran(study, tmp_path)

    assert (seen.figures.p50_ms, seen.figures.p95_ms, seen.figures.offered) == (50.0, 95.0, N)
    assert (seen.host.server_requests, seen.host.sent_requests, seen.host.lateness_p50_ms) == (N, N, 0.001)
    assert seen.in_force["workers"] == 1
    assert (seen.stages.build_s, round(seen.stages.measure_s, 6), seen.new_variant) == (0.5, 0.2, True)
    assert (tmp_path / "variant" / "runtime.rs").read_text() == "// rust\n"
    assert json.loads((tmp_path / "variant" / "variant.json").read_text())["options"] == {"fraud_check": "inline"}
    assert sorted(file.name for file in (tmp_path / "window").iterdir()) == [
        "container.log",
        "samples.parquet",
        "series.parquet",
    ]


def test_the_lock_file_is_kept_where_it_is_not_the_baselines(study, tmp_path):
    for name in ("same", "older"):
        (tmp_path / name).mkdir()
    ran(study, tmp_path / "same")
    ran(study, tmp_path / "older", FakeBackend(runtime={"tokio": "1.47.5"}), tokio="1.47")

    assert not (tmp_path / "same" / "variant" / "Cargo.lock").exists()
    assert (tmp_path / "older" / "variant" / "Cargo.lock").read_text() == "version = 4\n"


def test_settings_that_are_not_in_force_fail_the_window(study, tmp_path):
    backend = FakeBackend(runtime={"workers": 3})

    seen = ran(study, tmp_path, backend)

    assert seen.validity is Validity.FAILED
    assert "workers" in seen.reasons[0]
    assert seen.figures is None
    assert backend.stopped == 1


def test_a_target_that_refuses_the_load_fails_the_window_with_its_words(study, tmp_path):
    seen = ran(study, tmp_path, generator=FakeGenerator(TargetRefused("POST /payments answered 500")))

    assert (seen.validity, seen.reasons) == (Validity.FAILED, ("POST /payments answered 500",))
    assert seen.log == "last words"


def test_more_connections_than_the_service_may_have_files_fail_the_window_with_both_numbers(study, tmp_path):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    many = replace(study, load=replace(study.load, connections=most))

    seen = ran(many, tmp_path)

    assert seen.validity is Validity.FAILED
    assert f"holds {most:,} connections open, and the service may have {most:,} files" in seen.reasons[0]


def test_a_service_that_dies_fails_the_window_and_keeps_its_figures(study, tmp_path):
    backend = FakeBackend()
    end = Exit(137, oom_killed=True, words="killed by the kernel: it reached its memory limit")

    seen = ran(study, tmp_path, backend, FakeGenerator(at_end=lambda: setattr(backend.service, "end", end)))

    assert seen.validity is Validity.FAILED
    assert (
        seen.reasons[0] == "the service did not survive the window: killed by the kernel: it reached its memory limit"
    )
    assert seen.figures.offered == N


def test_a_program_that_cannot_be_built_fails_the_window_with_the_compilers_words(study, tmp_path):
    def broken(_study, _variant):
        raise TargetFailed("the build failed: expected `;`", "error: expected `;`")

    seen = ran(study, tmp_path, build=broken)

    assert (seen.validity, seen.log) == (Validity.FAILED, "error: expected `;`")


def test_a_request_that_nobody_of_us_sent_makes_the_window_invalid(study, tmp_path):
    seen = ran(study, tmp_path, FakeBackend(requests=N + 1))

    assert seen.validity is Validity.INVALID
    assert any(f"the server counted {N + 1} requests" in reason for reason in seen.reasons)


@pytest.mark.parametrize("error", [MachineError("the generator died"), KeyboardInterrupt()])
def test_what_ends_the_run_takes_the_service_away_first(study, tmp_path, error):
    backend = FakeBackend()

    with pytest.raises(type(error)):
        ran(study, tmp_path, backend, FakeGenerator(error))

    assert backend.stopped == 1


def test_samples_that_are_lost_on_the_way_make_the_window_invalid(study, tmp_path):
    seen = ran(study, tmp_path, generator=FakeGenerator(lost=3))

    assert (seen.validity, seen.reasons[0]) == (
        Validity.INVALID,
        f"{N - 3} samples for {N} requests of the schedule: samples were lost",
    )


def test_connections_that_the_generator_did_not_open_make_the_window_invalid(study, tmp_path):
    seen = ran(study, tmp_path, FakeBackend(connections=70))

    assert seen.validity is Validity.INVALID
    assert "the server accepted 70 connections, the generator opened 65" in seen.reasons


def test_a_service_that_answers_something_else_has_failed(study, tmp_path):
    seen = ran(study, tmp_path, generator=FakeGenerator(wrong_bodies=7))

    assert (seen.validity, seen.reasons[0]) == (
        Validity.FAILED,
        "7 answers had another body than the study expects",
    )


def test_latency_counts_from_the_intended_and_beside_it_from_the_actual_send(study, tmp_path):
    seen = ran(study, tmp_path).figures

    assert seen.p50_ms - seen.from_send_p50_ms == pytest.approx(0.002)
    assert seen.few_beyond == ("p50", "p90", "p95", "p99", "p999")


UPSTREAM = """\
#!{python} -IS
import os, sys
with open(__file__ + ".pid", "w") as file:
    file.write(str(os.getpid()))
print(4321, flush=True)
while sys.stdin.read(1):
    pass
"""


class FakeUpstream:
    """A program that says that it listens, and does nothing."""

    def __init__(self, folder):
        self.file = folder / "upstream"
        self.file.write_text(UPSTREAM.format(python=sys.executable))
        self.file.chmod(0o755)
        self.plan = Upstream(self.file, 5.0)

    @property
    def pid(self):
        return int(Path(f"{self.file}.pid").read_text())

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        assert proc.wait_gone(self.pid, 5)


@pytest.fixture
def upstream(tmp_path):
    return FakeUpstream(tmp_path)


def test_a_target_is_given_the_port_of_its_upstream_which_ends_with_the_window(study, tmp_path, upstream):
    backend, seen_on = FakeBackend(), []
    watching = FakeGenerator(at_end=lambda: seen_on.append(os.sched_getaffinity(upstream.pid)))

    seen = ran(study, tmp_path, backend, watching, upstream=upstream.plan)

    assert starting.environment(program(study, variant.baseline(study)), backend.placement)["UPSTREAM_PORT"] == "4321"
    assert seen_on == [{*core_map((0, 1), 1).generator}]
    assert seen.host.upstream_cpu >= 0
    assert seen.host.upstream_ended is None
    assert proc.stat(upstream.pid) is None


def test_a_target_without_an_upstream_is_given_no_port(study, tmp_path):
    backend = FakeBackend()

    seen = ran(study, tmp_path, backend)

    assert "UPSTREAM_PORT" not in starting.environment(program(study, variant.baseline(study)), backend.placement)
    assert (seen.host.upstream_cpu, seen.host.upstream_ended) == (None, None)


def test_an_upstream_that_dies_within_the_window_makes_it_invalid_and_keeps_its_figures(study, tmp_path, upstream):
    seen = ran(study, tmp_path, generator=FakeGenerator(at_end=upstream.kill), upstream=upstream.plan)

    assert seen.validity is Validity.INVALID
    assert "the upstream did not survive the window: killed by SIGKILL" in seen.reasons
    assert seen.figures.offered == N


def test_a_target_that_refuses_because_its_upstream_died_has_not_failed(study, tmp_path, upstream):
    class Refused(FakeGenerator):
        def drive(self, job, on_start):
            upstream.kill()
            super().drive(job, on_start)

    seen = ran(study, tmp_path, generator=Refused(TargetRefused("GET / answered 502")), upstream=upstream.plan)

    assert (seen.validity, seen.figures) == (Validity.INVALID, None)
    assert seen.reasons == ("the upstream did not survive the window: killed by SIGKILL",)


def test_a_target_that_fails_beside_a_living_upstream_has_failed(study, tmp_path, upstream):
    generator = FakeGenerator(TargetRefused("GET / answered 502"))

    seen = ran(study, tmp_path, generator=generator, upstream=upstream.plan)

    assert (seen.validity, seen.reasons) == (Validity.FAILED, ("GET / answered 502",))
    assert proc.stat(upstream.pid) is None
