"""Why the winner wins: what the page says, and when it says nothing."""

import re

import canned_run
import numpy as np
import pytest
from seen import facts

from harness.diagnose.together import change, moved_together
from harness.report import page, read, why

INLINE = {"busy_share": 0.66, "cpu": 0.10}


def told(tmp_path, **more):
    return why.why(read.run(canned_run.write(tmp_path, **more)))


def test_the_fault_that_vanishes_under_the_winner_is_named(tmp_path):
    made = told(tmp_path, samples=300)

    assert any(words.startswith("Gone with the winner: workers spend") for words in made.words)


def test_the_series_that_moved_with_the_objective_stand_with_both_sides(tmp_path):
    (row, *_) = told(tmp_path, samples=300).rows

    assert float(row.baseline) != float(row.tested)
    assert "over 12 windows" in row.together


def test_the_page_has_the_section_and_says_that_moving_together_is_no_cause(tmp_path):
    text = page.html(read.run(canned_run.write(tmp_path, samples=300)))
    section = re.search(r"<h2>Why the winner wins</h2>(.*?)</section>", text, re.DOTALL).group(1)

    assert "Gone with the winner" in section
    assert "need not be its cause" in section


def test_without_series_nothing_is_said(tmp_path):
    folder = canned_run.write(tmp_path)

    assert why.why(read.run(folder)) is None
    assert "Why the winner wins" not in page.html(read.run(folder))


def test_where_nothing_is_better_nothing_wins(tmp_path):
    assert told(tmp_path, samples=300, true_ms=lambda _values: 9.0) is None


def test_a_fault_that_the_winner_cannot_be_looked_at_for_has_not_vanished():
    made = change(facts(INLINE), facts({"busy_share": None}))

    assert made.gone == ()
    assert [one.rule for one in made.unknown] == ["blocking_call"]


@pytest.mark.parametrize(("flavor", "gone"), [("current_thread", []), ("multi_thread", ["global_queue"])])
def test_a_global_queue_that_is_empty_under_another_flavor_has_not_vanished(flavor, gone):
    made = change(facts({"global_queue_depth": 800.0}), facts(values={"flavor": flavor}))

    assert [one.rule for one in made.gone] == gone
    assert {one.rule for one in (*made.gone, *made.unknown)} == {"global_queue"}


def test_a_fault_that_only_the_winner_has_is_told():
    made = change(facts(), facts({"alive_tasks": 65 + np.arange(70) * 4}))

    assert [one.rule for one in made.new] == ["task_leak"]


@pytest.mark.parametrize(("windows", "expected"), [(12, ["busy_share"]), (7, [])])
def test_a_series_is_named_only_where_enough_windows_agree(windows, expected):
    random = np.random.default_rng(3)
    objective = [float(n) for n in range(windows)]
    means = [{"busy_share": n * 2.0, "cpu": float(random.normal()), "t_s": n} for n in range(windows)]

    assert [one.column for one in moved_together(objective, means, facts(INLINE), facts())] == expected
