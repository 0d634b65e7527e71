"""Held-open connections for real: the hub under the bench's own hands, and under a whole window with idle ones."""

import importlib.util
import sys
from contextlib import closing
from dataclasses import replace

import pytest
import served

from harness import variant
from harness.load.generator import LocustGenerator
from harness.study import load
from harness.study.model import WindowTimes
from harness.target import build
from harness.target.process import ProcessBackend
from harness.variant import Step
from harness.window import run as window
from harness.window.run import Bench, Place

pytestmark = [pytest.mark.load, pytest.mark.cargo]
FEW = 600


@pytest.fixture(scope="module")
def connections():
    spec = importlib.util.spec_from_file_location("connections", served.ROOT / "bench" / "connections.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["connections"] = module
    spec.loader.exec_module(module)
    return module


def test_a_held_connection_costs_kilobytes_no_thread_and_no_cpu(connections):
    study = load(connections.STUDY)
    none, some = (connections.measured(study, served.CORES, connections.SMALL, count) for count in (0, FEW))

    assert none.threads == some.threads == some.workers + 2
    assert 1024 < (some.rss_bytes - none.rss_bytes) / FEW < 8 * 1024
    assert some.idle_cpu_share < 0.01
    assert some.broadcast_cpu_ms > none.broadcast_cpu_ms


def test_a_member_of_the_chat_costs_its_read_buffer_and_no_thread(connections):
    study = load(connections.CHAT)
    none, some = (connections.held_by_chat(study, served.CORES, count) for count in (0, FEW))

    assert none["threads"] == some["threads"]
    assert (some["rss_bytes"] - none["rss_bytes"]) / FEW == pytest.approx(connections.LIBRARY, rel=0.2)


def test_a_window_of_the_gateway_holds_its_idle_connections_on_a_topic_of_their_own(tmp_path):
    study = load(served.ROOT / "studies" / "websocket-gateway.yaml")
    about = replace(study.load.websocket, idle=FEW)
    study = replace(study, load=replace(study.load, websocket=about), window=WindowTimes(0.5, 1.0, 2.0))
    with (
        closing(LocustGenerator(served.CORES.generator, tmp_path / "log")) as generator,
        closing(ProcessBackend(tmp_path / "children.json")) as backend,
    ):
        bench = Bench(study, build.build, backend, generator, served.CORES)
        step = Step("calibrate", "baseline", 0, 0, 0, variant.baseline(study), 7)
        seen = window.run(step, bench, Place(tmp_path, tmp_path, None, new_variant=False))

    assert seen.figures.error_ratio == 0
    assert seen.figures.threads == 2 + 2
    assert seen.host.server_requests == seen.host.sent_requests == FEW + 16 + 1
