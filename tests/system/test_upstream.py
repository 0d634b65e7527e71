"""The upstream of a target, for real: on the generator's cores, counted apart, gone with its window and with the harness."""

import os
import select
import signal
from contextlib import closing

import pytest
import served

from harness.load.generator import LocustGenerator
from harness.target.docker import DockerBackend
from harness.target.process import ProcessBackend

pytestmark = [pytest.mark.load, pytest.mark.cargo]
STUDY = """\
study: small
target: {template: proxy, set: {upstream_ms: 20, work_us: 50}}
load: {rate: 50, connections: 8, timeout: 500ms, requests: [{name: get, path: /}]}
window: {warmup: 500ms, measure: 2s}
objective: {minimize: p50}
knobs: {worker_threads: [1, 2]}
phases: {calibrate: 3, screen: 1, confirm: 5}
"""


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.docker), "process"])
def backend(request, tmp_path):
    made = (
        DockerBackend(f"upstream-{os.getpid()}")
        if request.param == "docker"
        else ProcessBackend(tmp_path / "children.json")
    )
    yield made
    made.close()


def test_an_upstream_is_pinned_with_the_generator_counted_apart_and_gone_after_the_window(backend, tmp_path):
    cores = []
    with closing(LocustGenerator(served.CORES.generator, tmp_path / "log")) as generator:
        seen = served.forwarded(generator, backend, tmp_path, lambda pid: cores.append(os.sched_getaffinity(pid)))

    assert cores == [{*served.CORES.generator}]
    assert seen.figures.error_ratio == 0, seen.reasons
    assert seen.figures.p50_ms > 7
    assert 0 < seen.host.upstream_cpu < 0.2
    assert seen.host.upstream_ended is None
    assert served.upstreams(os.getpid()) == []


def test_an_upstream_dies_with_the_harness_that_is_killed_in_the_middle_of_a_window(harness):
    harness.study.write_text(STUDY)
    process = harness.start("optimize", "small.yaml", "--backend", "process", "--wait", "200")
    harness.wait_for_windows(process, 1)
    harness.wait_until(lambda: served.upstreams(process.pid), process)
    (pid,) = served.upstreams(process.pid)
    watched = os.pidfd_open(pid)

    code, _, _ = harness.end(process, signal.SIGKILL)

    assert code == -signal.SIGKILL
    assert select.select([watched], [], [], 2)[0]
