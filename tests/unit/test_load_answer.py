"""Answers are read to their last byte, whatever says where they end, and however the bytes arrive."""

import httptools
import pytest

from harness.load.answer import AnswerReader, NoAnswerError
from harness.load.engine import Engine

ENGINE = Engine(
    loop=None,
    parser=httptools.HttpResponseParser,
    malformed=(httptools.HttpParserError, httptools.HttpParserUpgrade),
    callback_fault=httptools.HttpParserCallbackError,
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
WHOLE = {
    "length": (OK, 200, 2),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", 200, 7),
    "empty": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, 0),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, 0),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + OK, 200, 2),
    "error": (b"HTTP/1.1 500 Oops\r\nContent-Length: 6\r\n\r\nbroken", 500, 6),
}


def reader(**options):
    made = AnswerReader(ENGINE, **options)
    made.await_answer(head=False)
    return made


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_an_answer_is_the_same_however_its_bytes_arrive(name, step):
    data, status, size = WHOLE[name]
    answer = reader()
    pieces = [data[start : start + step] for start in range(0, len(data), step)]

    finished = [answer.feed(piece) for piece in pieces]

    assert finished == [False] * (len(pieces) - 1) + [True]
    assert (answer.status, answer.size, answer.keep) == (status, size, True)


def test_answers_follow_one_another_on_one_connection():
    answer = reader()
    seen = []
    for name in (*WHOLE, *WHOLE):
        answer.await_answer(head=False)
        answer.feed(WHOLE[name][0])
        seen.append((answer.complete, answer.status, answer.size))

    assert seen == [(True, *WHOLE[name][1:]) for name in (*WHOLE, *WHOLE)]


def test_an_answer_to_head_ends_with_its_header_and_the_next_one_is_read_afresh():
    answer = reader()
    answer.await_answer(head=True)

    assert answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    assert (answer.size, answer.keep) == (0, True)

    answer.await_answer(head=False)

    assert answer.feed(OK)
    assert answer.size == 2


def test_an_answer_without_a_length_ends_with_its_connection():
    answer = reader()

    assert not answer.feed(b"HTTP/1.1 200 OK\r\n\r\nsome text")
    assert answer.ended()
    assert (answer.status, answer.size, answer.keep) == (200, 9, False)


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", OK[:-1], WHOLE["chunked"][0][:-5]])
def test_a_connection_that_ends_too_early_completes_nothing(cut):
    answer = reader()
    answer.feed(cut)

    assert not answer.ended()


def test_connection_close_is_told():
    answer = reader()

    assert answer.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    assert not answer.keep


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nbad", b"H", b"junk"])
def test_of_two_answers_the_first_counts_and_the_connection_is_out_of_step(surplus):
    answer = reader()

    assert answer.feed(OK + surplus)
    assert (answer.status, answer.size, answer.keep) == (200, 2, False)


@pytest.mark.parametrize(
    "data",
    [
        b"SMTP ready\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data):
    with pytest.raises(NoAnswerError):
        reader().feed(data)


def test_a_fault_of_our_own_while_reading_is_not_the_targets():
    class Faulty(AnswerReader):
        def on_body(self, data):
            raise ValueError(data)

    answer = Faulty(ENGINE)
    answer.await_answer(head=False)

    with pytest.raises(httptools.HttpParserCallbackError):
        answer.feed(OK)


def test_only_the_beginning_of_a_body_is_kept_and_all_of_it_counted():
    answer = reader(keep_bytes=10)
    answer.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + b"x" * 1500)
    answer.feed(b"y" * 1500)

    assert answer.excerpt == b"x" * 10
    assert answer.size == 3000
