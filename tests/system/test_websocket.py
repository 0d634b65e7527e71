"""Whole windows of a websocket load: what the server's HTTP counters see is compared with what the engine says it did."""

from contextlib import closing
from dataclasses import replace

import pytest
import served

from harness.load.generator import LocustGenerator
from harness.study.model import Request, WebSocket
from harness.window.measurement import Validity

pytestmark = pytest.mark.load
SAY = Request("say", "GET", "/chat", (), b"hello {id}", 1.0, 101)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    with closing(LocustGenerator(served.CORES.generator, tmp_path_factory.mktemp("generator") / "log")) as made:
        yield made


def measured(generator, name, *, delivery="echo", idle=0, **more):
    study = served.study(rate=100.0, engine="websocket", websocket=WebSocket("/chat", delivery, idle), **more)
    study = replace(study, load=replace(study.load, requests=(SAY,)))
    return served.measured(generator, served.Backend(name, servers=served.WEBSOCKET_SERVERS), study)


@pytest.mark.parametrize(("name", "delivery"), [("echo", "echo"), ("broadcast", "broadcast")])
def test_handshakes_are_the_requests_and_connections_that_the_server_counts(generator, name, delivery):
    seen = measured(generator, name, delivery=delivery, connections=8, idle=30)

    assert seen.figures.error_ratio == 0
    assert seen.host.server_requests == seen.host.sent_requests == seen.host.answered_requests == 8 + 30 + 1
    assert seen.host.server_connections == seen.host.expected_connections == 8 + 30 + 1 + 1
    assert [reason for reason in seen.reasons if "counted" in reason or "accepted" in reason] == []


def test_a_server_that_drops_connections_is_measured_and_its_handshakes_still_agree(generator):
    seen = measured(generator, "drops_every_tenth", connections=8, idle=10)

    assert seen.figures.error_ratio == pytest.approx(0.1, abs=0.03)
    assert seen.host.reconnects > 20
    assert seen.host.server_requests == seen.host.sent_requests > 8 + 10 + 1 + 20
    assert [reason for reason in seen.reasons if "counted" in reason or "accepted" in reason] == []


def test_handshakes_of_somebody_else_make_the_window_invalid(generator):
    seen = measured(generator, "asks_itself", connections=8)

    assert seen.validity is Validity.INVALID
    assert [reason for reason in seen.reasons if "somebody else sent" in reason]
