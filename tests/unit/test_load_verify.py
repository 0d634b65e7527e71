"""A target that answers wrongly is refused before anything is measured, in words that are safe to show."""

import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import httptools
import pytest

from harness.load import verify
from harness.load.engine import Engine
from harness.load.job import Job, TargetRefused
from harness.study.model import Load, Request, WindowTimes

ENGINE = Engine(
    loop=None,
    parser=httptools.HttpResponseParser,
    malformed=(httptools.HttpParserError, httptools.HttpParserUpgrade),
    callback_fault=httptools.HttpParserCallbackError,
)
GET = Request("get", "GET", "/x", (), b"", 1.0, 200)
LIMIT_S = 10


@contextmanager
def answering(data, *, closes=True):
    """Answer one connection with `data`, and close it at once or when the block ends; yields port and what was asked."""
    done = threading.Event()
    asked = []

    def serve():
        peer, _ = listener.accept()
        with peer:
            asked.append(peer.recv(65536))
            peer.sendall(data)
            done.wait(0 if closes else LIMIT_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], asked
        finally:
            done.set()
            thread.join(LIMIT_S)


def job(port):
    return Job(port, Load("open", 1.0, "uniform", 1, 1.0, (GET,)), WindowTimes(0.0, 1.0, 1.0), 1, Path("x"))


def response(body, status=b"200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def refusal(data):
    with answering(data) as (port, _), pytest.raises(TargetRefused) as refused:
        verify.verify(job(port), ENGINE)
    return str(refused.value)


def test_the_expected_status_passes_with_the_bytes_that_the_load_sends():
    with answering(response(b"fine")) as (port, asked):
        verify.verify(job(port), ENGINE)

    assert asked == [
        b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: tokio-harness\r\nAccept: */*\r\n\r\n" % port
    ]


def test_another_status_is_refused_with_what_came_and_what_was_expected():
    words = refusal(response(b"no\n such page", b"404 Not Found"))

    assert words == "GET /x answered 404 instead of 200: no such page"


def test_a_refusal_without_a_body_has_no_colon():
    assert refusal(response(b"", b"500 Oops")) == "GET /x answered 500 instead of 200"


def test_the_excerpt_is_bounded_and_holds_nothing_that_a_terminal_obeys():
    words = refusal(response(b"\x1b[31m" + b"a" * 100_000 + b"\xff", b"500 Oops"))

    assert words == "GET /x answered 500 instead of 200: ?[31m" + "a" * 195


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the connection was closed"),
        (response(b"ok")[:-1], "the connection was closed"),
        (b"hello\r\n", "NoAnswerError"),
        (b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "NoAnswerError"),
    ],
)
def test_no_whole_answer_is_refused(data, reason):
    words = refusal(data)

    assert words.startswith("GET /x had no answer (")
    assert reason in words


def test_an_answer_that_never_ends_is_given_up_after_the_limit():
    with answering(response(b"okay")[:-1], closes=False) as (port, _), pytest.raises(TimeoutError):
        verify._ask(GET, port, ENGINE, 0.2)
