"""The look inside a diagnostic build, at a probe that answers by hand."""

import http.server
import threading
import time
from contextlib import contextmanager

import pytest

from harness.window import inside
from harness.window.inside import InsideLook

SECOND_NS = 1_000_000_000


@contextmanager
def probe(answers):
    """Serve {path: (status, body)} and yield (its port, the paths that were asked for)."""
    asked = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, body = answers.get(self.path.partition("?")[0], (404, ""))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()


def looked(port, *, starts_in_s=0.0, measure_s=7.0):
    look, now = InsideLook(), time.monotonic_ns()
    start = now + int(starts_in_s * SECOND_NS)
    look.begin(port, start, start + int(measure_s * SECOND_NS))
    return look


def test_stacks_are_asked_for_over_a_part_of_the_measured_stretch_and_then_the_tasks():
    with probe({"/debug/stacks": (200, "a;b 3\n"), "/debug/tasks": (200, "2 tasks")}) as (port, asked):
        look = looked(port)
        look._thread.join()

    assert asked == ["/debug/stacks?seconds=4.200", "/debug/tasks"]
    assert (look.seen.stacks, look.seen.tasks, look.seen.missing) == ("a;b 3\n", "2 tasks", ())


@pytest.mark.parametrize(("measure_s", "seconds"), [(0.1, "0.500"), (1800.0, "30.000")])
def test_stacks_take_neither_too_short_nor_too_long(measure_s, seconds):
    with probe({}) as (port, asked):
        looked(port, measure_s=measure_s)._thread.join()

    assert asked[0] == f"/debug/stacks?seconds={seconds}"


def test_what_the_service_cannot_do_is_told_in_its_own_words_and_the_rest_is_there():
    with probe({"/debug/stacks": (503, "the CPU profiler cannot work here"), "/debug/tasks": (200, "x")}) as (port, _):
        look = looked(port)
        look._thread.join()

    assert look.seen.missing == ("no flame graph: the CPU profiler cannot work here",)
    assert (look.seen.stacks, look.seen.tasks) == (None, "x")


def test_a_build_without_the_feature_is_told_by_its_status():
    with probe({}) as (port, _):
        look = looked(port)
        look._thread.join()

    assert look.seen.missing[1] == "no task dump: /debug/tasks answers 404"


def test_a_service_that_is_gone_is_a_sentence_and_no_error():
    with probe({}) as (port, _):
        pass
    look = looked(port)
    look.finish()
    look = looked(port)
    look._thread.join()

    assert [words.partition(":")[0] for words in look.seen.missing] == ["no flame graph", "no task dump"]


def test_a_look_that_has_not_begun_is_given_up_when_the_window_ends():
    with probe({}) as (port, asked):
        look = looked(port, starts_in_s=60.0)
        look.finish()

    assert asked == []
    assert look.seen == inside.NOTHING
