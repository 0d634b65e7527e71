"""index.html: every run of a results folder, whatever state it is in."""

import json
import re
import shutil

import canned_run
import pytest

from harness import report
from harness.errors import StudyError
from harness.ledger.folder import RunFolder
from harness.report import index


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Return a finished run with its report."""
    folder = canned_run.write(tmp_path_factory.mktemp("once"))
    report.write(folder)
    return folder


@pytest.fixture
def results(tmp_path, reported):
    """Return a folder of three nights of one study."""
    for day in (1, 2, 3):
        shutil.copytree(reported, tmp_path / "quickstart" / f"2026010{day}T000000Z")
    return tmp_path


def changed(run, **verdict):
    file = run / "summary.json"
    summary = json.loads(file.read_text())
    file.write_text(json.dumps({**summary, "verdict": {**summary["verdict"], **verdict}}))


def rows(text):
    return re.findall(r"<tr><td>(?:<a href=\"(.*?)\">)?(.*?)(?:</a>)?<br>.*?</td><td><span class=\"(\w+)\">", text)


def test_every_run_stands_in_it_the_newest_first_with_its_verdict_and_a_link_to_its_page(results):
    changed(results / "quickstart" / "20260102T000000Z", call="same")
    found = rows(index.write(results).read_text())

    assert [(made, call) for _, made, call in found] == [
        ("2026-01-03 00:00:00", "better"),
        ("2026-01-02 00:00:00", "same"),
        ("2026-01-01 00:00:00", "better"),
    ]
    assert all((results / link).is_file() for link, _, _ in found)


def test_the_trend_draws_the_newest_runs_that_were_judged_by_the_same_objective(results):
    assert index._trend(index._rows(results, "quickstart"))["trend"] is not None

    for day in (1, 2):
        changed(results / "quickstart" / f"2026010{day}T000000Z", estimate=None)

    assert index._trend(index._rows(results, "quickstart"))["trend"] is None


def test_a_gain_in_a_latency_is_drawn_as_the_fall_that_it_is(results):
    changed(results / "quickstart" / "20260103T000000Z", estimate=0.2, interval=[0.1, None])
    change = index._rows(results, "quickstart")[0].change

    assert (change.ratio, change.low, change.high) == pytest.approx((0.8, None, 0.9))


def test_a_run_that_is_unfinished_or_torn_is_listed_and_hides_no_other(results):
    (results / "quickstart" / "20260101T000000Z" / "summary.json").unlink()
    (results / "quickstart" / "20260102T000000Z" / "summary.json").write_text('{"verdict": ')
    text = index.html(results)

    assert [call for _, _, call in rows(text)] == ["better", "unfinished", "unfinished"]
    assert "harness report makes it again" in text


def test_a_string_of_a_run_is_text_and_never_markup(results):
    file = results / "quickstart" / "20260103T000000Z" / "summary.json"
    hostile = {**json.loads(file.read_text()), "headline": "<script>x</script>"}
    file.write_text(json.dumps(hostile))
    shutil.copytree(results / "quickstart", results / 'a"<script>')
    text = index.html(results)

    assert "<script" not in text
    assert 'href="a%22%3Cscript%3E/20260103T000000Z/report.html"' in text


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(StudyError, match="holds no run"):
        index.write(tmp_path)


@pytest.mark.parametrize("inside", ["study/stamp", "study/stamp/confirm/later", "study/diagnoses/stamp"])
def test_every_kind_of_run_knows_the_folder_of_all_runs(tmp_path, inside):
    assert RunFolder(tmp_path / inside).results == tmp_path
