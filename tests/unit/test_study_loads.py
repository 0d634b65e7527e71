"""The load of a study: arrivals of every law, the files it names, and each thing that can be wrong with them."""

import itertools
import textwrap

import pytest

from harness import variant
from harness.errors import StudyError
from harness.load import schedule
from harness.study import load
from harness.target import render

GOOD = """\
study: demo
target: {{template: echo}}
load:
{load}
window: {{warmup: 2s, measure: 8s}}
objective: {{maximize: throughput}}
knobs:
  event_interval: [31, 61]
"""
REQUESTS = "requests: [{name: get, path: /}]"


@pytest.fixture
def study(tmp_path):
    def made(text, **files):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        file = tmp_path / "study.yaml"
        file.write_text(GOOD.format(load=textwrap.indent(text, "  ")), encoding="utf-8")
        return file

    return made


def faults(file):
    with pytest.raises(StudyError) as caught:
        load(file)
    return str(caught.value).replace(f"{file.parent}/", "")


def counts(file, *edges_s):
    """Return how many requests a window plans between the edges (s from the start of warm-up)."""
    read = load(file)
    plan = schedule.arrivals(read.load, read.window, 1)
    return [
        int(((plan.offsets_ns >= a * 1e9) & (plan.offsets_ns < b * 1e9)).sum()) for a, b in itertools.pairwise(edges_s)
    ]


def test_bursts_keep_the_mean_rate_and_begin_with_the_measured_stretch(study):
    file = study(f"rate: 400\narrivals: {{bursts: {{on: 1s, off: 3s, factor: 3}}}}\n{REQUESTS}")

    on, off = counts(file, 2, 3, 6)
    assert on == pytest.approx(1200, rel=0.12)
    assert off == pytest.approx(400, rel=0.2)
    assert sum(counts(file, 2, 10)) == pytest.approx(3200, rel=0.08)


def test_steps_rise_evenly_over_the_measured_stretch_after_a_warm_up_at_the_rate(study):
    file = study(f"rate: 100\narrivals: {{steps: {{to: 400, count: 4}}}}\n{REQUESTS}")

    assert counts(file, 0, 2, 4, 6, 8, 10) == pytest.approx([200, 200, 400, 600, 800], rel=0.25)


def test_a_ramp_rises_straight_to_its_end(study):
    file = study(f"rate: 100\narrivals: {{ramp: {{to: 900}}}}\n{REQUESTS}")

    assert counts(file, 2, 6, 10) == pytest.approx([1200, 2800], rel=0.15)


def test_a_trace_is_replayed_to_the_nanosecond_whatever_the_seed(study):
    file = study(f"arrivals: {{trace: times}}\n{REQUESTS}", times=b"# recorded\n0\n2.5\n\n2.5\n9.999999\n12\n")
    read = load(file)

    wanted = [0, 2_500_000_000, 2_500_000_000, 9_999_999_000]
    assert schedule.arrivals(read.load, read.window, 1).offsets_ns.tolist() == wanted
    assert schedule.arrivals(read.load, read.window, 2).offsets_ns.tolist() == wanted


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (b"1\n3\n2\n", "times:3 goes back in time: 2 s after 3 s; sort the trace"),
        (b"1\nsoon\n", "times:2 must be a time in seconds from 0 on, not 'soon'"),
        (b"-1\n", "times:1 must be a time in seconds from 0 on"),
        (b"nan\n", "times:1 must be a time in seconds from 0 on"),
        (b"", "the trace ends at 0 s, before the measured stretch begins (2 s, after warm-up)"),
        (b"0.5\n1.5\n", "the trace ends at 1.5 s"),
        (b"\xff\xfe\n", "times:1 must be a time in seconds"),
    ],
)
def test_a_trace_that_cannot_be_replayed_is_named_with_its_line(study, times, words):
    assert words in faults(study(f"arrivals: {{trace: times}}\n{REQUESTS}", times=times))


def test_a_body_file_is_sent_byte_for_byte(study):
    body = bytes(range(256))
    read = load(study("rate: 10\nrequests: [{name: put, method: PUT, path: /, body_file: body}]", body=body))

    assert read.load.requests[0].body == body


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("load.requests[0].body_file", "rate: 10\nrequests: [{name: put, method: PUT, path: /, body_file: gone}]"),
        ("load.arrivals.trace", f"arrivals: {{trace: gone}}\n{REQUESTS}"),
        ("load.locustfile", "model: closed\nengine: locustfile\nlocustfile: gone"),
    ],
)
def test_a_file_that_is_missing_is_named_with_its_key_and_path(study, key, text):
    said = faults(study(text))

    assert key in said
    assert "cannot read gone: No such file or directory" in said


def test_a_folder_is_no_body(study, tmp_path):
    (tmp_path / "folder").mkdir()

    said = faults(study("rate: 10\nrequests: [{name: put, method: PUT, path: /, body_file: folder}]"))
    assert "folder is no regular file" in said


def test_a_locustfile_that_is_no_python_is_named_with_its_line(study):
    said = faults(study("model: closed\nengine: locustfile\nlocustfile: users", users=b"import locust\nclass :\n"))

    assert "users:2 is no Python" in said


def test_what_a_named_file_holds_is_part_of_the_studys_identity(study):
    text = "rate: 10\nrequests: [{name: put, method: PUT, path: /, body_file: body}]"
    digests = {load(study(text, body=body)).digest for body in (b"one", b"two", b"one")}

    assert len(digests) == 2


def test_rates_up_to_a_million_can_be_asked_for_in_short_windows(study):
    assert load(study(f"rate: 1000000\n{REQUESTS}")).load.peak_rate == 1_000_000


def test_more_requests_than_can_be_kept_are_refused(study):
    text = study(f"rate: 1000000\n{REQUESTS}").read_text().replace("measure: 8s", "measure: 10m")
    file = study("")
    file.write_text(text)

    assert "requests in one window are more than can be kept" in faults(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"rate: 10\narrivals: {{bursts: {{on: 1s, off: 1s, factor: 3}}}}\n{REQUESTS}", "(on + off) / on = 2"),
        (f"rate: 10\narrivals: {{steps: {{to: 20, count: 2}}, ramp: {{to: 30}}}}\n{REQUESTS}", "exactly one of"),
        (f"rate: 10\nthink: 1s\n{REQUESTS}", "think"),
        (f"rate: 10\ntls: true\n{REQUESTS}", "load.tls: is not there: the load is plain HTTP/1.1"),
        (f"rate: 10\nlocustfile: users\n{REQUESTS}", "locustfile"),
    ],
)
def test_loads_that_make_no_sense_are_refused_in_words(study, text, words):
    assert words in faults(study(text))


def test_a_histogram_of_poll_times_stands_in_every_variant_and_is_warned_about(study):
    file = study(f"rate: 10\n{REQUESTS}")
    file.write_text(file.read_text().replace("measure: 8s", "measure: 8s, poll_histogram: true"))
    read = load(file)

    assert ".enable_metrics_poll_time_histogram()" in render.runtime_rs(read, variant.baseline(read))
    assert "counts its poll times" in read.warnings[-1]


CHAT = "engine: websocket\nrate: 10\n"


def test_the_status_of_a_message_is_that_of_its_handshake(study):
    read = load(study(CHAT + "requests: [{name: say, path: /chat, json: {id: '{id}'}}]"))

    assert read.load.websocket.path == "/chat"
    assert read.load.requests[0].expect_status == 101


@pytest.mark.parametrize(("key", "path"), [("", ""), (", idle_path: /quiet", "/quiet")])
def test_idle_connections_may_have_a_path_of_their_own(study, key, path):
    text = f"requests: [{{name: say, path: /chat}}]\nwebsocket: {{idle: 10{key}}}"

    assert load(study(CHAT + text)).load.websocket.idle_path == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("requests: [{name: a, path: /x}, {name: b, path: /y}]", "share one path"),
        ("requests: [{name: a, path: /x, headers: {x: '1'}}, {name: b, path: /x}]", "and the same headers"),
        ("requests: [{name: a, path: /x, headers: {Upgrade: websocket}}]", "leave Upgrade out"),
        ("requests: [{name: a, path: /x, method: POST}]", "leave method out"),
        ("requests: [{name: a, path: /x, expect: {status: 204}}]", "leave expect out"),
        ("requests: [{name: a, path: /x, body: hello}]\nwebsocket: {delivery: broadcast}", "a body with {id} in it"),
        ("requests: [{name: a, path: /x, body_file: raw}]", "no UTF-8 text"),
        ("keep_alive: false\nrequests: [{name: a, path: /x}]", "connections of its own kind"),
    ],
)
def test_messages_that_cannot_be_sent_are_named(study, text, words):
    assert words in faults(study(CHAT + text, raw=b"\xff\xfe"))


def test_bursts_too_short_to_count_are_refused(study):
    said = faults(study(f"rate: 10\narrivals: {{bursts: {{on: 1us, off: 1us, factor: 2}}}}\n{REQUESTS}"))

    assert "bursts" in said
