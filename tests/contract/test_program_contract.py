"""From a study to settings in force: real cargo, the real templates and an own crate, on every backend."""

import ctypes
import http.client
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from harness import variant as variants
from harness.study import knobs, load, manifest
from harness.study.model import UNSET
from harness.target import build, inspect
from harness.target.docker import DockerBackend
from harness.target.process import ProcessBackend
from harness.target.service import Placement, TargetFailed

pytestmark = pytest.mark.cargo

OWN_CRATE = Path(__file__).resolve().parents[1] / "own_crate"
FORBID = Path(__file__).with_name("without_io_uring.py")
STUDY = """\
study: program
target: {{{target}, cpus: 1}}
load: {{model: open, rate: 300, connections: 8, timeout: 2s, requests: [{{name: get, path: /}}]}}
window: {{warmup: 1s, measure: 7s}}
objective: {{minimize: p95}}
knobs: {{{knobs}}}
"""


@pytest.fixture(autouse=True)
def shared_cache(monkeypatch):
    """One build cache for all test runs of this user: its keys are content, and a cold build takes half a minute."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path(tempfile.gettempdir()) / f"harness-tests-{os.getuid()}"))


@pytest.fixture
def study(tmp_path):
    def of(target, searched):
        file = tmp_path / "study.yaml"
        file.write_text(STUDY.format(target=target, knobs=searched), encoding="utf-8")
        return load(file)

    return of


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def backend(request, tmp_path):
    made = (
        DockerBackend(f"programs-{os.getpid()}-{request.node.name}")
        if request.param == "docker"
        else ProcessBackend(tmp_path / "children.json")
    )
    yield made
    made.close()


def placed(study):
    upstream = None if study.target.upstream_ms is None else 1  # nobody listens there, and nothing is forwarded here
    return Placement((0,), 256 * 2**20, *inspect.free_ports(), nonce=study.name, upstream_port=upstream)


def may_use_io_uring():
    """Whether this host gives a process an io_uring; a container may be refused all the same."""
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(425, 2, ctypes.create_string_buffer(120))
    if ring >= 0:
        os.close(ring)
    return ring >= 0


class WithoutIoUring(ProcessBackend):
    """Starts programs as a container does whose seccomp profile answers io_uring_setup with EPERM."""

    @contextmanager
    def serve(self, program, placement):
        wrapped = self._children.with_name("server")
        wrapped.write_text(f"#!/bin/sh\nexec {sys.executable} {FORBID} {program.binary}\n")
        wrapped.chmod(0o755)
        with super().serve(replace(program, binary=wrapped), placement) as service:
            yield service


def faults_of(study, variant, backend):
    place, has_admin = placed(study), study.target.has_admin
    with backend.serve(build.build(study, variant), place) as service:
        inspect.wait_ready(service, place, has_admin=has_admin, limit_s=10)
        answer = inspect.in_force(service, place, has_admin=has_admin)
        return inspect.check_in_force(study, variant, answer), answer


@pytest.mark.parametrize(
    ("assignment", "flavor", "workers"),
    [
        ({}, "multi_thread", 1),
        ({"worker_threads": 4}, "multi_thread", 4),
        ({"flavor": "current_thread"}, "current_thread", 1),
        ({"flavor": "thread_per_core", "worker_threads": 4}, "thread_per_core", 4),
    ],
)
def test_the_settings_of_a_template_are_in_force(study, backend, assignment, flavor, workers):
    searched = study(
        "template: echo", "worker_threads: [unset, 4], flavor: [multi_thread, current_thread, thread_per_core]"
    )

    faults, answer = faults_of(searched, variants.of(searched, assignment), backend)

    assert faults == ()
    assert (answer["flavor"], answer["workers"]) == (flavor, workers)


def test_options_and_settings_reach_a_template(study, backend):
    searched = study("template: payments, set: {check_ms: 0.5}", "fraud_check: [inline, spawn_blocking]")

    faults, answer = faults_of(searched, variants.of(searched, {"fraud_check": "spawn_blocking"}), backend)

    assert faults == ()
    assert answer["options"] == {"check_cpu_ms": "0.2", "check_ms": "0.5", "fraud_check": "spawn_blocking"}


def test_a_program_with_other_settings_than_the_variant_is_found_out(study, backend):
    searched = study("template: echo", "worker_threads: [unset, 4]")
    place = placed(searched)
    other = variants.of(searched, {"worker_threads": 4})
    with backend.serve(build.build(searched, variants.baseline(searched)), place) as service:
        inspect.wait_ready(service, place, has_admin=True, limit_s=10)
        answer = inspect.in_force(service, place, has_admin=True)

    assert inspect.check_in_force(searched, other, answer) == ("workers in force is 1, the variant has 4",)


def test_an_own_crate_runs_on_its_committed_runtime_and_on_a_rendered_one(study, backend):
    searched = study(f"path: {OWN_CRATE}", "worker_threads: [2, 4]")

    seen = [faults_of(searched, variants.of(searched, given), backend) for given in ({}, {"worker_threads": 4})]

    assert [faults for faults, _ in seen] == [(), ()]
    assert [answer["threads"] for _, answer in seen] == [3, 5]


@pytest.mark.parametrize("version", knobs.TOKIO_VERSIONS)
def test_a_template_runs_on_each_version_of_tokio_and_tells_which(study, tmp_path, version):
    searched = study("template: echo", f"tokio: [{', '.join(map(repr, knobs.TOKIO_VERSIONS))}]")
    backend = ProcessBackend(tmp_path / "children.json")

    faults, answer = faults_of(searched, variants.of(searched, {"tokio": version}), backend)

    assert faults == ()
    assert str(answer["tokio"]).startswith(f"{version}.")


@pytest.mark.slow
@pytest.mark.parametrize("template", manifest.template_names())
def test_every_template_builds_with_the_oldest_tokio_and_serves_by_several_runtimes(study, tmp_path, template):
    oldest = knobs.TOKIO_VERSIONS[0]
    searched = study(f"template: {template}", f'tokio: [unset, "{oldest}"], flavor: [unset, thread_per_core]')
    several = {"tokio": oldest, "flavor": "thread_per_core", "worker_threads": 3}
    backend = ProcessBackend(tmp_path / "children.json")

    faults, answer = faults_of(searched, variants.of(searched, several), backend)

    assert faults == ()
    assert answer["workers"] == 3


@pytest.mark.parametrize("version", knobs.TOKIO_VERSIONS)
def test_the_knobs_that_a_version_lacks_are_those_that_its_builder_does_not_have(study, version):
    searched = study("template: echo", f"tokio: [{', '.join(map(repr, knobs.TOKIO_VERSIONS))}]")
    built = build.build(searched, variants.of(searched, {"tokio": version}))
    exact = re.search(r'name = "tokio"\nversion = "([^"]+)"', str(built.cargo_lock))[1]
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    source = next(home.glob(f"registry/src/*/tokio-{exact}/src/runtime/builder.rs")).read_text(encoding="utf-8")

    wanted = [name for name, row in knobs.TABLE.items() if row.call.startswith(".")]

    assert tuple(name for name in wanted if f"pub fn {name}(" not in source) == knobs.lacking(version)


def test_every_knob_compiles_with_the_flags_of_the_harness(study):
    written = {"integer": "64", "duration": "250ms", "size": "4MiB", "flag": "true"}
    levels = {row.name: written[row.kind] for row in knobs.TABLE.values() if row.kind in written and row.call}
    del levels["enable_io_uring"]  # for targets that work on files: below
    levels["max_io_events_per_busy_tick"] = "8"  # equal to the other one it would be dropped as no change
    searched = study("template: echo", ", ".join(f"{name}: [unset, {level}]" for name, level in levels.items()))
    every = {knob.name: next(level for level in knob.levels if level != UNSET) for knob in searched.knobs}

    built = build.build(searched, variants.of(searched, every))

    assert [name for name in levels if f".{name}(" not in built.runtime_rs] == []


def ring_after_a_read(study, given, backend):
    """Whether `ingest` has an io_uring open after it wrote and read a frame, and what the two were answered with."""
    searched = study("template: ingest", "enable_io_uring: [unset, true]")
    place = placed(searched)
    with backend.serve(build.build(searched, variants.of(searched, given)), place) as service:
        inspect.wait_ready(service, place, has_admin=True, limit_s=10)
        connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=5)
        answers = []
        for method, path in (("POST", "/frames"), ("GET", "/frames/first")):
            connection.request(method, path)
            answers.append(connection.getresponse().read())
        connection.close()
        return inspect.read_runtime(place)["io_uring"], answers


@pytest.mark.parametrize(("given", "ring"), [({}, False), ({"enable_io_uring": True}, True)], ids=["unset", "enabled"])
def test_files_go_by_io_uring_where_it_is_enabled(study, backend, given, ring):
    if ring and not may_use_io_uring():
        pytest.skip("this host forbids io_uring")

    seen, (written, read) = ring_after_a_read(study, given, backend)

    assert read == written
    if (ring, seen, backend.name) == (True, False, "docker"):
        pytest.skip("the seccomp profile of this Docker forbids io_uring")
    assert seen == ring


def test_where_io_uring_is_forbidden_the_files_are_served_all_the_same_and_the_probe_tells(study, tmp_path):
    seen, (written, read) = ring_after_a_read(study, {"enable_io_uring": True}, WithoutIoUring(tmp_path / "children"))

    assert (seen, read) == (False, written)


def test_a_crate_that_does_not_compile_fails_the_variant_with_cargos_words(study, tmp_path):
    crate = tmp_path / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text('[workspace]\n[package]\nname = "broken"\nversion = "0.1.0"\nedition = "2024"\n')
    (crate / "src" / "main.rs").write_text("mod runtime;\nfn main() { let _ = runtime::build(); }\n")
    (crate / "src" / "runtime.rs").write_text("pub fn build() { Builder::new_multi_thread().build() }\n")
    searched = study(f"path: {crate}", "worker_threads: [unset, 4]")

    with pytest.raises(TargetFailed) as failed:
        build.build(searched, variants.baseline(searched))

    assert failed.value.reason.startswith("the variant does not build: error[E0433]")
    assert "src/runtime.rs:1" in failed.value.log
