"""What the websocket engine keeps to, on real sockets: every message has one outcome, whatever the target does."""

import resource
import sys
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_generator_contract import a_generator, drive, get, job, latency_ms, quietest_ms, server, started

from harness.errors import MachineError
from harness.load import schedule
from harness.load.job import COMPLETED, FAILED, TIMED_OUT, UNFINISHED, TargetRefused
from harness.study.model import WebSocket

pytestmark = pytest.mark.load
SERVERS = Path(__file__).with_name("websocket_servers.py")


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    with closing(a_generator(tmp_path_factory.mktemp("generator"), "websocket")) as made:
        yield made


def serving(name):
    return started([sys.executable, str(SERVERS), name])


def messages(port, tmp_path, *, delivery="echo", idle=0, binary=False, body=b'{"id": "{id}"}', **more):
    about = WebSocket("/chat", delivery, idle, binary)
    made = job(port, tmp_path, requests=(get(name="say", expect=101, body=body),), **more)
    return replace(made, load=replace(made.load, websocket=about))


def counts(target):
    target.stdin.close()
    return [int(word) for word in target.stdout.readline().split()]


def test_an_echo_of_known_delay_is_measured_to_within_a_small_floor(generator, tmp_path):
    with serving("two_ms") as target:

        def measure():
            driven, taken = drive(generator, messages(target.port, tmp_path, rate=100.0))
            assert driven.offered == 200
            assert np.all(taken.outcome == COMPLETED)
            return taken

        assert 2.0 <= quietest_ms(measure, 3.5) < 3.5


def test_handshakes_are_all_that_the_servers_http_side_sees(generator, tmp_path):
    with serving("echo") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path, connections=16, idle=20))
        handshakes, seen, _ = counts(target)

    assert handshakes == driven.sent_total == driven.answered_total == driven.connects == 16 + 20 + 1
    assert seen == 500 + 1  # warm-up and window, and one message of the verification
    assert np.all(taken.status == 101)
    assert driven.reconnects == 0


def test_the_messages_follow_the_schedule_that_every_engine_has(generator, tmp_path):
    wanted = messages(0, tmp_path, measure=1.0, arrivals="poisson")
    plan = schedule.arrivals(wanted.load, wanted.times, wanted.seed)
    with serving("echo") as target:
        driven, taken = drive(generator, replace(wanted, port=target.port))
    measured = plan.offsets_ns + driven.start_ns >= driven.t0_ns

    assert (taken.intended_ns - driven.start_ns).tolist() == plan.offsets_ns[measured].tolist()


@pytest.mark.parametrize("binary", [False, True])
def test_text_and_binary_messages_are_echoed(generator, tmp_path, binary):
    with serving("echo") as target:
        _, taken = drive(generator, messages(target.port, tmp_path, measure=0.5, binary=binary))

    assert np.all(taken.outcome == COMPLETED)
    assert np.all(taken.bytes == len('{"id": "hx000000000000"}'))


def test_a_stall_shows_in_the_messages_that_had_to_wait_for_it(generator, tmp_path):
    with serving("stall") as target:
        wanted = messages(target.port, tmp_path, rate=200.0, measure=8.0, warmup=0.0, timeout=3.0, connections=64)
        _, taken = drive(generator, wanted)

    # As for HTTP: p95 does not depend on the rate, but a server in Python takes long to catch up with a high one.
    assert np.all(taken.outcome == COMPLETED)
    assert np.quantile(latency_ms(taken), 0.95) == pytest.approx(600, abs=120)


def test_a_dropped_connection_fails_its_message_and_is_opened_again(generator, tmp_path):
    with serving("drops_every_tenth") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path))
        handshakes, _, _ = counts(target)

    assert np.count_nonzero(taken.outcome == FAILED) == pytest.approx(driven.offered / 10, abs=2)
    assert driven.reconnects == pytest.approx(500 / 10, abs=1)
    assert handshakes == driven.sent_total
    assert set(taken.outcome) == {COMPLETED, FAILED}


def test_a_target_that_goes_silent_is_accounted_to_the_last_message(generator, tmp_path):
    with serving("goes_silent") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path, timeout=0.5))

    assert driven.dispatched == driven.offered == 400
    assert np.count_nonzero(taken.outcome == COMPLETED) == pytest.approx(100, abs=3)
    assert np.all(np.isin(taken.outcome, [COMPLETED, TIMED_OUT, UNFINISHED]))
    assert driven.reconnects == 0  # a message that carries its number gives nothing up but itself


def test_without_a_number_a_message_that_timed_out_costs_its_connection(generator, tmp_path):
    with serving("goes_silent") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path, timeout=0.3, body=b"ping"))

    assert driven.reconnects > 0
    assert np.all(np.isin(taken.outcome, [COMPLETED, TIMED_OUT, UNFINISHED]))


def test_greetings_pings_and_fragments_are_no_answers_by_themselves(generator, tmp_path):
    with serving("pings_first") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path, measure=0.5))

    assert np.all(taken.outcome == COMPLETED)
    assert np.all(taken.bytes == len('{"id": "hx000000000000"}'))
    assert driven.reconnects == 0


def test_a_broadcast_is_done_when_every_sender_has_it(generator, tmp_path):
    with serving("broadcast") as target:
        wanted = messages(target.port, tmp_path, delivery="broadcast", connections=20, rate=50.0)
        driven, taken = drive(generator, wanted)

    assert driven.offered == 100
    assert np.all(taken.outcome == COMPLETED)


def test_a_broadcast_that_one_never_gets_is_no_success(generator, tmp_path):
    with serving("forgets_one") as target:
        wanted = messages(target.port, tmp_path, delivery="broadcast", connections=8, rate=100.0, timeout=0.5)
        _, taken = drive(generator, wanted)

    assert np.count_nonzero(taken.outcome == COMPLETED) == pytest.approx(50, abs=8)
    assert set(taken.outcome) == {COMPLETED, TIMED_OUT}


def test_clients_of_the_closed_model_wait_for_their_echo(generator, tmp_path):
    with serving("echo") as target:
        wanted = messages(target.port, tmp_path, model="closed", connections=4, measure=0.5)
        _, taken = drive(generator, wanted)

    assert len(taken.outcome) > 200
    assert np.all(taken.outcome == COMPLETED)


def test_two_thousand_idle_connections_stay_open_beside_the_messages(generator, tmp_path):
    with serving("echo") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path, idle=2000, measure=1.0))

    assert np.all(taken.outcome == COMPLETED)
    assert (driven.connects, driven.reconnects) == (2017, 0)


@pytest.mark.parametrize(("idle_path", "refused"), [("/quiet", False), ("", True)])
def test_idle_connections_are_opened_at_their_own_path_where_they_have_one(generator, tmp_path, idle_path, refused):
    with serving("few_at_chat") as target:
        wanted = messages(target.port, tmp_path, connections=4, idle=20, measure=0.5)
        about = replace(wanted.load.websocket, idle_path=idle_path)
        elsewhere = replace(wanted, load=replace(wanted.load, websocket=about))
        with pytest.raises(TargetRefused, match="403") if refused else nullcontext():
            driven, _ = drive(generator, elsewhere)

            assert (driven.connects, driven.reconnects) == (4 + 20 + 1, 0)


def test_more_idle_connections_than_files_are_the_machines_fault(generator, tmp_path):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with serving("echo") as target, pytest.raises(MachineError, match="ulimit -n"):
        drive(generator, messages(target.port, tmp_path, idle=most + 1))


def test_a_refused_handshake_is_told_with_its_status(generator, tmp_path):
    with serving("rejects") as target, pytest.raises(TargetRefused, match="answered 403 instead of 101"):
        drive(generator, messages(target.port, tmp_path))


def test_a_target_that_speaks_plain_http_is_refused(generator, tmp_path):
    with server("quick") as target, pytest.raises(TargetRefused, match="answered 200 instead of 101"):
        drive(generator, messages(target.port, tmp_path))


def test_a_target_that_never_echoes_is_refused_before_the_window(generator, tmp_path):
    with serving("mute") as target, pytest.raises(TargetRefused, match="no echo of a message 'say' within 5 s"):
        drive(generator, messages(target.port, tmp_path))


def test_a_broadcast_whose_sender_went_is_one_failure_and_nobody_elses(generator, tmp_path):
    with serving("broadcasts_and_drops_the_sender") as target:
        wanted = messages(target.port, tmp_path, delivery="broadcast", connections=8, rate=100.0)
        driven, taken = drive(generator, wanted)

    failed = np.count_nonzero(taken.outcome == FAILED)
    assert driven.reconnects == pytest.approx(25, abs=3)
    assert failed == pytest.approx(20, abs=6)
    assert np.all(taken.done_ns[taken.outcome == COMPLETED] > taken.sent_ns[taken.outcome == COMPLETED])
    assert np.all(taken.sent_ns[taken.outcome == COMPLETED] > 0)


def test_broadcasts_that_the_target_puts_together_are_each_delivered(generator, tmp_path):
    with serving("broadcasts_in_lots") as target:
        wanted = messages(target.port, tmp_path, delivery="broadcast", connections=20, rate=100.0)
        _, taken = drive(generator, wanted)

    assert np.mean(taken.outcome == COMPLETED) > 0.97  # what the last lot lacks at the end stays unanswered


@pytest.mark.parametrize("more", [{"model": "closed"}, {"rate": 50.0, "connections": 2}])
def test_an_answer_with_a_goodbye_counts_and_nothing_is_sent_after_it(generator, tmp_path, more):
    with serving("says_goodbye") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path, measure=1.0, **more))

    assert np.mean(taken.outcome == COMPLETED) > 0.9
    assert np.all(taken.status[taken.outcome == COMPLETED] == 101)
    assert driven.reconnects > 40


def test_garbage_instead_of_a_frame_fails_its_message(generator, tmp_path):
    with serving("garbage_every_tenth") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path))

    assert np.count_nonzero(taken.outcome == FAILED) == pytest.approx(driven.offered / 10, abs=2)
    assert driven.reconnects == pytest.approx(50, abs=2)


def test_a_target_that_hangs_up_on_everybody_causes_no_storm_of_handshakes(generator, tmp_path):
    with serving("hangs_up_at_once") as target:
        wanted = messages(target.port, tmp_path, model="closed", connections=4, idle=50, measure=1.0)
        killer = replace(wanted, load=replace(wanted.load, timeout_s=0.3))
        driven, _ = drive(generator, killer)

    assert driven.connects < 2000


def test_held_connections_that_the_target_ends_are_counted_and_come_back(generator, tmp_path):
    with serving("drops_the_quiet") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path, connections=4, idle=100, warmup=1.5))
        handshakes, _, _ = counts(target)

    assert np.all(taken.outcome == COMPLETED)
    assert driven.reconnects >= 100
    assert driven.connects == handshakes == driven.sent_total
    assert driven.connects > 4 + 100 + 1 + 50


def test_pings_are_answered_by_everybody(generator, tmp_path):
    with serving("pings_everybody") as target:
        driven, taken = drive(generator, messages(target.port, tmp_path, connections=4, idle=50))
        _, _, pongs = counts(target)

    assert np.all(taken.outcome == COMPLETED)
    assert driven.reconnects == 0
    assert pongs > 54 * 15


def test_a_message_that_is_not_even_read_takes_its_connection_along(generator, tmp_path):
    big = b"{id}" + b"x" * 8_000_000
    with serving("never_reads") as target:
        wanted = messages(target.port, tmp_path, rate=50.0, connections=2, timeout=0.3, measure=1.0, body=big)
        driven, taken = drive(generator, wanted)

    assert driven.reconnects > 0
    assert np.all(np.isin(taken.outcome, [COMPLETED, TIMED_OUT, UNFINISHED]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong_key", "Bad accept token"),
        ("no_ascii", "speaks no WebSocket"),
        ("speaks_tls", "the target speaks TLS, the load plain ws"),
    ],
)
def test_a_wrong_handshake_is_refused_with_what_is_wrong(generator, tmp_path, name, words):
    with serving(name) as target, pytest.raises(TargetRefused, match=words):
        drive(generator, messages(target.port, tmp_path))


def test_connections_whose_handshake_fails_later_are_refused_with_their_number_and_why(generator, tmp_path):
    with (
        serving("wrong_handshake_later") as target,
        pytest.raises(TargetRefused, match=r"only 0 of 16 connections came up within 5 s .*answered wrongly"),
    ):
        drive(generator, messages(target.port, tmp_path))


def test_the_studys_own_headers_open_the_connection(generator, tmp_path):
    headers = (("Host", "shop.test"), ("Sec-WebSocket-Protocol", "chat.v2"), ("Cookie", "a=b"))
    with serving("echo") as target:
        wanted = messages(target.port, tmp_path, measure=0.5)
        say = replace(wanted.load.requests[0], headers=headers)
        _, taken = drive(generator, replace(wanted, load=replace(wanted.load, requests=(say,))))

    assert np.all(taken.outcome == COMPLETED)
