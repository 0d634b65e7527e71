"""docs/metrics.md: each of its programs builds as it stands, serves, tells what the page says, and stops when told to."""

import http.client
import os
import signal
import tempfile
import time
import tomllib
from pathlib import Path

import metrics_page
import pytest

from harness import variant as variants
from harness.study import load
from harness.target import build, inspect
from harness.target.process import ProcessBackend
from harness.target.service import Placement
from harness.window.series import parse_metrics

KIT = metrics_page.ROOT / "target_templates" / "kit"
STABLE = {"tokio_workers", "tokio_alive_tasks", "tokio_global_queue_depth", "tokio_worker_busy_seconds_total"}
UNSTABLE = {"tokio_blocking_threads", "tokio_idle_blocking_threads", "tokio_blocking_queue_depth"}
STUDY = """\
study: page
target: {path: my-service, cpus: 1}
load: {rate: 300, requests: [{name: hello, path: /}]}
window: {warmup: 1s, measure: 7s}
objective: {minimize: p95}
knobs: {worker_threads: [unset, 3]}
"""


@pytest.fixture(params=metrics_page.WAYS)
def way(request):
    return request.param


@pytest.fixture
def study(way, tmp_path, monkeypatch):
    cache = Path(tempfile.gettempdir()) / f"harness-tests-{os.getuid()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    metrics_page.crate(way, tmp_path)
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return load(file)


@pytest.mark.cargo
def test_the_program_of_the_page_serves_tells_and_stops(way, study, tmp_path):
    variant = variants.of(study, {"worker_threads": 3})
    place = Placement((0,), None, *inspect.free_ports(), nonce="mine")
    with ProcessBackend(tmp_path / "children.json").serve(build.build(study, variant), place) as service:
        inspect.wait_ready(service, place, has_admin=True, limit_s=10)
        faults = inspect.check_in_force(study, variant, inspect.in_force(service, place, has_admin=True))
        hello = [got(place.port) for _ in range(2)]
        told = inspect.scrape(place.admin_port)
        os.kill(service.pid, signal.SIGTERM)
        ended = ends(service)

    assert faults == ()
    assert hello == ["hello", "hello"]
    assert inspect.request_count(told) == 2
    assert parse_metrics(told).keys() >= STABLE
    assert (parse_metrics(told).keys() >= UNSTABLE) == (way != metrics_page.STABLE)
    assert ended.code == 0, ended.words


def got(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/", headers={"Connection": "close"})
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def ends(service):
    end = time.monotonic() + 1.5  # before the probe would end it all the same
    while (ended := service.exited()) is None:
        assert time.monotonic() < end, "it goes on after SIGTERM"
        time.sleep(0.01)
    return ended


def test_every_program_on_the_page_is_built():
    programs = [heading for heading, text in metrics_page.sections().items() if "fn main" in text]

    assert len(programs) == len(metrics_page.WAYS)
    assert all(metrics_page.section(way) for way in metrics_page.WAYS)


def test_kit_inherits_nothing_so_that_its_folder_can_be_copied():
    kit = tomllib.loads((KIT / "Cargo.toml").read_text())

    assert "workspace" not in str(kit)


def test_the_commands_of_kits_own_page_are_those_of_this_one():
    shown = metrics_page.commands((KIT / "README.md").read_text())

    assert shown
    assert set(shown) <= set(metrics_page.commands(metrics_page.PAGE.read_text()))


def test_kit_is_linted_like_the_targets():
    kit = tomllib.loads((KIT / "Cargo.toml").read_text())
    workspace = tomllib.loads((KIT.parent / "Cargo.toml").read_text())["workspace"]

    assert kit["lints"] == workspace["lints"]
    assert kit["package"]["rust-version"] == workspace["package"]["rust-version"]
    assert kit["package"]["edition"] == workspace["package"]["edition"]
