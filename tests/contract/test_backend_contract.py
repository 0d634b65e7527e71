"""Facts that hold for every backend, with a real program in real processes and containers."""

import contextlib
import gc
import hashlib
import json
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.errors import MachineError
from harness.target import inspect, leftovers, proc
from harness.target.docker import DockerBackend
from harness.target.process import ProcessBackend
from harness.target.service import Placement, Program, TargetFailed

pytestmark = pytest.mark.cargo

MEMORY = 64 * 2**20
SOURCE = Path(__file__).with_name("service_under_test.rs")
ENGINE_OWN = {"PATH", "HOSTNAME", "HOME"}  # what Docker itself puts into every container


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    host = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    triple = next(line.split()[1] for line in host.splitlines() if line.startswith("host:"))
    built = tmp_path_factory.mktemp("service") / "server"
    flags = ["--edition", "2024", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "--target", triple]
    subprocess.run(["rustc", *flags, "-o", str(built), str(SOURCE)], check=True)
    return built


@pytest.fixture
def program(binary):
    def of(mode="serve"):
        digest = hashlib.sha256(binary.read_bytes()).hexdigest()
        return Program(f"v-{mode}", binary, digest, {"OPT_MODE": mode}, "", build_s=0.0, cached=True)

    return of


@pytest.fixture
def placement():
    def at(cores=(0,), memory=MEMORY):
        port, admin_port = inspect.free_ports()
        return Placement(cores, memory, port, admin_port, nonce=f"{port}-{admin_port}")

    return at


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def backend(request, tmp_path):
    made = _backend(request.param, tmp_path, request.node.name)
    yield made
    made.close()


def _backend(name, folder, run, stop_limit_s=0.3):
    if name == "docker":
        return DockerBackend(f"Contract-{os.getpid()}-{run}", stop_limit_s)
    return ProcessBackend(folder / "children.json", stop_limit_s)


def _ready(service, place, limit_s=10):
    inspect.wait_ready(service, place, has_admin=True, limit_s=limit_s)
    return service


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def _ended(service, limit_s=10):
    end = time.monotonic() + limit_s
    while (found := service.exited()) is None and time.monotonic() < end:
        time.sleep(0.01)
    return found


def _containers(of):
    """Names of containers whose run has `of` in its name: other runs may go on on this host."""
    listed = ["docker", "ps", "-a", "--filter", "label=tokio-harness.run", "--format", "{{.Names}}"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    return [name for name in names if of in name]


def _images(of):
    listed = ["docker", "images", "--filter", "label=tokio-harness.run", "--format", "{{.Repository}}:{{.Tag}}"]
    names = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    return [name for name in names if of in name]


def test_a_served_program_answers_for_its_own_start(backend, program, placement):
    place = placement()
    with backend.serve(program(), place) as service:
        _ready(service, place)

        assert inspect.in_force(service, place, has_admin=True)["nonce"] == place.nonce


def test_a_service_has_a_living_process_on_this_host(backend, program, placement):
    place = placement()
    with backend.serve(program(), place) as service:
        _ready(service, place)

        assert Path(f"/proc/{service.pid}/exe").readlink().name == "server"
        assert service.exited() is None


def test_both_ports_are_free_when_the_block_is_left(backend, program, placement):
    place = placement()
    with backend.serve(program(), place) as service:
        _ready(service, place)
        pid = service.pid

    assert [_accepts(place.port), _accepts(place.admin_port)] == [False, False]
    assert proc.stat(pid) is None


def test_the_same_program_serves_twice_in_a_row_on_the_same_ports(backend, program, placement):
    place = placement()
    pids = []
    for _ in range(2):
        with backend.serve(program(), place) as service:
            pids.append(_ready(service, place).pid)

    assert pids[0] != pids[1]


def test_two_variants_with_one_binary_are_both_served(backend, program, placement):
    for mode in ("serve", "other"):
        place = placement()
        with backend.serve(program(mode), place) as service:
            _ready(service, place)
            given = Path(f"/proc/{service.pid}/environ").read_bytes()

        assert f"OPT_MODE={mode}".encode() in given.split(b"\0")


def test_a_program_that_ends_at_once_tells_code_and_last_words(backend, program, placement):
    with backend.serve(program("exit"), placement()) as service:
        found = _ended(service)

        assert (found.code, found.oom_killed, found.words) == (3, False, "ended with exit code 3")
        assert service.log() == "nothing to do"


def test_waiting_for_a_program_that_ends_fails_with_its_exit_and_log(backend, program, placement):
    place = placement()
    with backend.serve(program("exit"), place) as service, pytest.raises(TargetFailed) as failed:
        _ready(service, place)

    assert failed.value.reason == "the service ended with exit code 3 before it was ready"
    assert failed.value.log == "nothing to do"


def test_a_service_that_never_listens_fails_when_the_limit_is_over(backend, program, placement):
    place = placement()
    with (
        backend.serve(program("late"), place) as service,
        pytest.raises(TargetFailed, match=r"not ready within 0\.2 s"),
    ):
        _ready(service, place, limit_s=0.2)


def test_a_service_that_ignores_sigterm_is_killed_after_the_limit(backend, program, placement):
    place = placement()
    with backend.serve(program("deaf"), place) as service:
        pid = _ready(service, place).pid
        begun = time.monotonic()
    took = time.monotonic() - begun

    assert proc.stat(pid) is None
    assert 0.3 < took < 5


def test_a_service_that_was_killed_tells_the_signal(backend, program, placement):
    place = placement()
    with backend.serve(program(), place) as service:
        os.kill(_ready(service, place).pid, 9)
        found = _ended(service)

        assert (found.code, found.oom_killed, found.words) == (137, False, "killed by SIGKILL")


def test_leaving_never_hides_the_error_that_ended_the_block(backend, program, placement):
    place = placement()
    seen = []

    def served():
        with backend.serve(program(), place) as service:
            seen.append(_ready(service, place).pid)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        served()

    assert proc.stat(seen[0]) is None


def test_a_port_that_another_process_holds_fails_and_names_the_process(backend, program, placement):
    place = placement()
    with socket.create_server(("127.0.0.1", place.port)), backend.serve(program(), place) as service:
        with pytest.raises(TargetFailed) as failed:
            _ready(service, place)

        held = f"port {place.port} is held by another process (pid {os.getpid()} "
        assert failed.value.reason.startswith(held)


def test_an_answer_from_another_service_is_not_taken_for_ours(backend, program, placement, tmp_path):
    place = placement()
    stranger = ProcessBackend(tmp_path / "stranger.json")
    with stranger.serve(program(), place) as other, backend.serve(program("late"), place) as service:
        _ready(other, place)
        with pytest.raises(TargetFailed, match=f"is held by another process \\(pid {other.pid} server\\)"):
            _ready(service, place)


def test_the_environment_holds_only_what_the_harness_sets(backend, program, placement, monkeypatch):
    monkeypatch.setenv("TOKIO_WORKER_THREADS", "7")
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.delenv("LANG", raising=False)
    place = placement()
    with backend.serve(program(), place) as service:
        _ready(service, place)
        given = dict(
            line.split("=", 1) for line in Path(f"/proc/{service.pid}/environ").read_text().split("\0") if line
        )
    expected = {
        "OPT_MODE": "serve",
        "PORT": str(place.port),
        "ADMIN_PORT": str(place.admin_port),
        "HARNESS_NONCE": place.nonce,
    }

    assert {name: value for name, value in given.items() if name not in ENGINE_OWN} == expected


@pytest.mark.parametrize("cores", [(0,), (0, 1)])
def test_a_runtime_sees_as_many_cores_as_it_was_given(backend, program, placement, cores):
    if not set(cores) <= os.sched_getaffinity(0):
        pytest.skip("this machine has one core")
    place = placement(cores)
    with backend.serve(program(), place) as service:
        _ready(service, place)

        assert inspect.read_runtime(place)["workers"] == len(cores)
        assert os.sched_getaffinity(service.pid) == set(cores)


def _files_of_a_service(name, folder, program, place, hard):
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1000, hard))
    with contextlib.closing(_backend(name, folder, "files")) as backend, backend.serve(program, place) as service:
        return proc.most_files(_ready(service, place).pid)


@pytest.mark.parametrize("name", [pytest.param("docker", marks=pytest.mark.docker), "process"])
def test_a_service_may_have_as_many_files_as_the_harness_could(name, program, placement, tmp_path):
    """In a process of its own, since a lower hard limit cannot be raised again."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_files_of_a_service, (name, tmp_path, program(), placement(), 3000))

    assert found == 3000


def test_a_log_is_bounded_in_lines_and_bytes(backend, program, placement):
    place = placement()
    with backend.serve(program("chatter"), place) as service:
        _ready(service, place)

        assert service.log(2).splitlines() == [f"{16382:063}", f"{16383:063}"]
        assert 16000 < len(service.log(10_000)) <= 16 * 1024


def test_a_child_that_writes_much_does_not_fill_the_memory_of_the_harness(program, placement, tmp_path):
    place = placement()
    with _backend("process", tmp_path, "chatter").serve(program("chatter"), place) as service:
        _ready(service, place)

        assert len(service._written) <= 16 * 1024


def test_the_processor_time_of_a_service_counts_up_and_never_another_one(backend, program, placement):
    place = placement()
    with backend.serve(program(), place) as service:
        _ready(service, place)
        before = inspect.process_cpu_ns(service.pid)
        for _ in range(50):
            inspect.read_runtime(place)
        after = inspect.process_cpu_ns(service.pid)
        pid = service.pid

    assert 0 < before < after < before + 10**9
    assert inspect.process_cpu_ns(pid) is None


@pytest.mark.docker
def test_a_container_that_reaches_its_memory_limit_is_recorded_as_such(program, placement, tmp_path):
    backend = _backend("docker", tmp_path, "oom")
    with backend.serve(program("eat"), placement(memory=32 * 2**20)) as service:
        found = _ended(service, limit_s=30)
    backend.close()

    assert (found.code, found.oom_killed) == (137, True)
    assert found.words == "killed by the kernel: it reached its memory limit"


@pytest.mark.docker
def test_a_container_has_no_rights_and_cannot_write(program, placement, tmp_path):
    backend = _backend("docker", tmp_path, "rights")
    place = placement()
    with backend.serve(program(), place) as service:
        _ready(service, place)
        status = Path(f"/proc/{service.pid}/status").read_text()
        root = next(
            line for line in Path(f"/proc/{service.pid}/mounts").read_text().splitlines() if line.split()[1] == "/"
        )
    backend.close()

    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert root.split()[3].split(",")[0] == "ro"


@pytest.mark.docker
def test_closing_removes_the_images_of_this_run_and_of_no_other(program, placement, tmp_path):
    ours, other = _backend("docker", tmp_path, "ours"), _backend("docker", tmp_path, "other")
    for backend in (ours, other):
        place = placement()
        with backend.serve(program(), place) as service:
            _ready(service, place)
    ours.close()
    left = _images(f"contract-{os.getpid()}-")
    other.close()

    assert left == [f"tokio-harness/contract-{os.getpid()}-other:v-serve"]
    assert _images(f"contract-{os.getpid()}-other") == []


@pytest.mark.docker
def test_an_image_that_somebody_removed_is_made_again(program, placement, tmp_path):
    backend = _backend("docker", tmp_path, "cleaned")
    for _ in range(2):
        place = placement()
        with backend.serve(program(), place) as service:
            _ready(service, place)
        for image in _images(f"contract-{os.getpid()}-cleaned"):
            subprocess.run(["docker", "rmi", image], capture_output=True, check=True)
    backend.close()


class Proxy:
    """A way to the engine that can be cut."""

    def __init__(self, path):
        self.path = path
        self._lines = []
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self):
        self.path.unlink()
        for line in (self._door, *self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        for line in (self._door, *self._lines):
            line.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, far = self._door.accept()[0], socket.socket(socket.AF_UNIX)
                far.connect("/var/run/docker.sock")
                self._lines += [near, far]
                for here, there in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(here, there), daemon=True).start()

    @staticmethod
    def _copy(here, there):
        with contextlib.suppress(OSError):
            while data := here.recv(65536):
                there.sendall(data)
            there.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(tmp_path, monkeypatch):
    """A way to Docker that a test may cut; what was left behind it is removed in the end."""
    made = Proxy(tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{made.path}")
    yield made
    monkeypatch.delenv("DOCKER_HOST")
    run = f"contract-{os.getpid()}-cut"
    for names, remove in ((_containers(run), ["rm", "-f"]), (_images(run), ["rmi"])):
        for name in names:
            subprocess.run(["docker", *remove, name], capture_output=True, check=True)
    gc.collect()


# Docker's library leaves the socket to the garbage collector when it cannot connect.
leaves_a_socket = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@leaves_a_socket
@pytest.mark.docker
def test_an_engine_that_goes_away_under_a_service_is_a_fault_of_the_machine(proxy, program, placement, tmp_path):
    backend = _backend("docker", tmp_path, "cut")
    place = placement()

    def served():
        with backend.serve(program(), place) as service:
            _ready(service, place)
            proxy.cut()

    with pytest.raises(MachineError, match="Docker does not answer as it should"):
        served()
    backend.close()

    assert DockerBackend.available() is not None


@leaves_a_socket
@pytest.mark.docker
def test_an_engine_that_goes_away_does_not_hide_what_ended_the_block(proxy, program, placement, tmp_path):
    backend = _backend("docker", tmp_path, "cut-too")
    place = placement()

    def served():
        with backend.serve(program(), place) as service:
            _ready(service, place)
            proxy.cut()
            assert service.log() == ""
            raise TargetFailed("it answered 500")

    with pytest.raises(TargetFailed, match="it answered 500") as failed:
        served()
    backend.close()

    assert "Docker does not answer" in failed.value.__notes__[0]


DYING = """
import os, sys
from harness.target import inspect
from harness.target.service import Placement, Program
from pathlib import Path
kind, binary, folder, port, admin = sys.argv[1:]
program = Program("left", Path(binary), "digest", {"OPT_MODE": "serve"}, "", 0.0, True)
if kind == "docker":
    from harness.target.docker import DockerBackend
    backend = DockerBackend("dying-%d" % os.getpid())
else:
    from harness.target.process import ProcessBackend
    backend = ProcessBackend(Path(folder) / "children.json")
place = Placement((0,), 2**26, int(port), int(admin), "n")
with backend.serve(program, place) as service:
    inspect.wait_ready(service, place, has_admin=True, limit_s=10)
    print(service.pid, flush=True)
    sys.stdin.read()
backend.close()
"""


@pytest.fixture
def other_harness(binary, tmp_path):
    """Another harness with a service, which goes on until it is killed."""
    started = []

    def start(kind):
        run = tmp_path / "study" / f"run-{kind}-{len(started)}"
        run.mkdir(parents=True)
        ports = [str(port) for port in inspect.free_ports()]
        command = [sys.executable, "-c", DYING, kind, str(binary), str(run), *ports]
        harness = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(harness)
        return harness, int(harness.stdout.readline())

    yield start
    for harness in started:
        harness.stdin.close()  # the polite end, for those that still live
        harness.wait(timeout=20)
        harness.stdout.close()


@pytest.mark.docker
def test_a_sweep_removes_what_a_dead_harness_left_and_spares_the_living(other_harness, tmp_path):
    dead, dead_pid = other_harness("docker")
    living, living_pid = other_harness("docker")
    dead.kill()
    dead.wait()

    said = leftovers.sweep(tmp_path)

    assert [line.split()[1] for line in said if f"dying-{dead.pid}" in line] == ["container", "image"]
    assert not [line for line in said if f"dying-{living.pid}" in line]
    assert [len(_containers(f"dying-{harness.pid}-")) for harness in (dead, living)] == [0, 1]
    assert [len(_images(f"dying-{harness.pid}:")) for harness in (dead, living)] == [0, 1]
    assert [proc.stat(pid) is None for pid in (dead_pid, living_pid)] == [True, False]


def test_a_child_dies_with_the_harness_that_was_killed(other_harness):
    harness, pid = other_harness("process")
    harness.kill()
    harness.wait()

    assert proc.wait_gone(pid, 5)


def test_a_sweep_spares_the_child_of_a_living_harness(other_harness, tmp_path):
    _, pid = other_harness("process")

    assert [line for line in leftovers.sweep(tmp_path) if "process" in line] == []
    assert proc.stat(pid) is not None


def test_a_sweep_ends_a_recorded_child_only_if_the_whole_identity_agrees(tmp_path):
    sleeper = subprocess.Popen(["sleep", "60"])
    known = proc.identity(sleeper.pid)
    dead_owner = f"1:1:{'0' * 8}-another-boot:1"
    results = []
    for child in (known.replace(f"{sleeper.pid}:", f"{sleeper.pid}:9"), known):
        file = tmp_path / "study" / "run" / "children.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"owner": dead_owner, "children": [child]}))
        leftovers.sweep(tmp_path)
        results.append(sleeper.poll() is None and not proc.wait_gone(sleeper.pid, 0.2))
    sleeper.kill()
    sleeper.wait()

    assert results == [True, False]
