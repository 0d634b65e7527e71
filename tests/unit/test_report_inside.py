"""What the page of a deep diagnosis shows, from canned files."""

import json
import re

import canned_run
import pytest

from harness.ledger.folder import RunFolder
from harness.report import diagnosis, inside

HOSTILE = '<script>alert("x")</script>'
STACKS = (
    "tokio-rt-worker;payments::pay::{{closure}};payments::fraud::Check::passes 40\ntokio-rt-worker;hyper::poll 10\n"
)
TASKS = "runtime 1 (multi_thread): 2 tasks\n\n2 tasks: 7, 9\n\u257c hyper::server::poll at conn.rs:1:1\n"
FOUND = {
    "schema": 1,
    "missing": [],
    "stacks_s": 4.2,
    "console": {"start": "env PORT=8080 TOKIO_CONSOLE_BIND=127.0.0.1:6669 ./server", "attach": "tokio-console"},
    "validity": "VALID",
    "reasons": [],
    "figures": {"p50_ms": 2.5, "p95_ms": 12.0},
}


@pytest.fixture
def looked(tmp_path):
    """Write a canned diagnosis with a look inside and return (its folder, its JSON, its page)."""

    def write(*, stacks=STACKS, tasks=TASKS, **changes):
        folder = RunFolder(canned_run.write(tmp_path, samples=300))
        folder.inside_json.write_text(json.dumps({**FOUND, **changes}))
        for file, text in ((folder.stacks_txt, stacks), (folder.tasks_txt, tasks)):
            if text is not None:
                file.write_text(text)
        content = diagnosis.write(folder.path)
        return folder, content, (folder.path / "diagnosis.html").read_text()

    return write


def section(page):
    found = re.search(r'<section class="inside">(.*?)</section>', page, re.DOTALL)
    return found.group(1) if found else None


def test_the_page_shows_the_flame_graph_the_dump_and_the_console(looked):
    folder, content, page = looked()
    shown = section(page)

    assert "<svg" in shown
    assert "payments::fraud::Check::passes" in shown
    assert "hyper::server::poll" in shown
    assert "TOKIO_CONSOLE_BIND=127.0.0.1:6669" in shown
    assert (folder.path / "flamegraph.svg").read_text().startswith("<svg")
    assert content["inside"]["hottest"][0]["on_stack"] == 0.8


def test_the_window_of_the_diagnostic_build_is_told_apart_and_held_against_those_that_count(looked):
    _, _, page = looked()

    assert "never scored" in section(page)
    assert re.search(r"p95 12\.0 ms \([\d.]+ ms in the windows that count\)", section(page))


def test_an_ordinary_diagnosis_says_nothing_of_it(tmp_path):
    folder = canned_run.write(tmp_path, samples=300)
    content = diagnosis.write(folder)

    assert section((folder / "diagnosis.html").read_text()) is None
    assert content["inside"] is None
    assert not (folder / "flamegraph.svg").exists()


def test_what_could_not_be_had_is_said_once_and_the_rest_is_there(looked):
    _, content, page = looked(tasks=None, missing=["no task dump: a worker is blocked"])

    assert page.count("no task dump: a worker is blocked") == 1
    assert "<svg" in section(page)
    assert content["findings"]
    assert "no task dump: a worker is blocked" in content["inside"]["words"]


def test_a_service_that_hardly_computes_has_no_flame_graph_and_the_page_says_so(looked):
    _, _, page = looked(stacks="")

    assert "<svg" not in section(page)
    assert "no flame graph" in section(page)


@pytest.mark.parametrize(
    "changes",
    [
        {"stacks": f"t;payments::{HOSTILE} 9\n"},
        {"tasks": f"task 1\n{HOSTILE}</pre>"},
        {"missing": [HOSTILE]},
        {"console": {"start": HOSTILE, "attach": "x"}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_string_of_the_service_is_text_and_never_markup(looked, changes):
    _, _, page = looked(**changes)

    assert "<script" not in page
    assert "&lt;script&gt;" in section(page)
    assert re.findall(r"<(?:script|link|iframe|img)\b|@import|url\(|\bsrc=|\bhref=", page) == []


def test_the_page_stays_bounded_however_much_a_service_tells(looked):
    deep = "".join(f"t;{';'.join(f'f{i}_{n}' for n in range(120))} 1\n" for i in range(2000))

    folder, _, page = looked(stacks=deep, tasks="x" * 5_000_000)

    assert len(page) < 3_000_000
    assert "the whole of it is in tasks.txt" in section(page)
    assert folder.tasks_txt.stat().st_size == 5_000_000


def test_a_file_that_cannot_be_read_is_no_look(looked):
    folder, _, _ = looked()
    folder.inside_json.write_text("{")

    assert inside.shown(folder, "payments") is None
