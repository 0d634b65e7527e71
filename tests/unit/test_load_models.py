"""Who gets which connection, and what becomes of a request: the models without a network, on a loop that never fires."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from harness.load.answer import AnswerReader
from harness.load.engine import Engine
from harness.load.job import COMPLETED, DROPPED, FAILED, TIMED_OUT, UNFINISHED, Job
from harness.load.models import QUEUE_LIMIT, ClosedModel, OpenModel
from harness.load.rows import PENDING
from harness.study.model import Load, Request, WindowTimes

GET = Request("get", "GET", "/", (), b"", 1.0, 200)


class NoWatcher:
    def start(self, callback):
        pass

    def stop(self):
        pass

    def close(self):
        pass


class NoLoop:
    MAXPRI = 0

    def io(self, _fd, _events, priority=None):
        assert priority in {None, self.MAXPRI}
        return NoWatcher()

    def timer(self, after, _repeat=0.0):
        assert after > 0
        return NoWatcher()


ENGINE = Engine(loop=NoLoop(), parser=lambda _: None, malformed=(), callback_fault=Exception)


class FakeConnection:
    """Notes what it is told to send, and answers only when the test says so."""

    def __init__(self, number):
        self.number, self.request, self.gave_up, self.answer = number, -1, 0, AnswerReader(ENGINE)

    def send(self, index, payload, *, head):
        assert (payload[:6], head) == (b"GET / ", False)
        self.request = index

    def give_up(self):
        self.request, self.gave_up = -1, self.gave_up + 1

    def close(self):
        pass


@pytest.fixture
def made():
    models = []

    def make(kind=OpenModel, *, rate=100.0, measure=1.0, timeout=60.0, connections=3, drain=60.0, **more):
        law = ("open", rate, "uniform") if kind is OpenModel else ("closed", None, None)
        request = replace(GET, expect_contains=more.pop("contains", b""))
        load = Load(*law, connections, timeout, (request,), **more)
        job = Job(1, load, WindowTimes(0.0, measure, drain), 1, Path("x"))
        ended = []
        model = kind(
            ENGINE, job, lambda _engine, _job, number, _model: FakeConnection(number), lambda: ended.append(True)
        )
        model.ended = ended
        model.free.extend(model.connections)
        models.append(model)
        return model

    yield make
    for model in models:
        model.close()


def ago(seconds):
    return time.monotonic_ns() - int(seconds * 1e9)


def answer(model, connection, status=200, at_ns=None):
    connection.answer.status = status
    model.answered(connection, at_ns or time.monotonic_ns())
    connection.request = -1
    model.idle(connection)


def test_a_due_request_takes_the_connection_that_is_idle_longest(made):
    model = made(rate=2.0)
    model.begin(ago(0.1))
    model._due()
    answer(model, model.connections[0])

    assert [connection.number for connection in model.free] == [1, 2, 0]


def test_what_became_due_while_an_answer_was_dealt_with_is_sent_before_the_next_answer(made):
    model = made(rate=2.0)
    model.begin(ago(0.1))
    due_ns = model.rows.intended[0]
    model.read(due_ns - 1)
    before = model.sent_total
    model.read(due_ns)

    assert (before, model.sent_total, model.connections[0].request) == (0, 1, 0)


def test_a_connection_that_has_thought_sends_before_the_next_answer_is_dealt_with(made):
    model = made(ClosedModel, connections=1, think_s=0.001)
    model.begin(ago(0.1))
    model._due()
    time.sleep(0.05)
    model.read(time.monotonic_ns())

    assert model.connections[0].request == 0


def test_nothing_is_due_before_the_load_begins_or_after_its_last_request(made):
    model = made(rate=2.0, connections=9)
    model.read(time.monotonic_ns())
    model.begin(ago(60))
    model.read(time.monotonic_ns())
    sent = model.sent_total
    model.read(time.monotonic_ns())

    assert sent == model.sent_total == len(model.rows.intended)


def test_requests_wait_in_the_order_of_their_intended_times(made):
    model = made(rate=10.0, connections=1)
    model.begin(ago(1))
    model._due()
    order = []
    while (current := model.connections[0].request) >= 0:
        order.append(current)
        answer(model, model.connections[0])

    assert order == list(range(10))


def test_the_future_is_not_due(made):
    model = made(rate=1.0, measure=60.0, connections=60)
    model.begin(ago(30.5))
    model._due()

    assert model.sent_total == 31
    assert [woken > 0 for woken in model.rows.woken] == [True] * 31 + [False] * 29


def test_a_full_queue_drops_and_everything_is_counted_once(made):
    model = made(rate=QUEUE_LIMIT + 1000.0, connections=3)
    model.begin(ago(2))
    model._due()

    assert Counter(model.rows.outcome) == {PENDING: QUEUE_LIMIT + 3, DROPPED: 997}


def test_time_outs_empty_the_queue(made):
    model = made(rate=10.0, timeout=0.5, connections=1)
    model.begin(ago(2))
    model._due()
    model._sweep()

    assert model.rows.outcome == [TIMED_OUT] * 10
    assert model.connections[0].gave_up == 1
    assert not model._queue
    assert model.ended == [True]


def test_a_connection_that_gets_free_skips_what_waited_too_long_even_before_a_sweep(made):
    model = made(rate=1.0, measure=60.0, timeout=10.0, connections=1)
    model.begin(ago(30.5))
    model._due()
    answer(model, model.connections[0])

    assert model.connections[0].request == 21
    assert model.rows.outcome[:21] == [TIMED_OUT] * 21
    assert model.rows.sent[1:21] == [0] * 20


@pytest.mark.parametrize(("late_ns", "outcome"), [(0, COMPLETED), (1, TIMED_OUT)])
def test_the_time_out_is_exact_to_the_nanosecond(made, late_ns, outcome):
    model = made(rate=1.0, timeout=2.0)
    model.begin(ago(1))
    model._due()
    answer(model, model.connections[0], at_ns=model.rows.intended[0] + 2_000_000_000 + late_ns)

    assert model.rows.outcome == [outcome]
    assert (model.rows.done[0] > 0) == (outcome == COMPLETED)


def test_another_status_than_expected_is_a_failure_with_its_time(made):
    model = made(rate=1.0)
    model.begin(ago(1))
    model._due()
    answer(model, model.connections[0], status=503)

    assert (model.rows.outcome, model.rows.status) == ([FAILED], [503])
    assert model.rows.done[0] > 0


def test_a_break_fails_the_request_in_flight_and_takes_an_idle_connection_out_of_use(made):
    model = made(rate=1.0)
    model.begin(ago(1))
    model._due()
    for connection in model.connections:
        model.broken(connection)

    assert model.rows.outcome == [FAILED]
    assert not model.free


def test_the_drain_lasts_no_longer_than_asked_and_leaves_the_rest_unfinished(made):
    model = made(rate=10.0, drain=0.5)
    model.begin(ago(2))
    model._due()
    model._sweep()

    assert model.ended == [True]
    assert model.rows.samples(model.t0_ns, model.t1_ns).outcome.tolist() == [UNFINISHED] * 10


def test_the_drain_waits_for_what_is_in_flight_and_no_longer(made):
    model = made(rate=1.0)
    model.begin(ago(2))
    model._due()
    model._sweep()
    before = list(model.ended)
    answer(model, model.connections[0])
    model._sweep()

    assert (before, model.ended) == ([], [True])


def test_a_closed_connection_sends_again_as_soon_as_it_has_its_answer(made):
    model = made(ClosedModel, measure=60.0, connections=2)
    model.begin(ago(0.1))
    model._due()
    for _ in range(5):
        answer(model, model.connections[0])

    assert model.rows.intended == model.rows.sent == model.rows.woken
    assert Counter(model.rows.connection) == {0: 6, 1: 1}
    assert Counter(model.rows.outcome) == {COMPLETED: 5, PENDING: 2}


def test_a_closed_connection_sends_nothing_after_the_end_of_the_window(made):
    model = made(ClosedModel, measure=0.5, connections=2)
    model.begin(ago(1))
    model._due()
    model._sweep()

    assert model.sent_total == 0
    assert model.ended == [True]


def test_a_closed_request_times_out_with_its_connection(made):
    model = made(ClosedModel, measure=60.0, connections=2, timeout=0.0)
    model.begin(ago(0.1))
    model._due()
    model._sweep()

    assert model.rows.outcome == [TIMED_OUT, TIMED_OUT]
    assert [connection.gave_up for connection in model.connections] == [1, 1]


def test_a_connection_that_thinks_sends_when_its_pause_is_over_and_not_before(made):
    model = made(ClosedModel, measure=1000.0, connections=1, think_s=20.0)
    model.begin(ago(0.1))
    model._due()
    ((due_ns, number),) = model._thinking
    assert (number, model.sent_total) == (0, 0)

    model._thinking, model._thinks_until = [(ago(0.05), 0)], [ago(0.05)]
    model._thinking[0] = (model._thinks_until[0], 0)
    model._due()

    assert due_ns > time.monotonic_ns()
    assert model.sent_total == 1
    assert 0.05e9 < model.rows.woken[0] - model.rows.intended[0] < 5e9


def test_a_connection_that_broke_while_it_thought_thinks_anew(made):
    model = made(ClosedModel, measure=1000.0, connections=1, think_s=20.0)
    model.begin(ago(0.1))
    model._due()
    model.broken(model.connections[0])
    model._thinking = [(ago(0.05), 0)]
    model._due()

    assert model.sent_total == 0


@pytest.mark.parametrize(("excerpt", "outcome", "wrong"), [(b"all is well", COMPLETED, 0), (b"all is bad", FAILED, 1)])
def test_a_body_without_what_the_study_expects_is_a_failure_and_counted_apart(made, excerpt, outcome, wrong):
    model = made(rate=1.0, contains=b"well")
    model.begin(ago(1))
    model._due()
    model.connections[0].answer.excerpt = excerpt
    answer(model, model.connections[0])

    assert (model.rows.outcome, model.wrong_bodies) == ([outcome], wrong)
