import re
import shutil

import canned_run
import pytest

from harness.judge import verdict
from harness.report import page, read
from harness.window.measurement import Validity

HOSTILE = '<script>alert("x")</script>'


def html(folder):
    return page.html(read.run(folder))


def section(text, title):
    return re.search(rf"<h2>{re.escape(title)}</h2>(.*?)</section>", text, re.DOTALL).group(1)


def test_the_headline_stands_in_title_and_top(tmp_path):
    text = html(canned_run.write(tmp_path, samples=300))

    headline = "p95 at least 74.3 % lower with fraud_check = spawn_blocking"
    assert f"<title>quickstart: {headline}</title>" in text
    assert f"<h1>{headline}</h1>" in text


def test_the_page_loads_nothing_and_runs_no_script(tmp_path):
    text = html(canned_run.write(tmp_path, samples=300))

    assert re.findall(r"<(?:script|link|iframe|img)\b|@import|url\(|\bsrc=|\bhref=", text) == []
    assert set(re.findall(r"https?://[^\"' <]+", text)) == {"http://www.w3.org/2000/svg"}


def hostile(place):
    return HOSTILE.replace("x", place)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """Return the page of one run that has a hostile string in every place, each with the name of its place in it."""
    knob = {**canned_run.KNOBS[0], "about": hostile("about"), "levels": ["inline", hostile("level")]}
    changes = {
        "study": hostile("study"),
        "study_text": hostile("text"),
        "study_file": hostile("file"),
        "warnings": [hostile("warning")],
        "notices": [hostile("notice")],
        "host": {"cpu_model": hostile("cpu")},
        "versions": {"rustc": hostile("rustc")},
        "knobs": [knob, *canned_run.KNOBS[1:]],
    }
    return html(canned_run.write(tmp_path_factory.mktemp("attacked"), changes=changes))


@pytest.mark.parametrize("place", ["study", "text", "file", "warning", "notice", "cpu", "rustc", "about", "level"])
def test_a_string_of_the_run_is_text_and_never_markup(attacked, place):
    assert "<script" not in attacked
    assert f"&lt;script&gt;alert(&#34;{place}&#34;)" in attacked


def test_reasons_and_logs_are_text_and_bounded(tmp_path):
    def spoil(n, made):
        log = HOSTILE + "x" * 100_000 + HOSTILE
        return canned_run.lost(made, Validity.FAILED, HOSTILE * 1000, log) if n == 9 else made

    text = html(canned_run.write(tmp_path, spoil=spoil))

    assert "<script" not in text
    assert "x" * 5000 not in text


def test_reasons_are_grouped_with_their_windows(tmp_path):
    def spoil(n, made):
        reason = f"other processes used {20 + n} % of a core (limit 25 %)"
        return canned_run.lost(made, Validity.INVALID, reason) if n in {6, 7, 10} else made

    why = section(html(canned_run.write(tmp_path, spoil=spoil)), "All windows in order")

    assert "25 VALID" in why
    assert re.search(r"INVALID</td><td class=\"n\">3</td><td>other processes used 26 %.*?</td><td>6 to 7, 10</td>", why)


def test_an_effect_that_was_not_resolved_says_what_it_is_smaller_than(tmp_path):
    rows = section(html(canned_run.write(tmp_path)), "One variable at a time")

    assert re.search(r"max_blocking_threads = 8</td>.*?not resolved \(smaller than [\d.]+ %\)", rows)


def test_the_best_single_window_is_labelled_as_selected(tmp_path):
    assert "best single window of the search: selected, biased" in html(canned_run.write(tmp_path))


def test_knobs_that_were_read_back_are_told_from_those_only_rendered(tmp_path):
    rows = section(html(canned_run.write(tmp_path)), "Settings")

    assert re.search(r"worker_threads<small>.*?read back from the service", rows)
    assert re.search(r"max_blocking_threads<small>.*?as rendered: the runtime has no getter for it", rows, re.DOTALL)


def test_notices_of_the_run_stand_at_the_top(tmp_path):
    notice = "Docker does not answer; the process backend is taken."

    assert notice in html(canned_run.write(tmp_path, changes={"notices": [notice]})).split("</header>")[0]


def test_thinned_samples_leave_the_rest_of_the_page_as_it_was(tmp_path):
    folder = canned_run.write(tmp_path, samples=300)
    shutil.rmtree(folder / "windows")
    text = html(folder)

    assert "so their distribution cannot be drawn" in text
    assert "No series of the server" in text
    assert "74.3 % lower" in text


def test_a_run_that_just_began_has_a_page(tmp_path):
    text = html(canned_run.write(tmp_path, spoil=lambda *_: None, finished=False))

    assert "Unfinished: 0 of 28 windows" in text
    assert "No window was run yet." in text


def test_a_run_whose_windows_all_failed_has_a_page_with_the_log(tmp_path):
    def spoil(n, made):
        return (
            canned_run.lost(made, Validity.FAILED, "the service ended: exit code 101", "panicked at") if n < 3 else None
        )

    folder = canned_run.write(tmp_path, spoil=spoil, finished=False)
    canned_run.decide(folder, verdict.ended("baseline_failed", "The baseline failed twice."))
    text = html(folder)

    assert "No window gave a value of the objective." in text
    assert "panicked at" in section(text, "All windows in order")


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["throughput", "cpu_per_request", "peak_rss", "threads", "error_ratio", "p999"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_every_objective_has_a_page(tmp_path, metric, direction):
    objective = {"direction": direction, "metric": metric, "of": None}

    assert "<h1>" in html(canned_run.write(tmp_path, changes={"objective": objective}))


def test_a_win_of_a_joint_change_keeps_the_caution_about_cores(tmp_path):
    top = html(canned_run.write(tmp_path, tested=canned_run.BOTH)).split("</header>")[0]

    assert "worker_threads: found on 1 core, re-run on yours." in top
