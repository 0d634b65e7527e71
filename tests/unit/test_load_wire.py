"""A job survives the line to the child, and a request has the same exact bytes every time."""

from dataclasses import replace
from pathlib import Path

from harness.load.job import Job
from harness.load.wire import job_from, job_line, request_bytes
from harness.study.model import Load, Piece, Request, WebSocket, WindowTimes

PAY = Request("pay", "POST", "/payments", (("content-type", "application/json"),), b'{"amount":1200}', 1.0, 200)


def test_a_job_comes_out_of_the_line_as_it_went_in():
    binary = Request("raw", "PUT", "/raw", (("x", "ä"),), bytes(range(256)), 0.5, 204)
    load = Load(
        "open", 300.0, "bursts", 64, 2.0, (replace(PAY, expect_contains=b"\xff"), binary),
        engine="websocket", pieces=(Piece(1.0, 2.0, 3.0),), trace_s=(0.5, 1.0), think_s=0.5, keep_alive=False,
        websocket=WebSocket("/ws", "broadcast", 10, binary=True, idle_path="/quiet"), locustfile=Path("/tmp/a b/locustfile.py"),
    )  # fmt: skip
    job = Job(8080, load, WindowTimes(1.0, 7.0, 2.0), 2**63, Path("/tmp/a b/samples.parquet"))

    line = job_line(job)

    assert line.count(b"\n") == 1
    assert job_from(line) == job


def test_a_request_is_sent_with_host_agent_length_and_its_own_headers():
    expected = (
        b"POST /payments HTTP/1.1\r\n"
        b"Host: 127.0.0.1:8080\r\n"
        b"User-Agent: tokio-harness\r\n"
        b"Accept: */*\r\n"
        b"content-type: application/json\r\n"
        b"Content-Length: 15\r\n"
        b"\r\n"
        b'{"amount":1200}'
    )

    assert request_bytes(PAY, 8080) == expected


def test_a_header_of_the_study_replaces_ours():
    request = Request("get", "GET", "/", (("host", "shop.example"), ("USER-AGENT", "me")), b"", 1.0, 200)

    sent = request_bytes(request, 8080)

    assert sent == b"GET / HTTP/1.1\r\nAccept: */*\r\nhost: shop.example\r\nUSER-AGENT: me\r\n\r\n"


def test_a_post_without_a_body_says_so():
    sent = request_bytes(Request("go", "POST", "/", (), b"", 1.0, 200), 1)

    assert b"Content-Length: 0\r\n" in sent


def test_a_connection_of_its_own_is_announced():
    assert b"Connection: close\r\n" in request_bytes(PAY, 8080, keep_alive=False)
    assert b"Connection" not in request_bytes(PAY, 8080)
