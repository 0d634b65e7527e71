"""What every backend keeps to: a fresh service each time, its own cores and environment, and no trace afterwards.

The programs are the real `payments` target, so a backend is tried with what it will serve.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness import variant
from harness.opening import BACKENDS
from harness.study import load
from harness.target import build, docker, inspect, leftovers, owner
from harness.target.process import ProcessBackend
from harness.target.service import Placement, TargetFailed

QUICKSTART = Path(__file__).resolve().parents[2] / "studies" / "quickstart.yaml"
HEAD = b"POST /payments HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
pytestmark = pytest.mark.cargo


@pytest.fixture(scope="module")
def study():
    return load(QUICKSTART)


@pytest.fixture(scope="module")
def program(study):
    return build.build(study, variant.baseline(study))


@pytest.fixture
def placement(study):
    port, admin_port = inspect.free_ports()
    core = max(os.sched_getaffinity(0))
    return Placement((core,), study.target.memory_bytes, port, admin_port, "nonce")


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def backend(request, tmp_path):
    made = (
        docker.DockerBackend(f"contract-{os.getpid()}")
        if request.param == "docker"
        else ProcessBackend(tmp_path / "children.json")
    )
    yield made
    made.close()


def ready(service, placement):
    inspect.wait_ready(service, placement, has_admin=True, limit_s=20)


def ended_within(service, seconds):
    end = time.monotonic() + seconds
    while (ended := service.exited()) is None and time.monotonic() < end:
        time.sleep(0.01)
    return ended


def test_every_backend_of_the_table_is_tried_here():
    assert set(BACKENDS) == {"docker", "process"}


def test_it_serves_and_frees_its_ports_twice_in_a_row(backend, program, placement):
    for _ in range(2):
        with backend.serve(program, placement) as service:
            ready(service, placement)

            assert inspect.get(placement.port, "/payments/1")[0] == 404
            assert service.exited() is None
        assert inspect.listening_inodes(placement.port) == set()
        assert inspect.listening_inodes(placement.admin_port) == set()


def test_the_settings_in_force_are_those_of_the_variant(backend, study, placement):
    wanted = variant.of(study, {"worker_threads": 4, "fraud_check": "spawn_blocking"})
    with backend.serve(build.build(study, wanted), placement) as service:
        ready(service, placement)
        answer = inspect.in_force(service, placement, has_admin=True)

    assert inspect.check_in_force(study, wanted, answer) == ()
    assert inspect.check_in_force(study, variant.baseline(study), answer) == (
        "workers in force is 4, the variant says 1",
        "fraud_check in force is 'spawn_blocking', the variant says 'inline'",
    )


def test_the_default_number_of_workers_is_the_number_of_its_cores(backend, program, placement, monkeypatch):
    monkeypatch.setenv("TOKIO_WORKER_THREADS", "7")  # of the caller: must not reach the service
    with backend.serve(program, placement) as service:
        ready(service, placement)

        assert inspect.in_force(service, placement, has_admin=True)["workers"] == 1
        assert os.sched_getaffinity(service.pid) == set(placement.cores)


def test_its_environment_holds_only_what_the_harness_sets(backend, program, placement):
    with backend.serve(program, placement) as service:
        ready(service, placement)
        raw = Path(f"/proc/{service.pid}/environ").read_bytes()
    names = {line.partition(b"=")[0].decode() for line in raw.split(b"\0") if line}

    ours = {"PORT", "ADMIN_PORT", "HARNESS_NONCE", "OPT_CHECK_MS", "OPT_CHECK_CPU_MS", "OPT_FRAUD_CHECK"}
    engines = {"PATH", "HOME", "HOSTNAME"}
    assert ours <= names <= ours | engines


def test_a_program_that_ends_at_once_is_told_with_its_log(backend, program, placement):
    broken = replace(program, environment={"OPT_FRAUD_CHECK": "sometimes"})

    with pytest.raises(TargetFailed) as failed, backend.serve(broken, placement) as service:
        ready(service, placement)

    assert "exit code 64" in failed.value.reason
    assert "must be inline or spawn_blocking" in failed.value.log


def test_a_service_that_dies_later_is_told(backend, program, placement):
    with backend.serve(program, placement) as service:
        ready(service, placement)
        os.kill(service.pid, signal.SIGKILL)
        ended = ended_within(service, 10)

    assert ended.code == 137
    assert "SIGKILL" in ended.words


def test_a_stuck_service_is_ended_within_a_limit(backend, program, placement):
    stuck = replace(program, environment={**program.environment, "OPT_CHECK_MS": "1000", "OPT_CHECK_CPU_MS": "0"})
    with backend.serve(stuck, placement) as service:
        ready(service, placement)
        pid = service.pid
        lines = [socket.create_connection(("127.0.0.1", placement.port)) for _ in range(30)]
        for line in lines:
            line.sendall(HEAD % 12 + b'{"amount":1}')
        begun = time.monotonic()
    for line in lines:
        line.close()

    assert time.monotonic() - begun < 8
    assert not Path(f"/proc/{pid}").exists()


def test_an_error_inside_is_not_hidden_by_the_clean_up(backend, program, placement):
    pids = []
    with pytest.raises(ZeroDivisionError), backend.serve(program, placement) as service:
        pids.append(service.pid / 0 if pids.append(service.pid) else 0 / 0)

    (pid,) = pids
    assert not Path(f"/proc/{pid}").exists()


def test_a_port_that_somebody_else_holds_is_named(backend, program, placement):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", placement.port))
        holder.listen()

        with pytest.raises(TargetFailed) as failed, backend.serve(program, placement) as service:
            ready(service, placement)

    assert "ended" in failed.value.reason
    assert f"127.0.0.1:{placement.port}: Address already in use" in failed.value.log


def test_a_stranger_on_the_port_is_not_taken_for_the_service(backend, program, placement):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        elsewhere = replace(placement, port=stranger.getsockname()[1])
        with backend.serve(program, placement) as service:
            ready(service, placement)

            with pytest.raises(TargetFailed, match=f"held by another process \\(pid {os.getpid()}"):
                ready(service, elsewhere)


def test_the_log_is_bounded(backend, program, placement):
    with backend.serve(program, placement) as service:
        ready(service, placement)

        assert len(service.log(10_000)) <= 16384


@pytest.mark.docker
def test_a_service_out_of_memory_is_told_as_such(program, placement):
    backend = docker.DockerBackend(f"contract-oom-{os.getpid()}")
    tight = replace(placement, memory_bytes=6 * 2**20)  # the smallest that the engine takes
    body = b'{"amount":1,"x":"' + b"y" * 1_900_000
    lines = []
    try:
        with backend.serve(program, tight) as service:
            ready(service, tight)
            for _ in range(16):
                lines.append(socket.create_connection(("127.0.0.1", tight.port), timeout=2))
                try:
                    lines[-1].sendall(HEAD % (len(body) + 2) + body)  # the end never comes, so bodies pile up
                except OSError:
                    break
            ended = ended_within(service, 10)
    finally:
        for line in lines:
            line.close()
        backend.close()

    assert ended.oom_killed
    assert "memory limit" in ended.words


@pytest.mark.docker
def test_only_what_a_dead_owner_left_is_swept(program, placement, monkeypatch):
    backend = docker.DockerBackend(f"contract-sweep-{os.getpid()}")
    try:
        with backend.serve(program, placement) as alive:
            assert docker.sweep() == ()
            assert alive.exited() is None

        monkeypatch.setattr(owner, "mine", lambda: "999999999:1:another-boot")
        with backend.serve(program, placement) as dead:
            (line,) = docker.sweep()
            assert not Path(f"/proc/{dead.pid}").exists()
    finally:
        backend.close()

    assert "left by a run that died" in line


def test_a_child_left_by_a_dead_run_is_ended_only_if_all_three_marks_agree(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        row = {"pid": child.pid, "start_ticks": inspect.start_ticks(child.pid), "boot_id": inspect.boot_id()}
        file = tmp_path / "children.json"
        for wrong in ({"start_ticks": 1}, {"boot_id": "another"}):
            file.write_text(json.dumps([{**row, **wrong}]))
            assert leftovers.end_children(file) == ()
            assert child.poll() is None

        file.write_text(json.dumps([row]))
        assert leftovers.end_children(file) == (f"ended process {child.pid}, left by a run that died",)
        assert child.wait(10) == -signal.SIGKILL


def test_a_child_dies_with_a_harness_that_is_killed(program, tmp_path):
    code = f"""
import os
from pathlib import Path
from harness.target import inspect
from harness.target.process import ProcessBackend
from harness.target.service import Placement, Program
port, admin = inspect.free_ports()
program = Program("x", Path({str(program.binary)!r}), "", {{}}, "", 0.0, True)
place = Placement((0,), None, port, admin, "n")
with ProcessBackend(Path({str(tmp_path / "children.json")!r})).serve(program, place) as service:
    print(service.pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    child = int(died.stdout)

    assert died.returncode == -9
    end = time.monotonic() + 5
    while (state := inspect.state(child)) not in {None, "Z"} and time.monotonic() < end:
        time.sleep(0.01)
    assert state in {None, "Z"}
