"""The measured figures that the documents quote are those that are kept."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.diagnose.rules import RULES
from harness.study import load

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "measured" / "measure.json"


def bench(name="measure"):
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_page_of_measured_figures_is_generated_from_what_is_kept():
    assert (ROOT / "docs" / "measured.md").read_text() == bench().page(json.loads(KEPT.read_text()))


def test_every_kept_row_has_what_ours_reference_and_their_ratio():
    rows = json.loads(KEPT.read_text())["rows"]

    assert len({row["what"] for row in rows}) == len(rows)
    for row in rows:
        assert row.keys() == {"what", "ours", "reference", "ratio"}
        assert abs(row["ratio"] - row["ours"] / row["reference"]) < 1e-9


def test_the_page_of_the_stories_is_generated_from_what_is_kept_and_every_row_is_a_study():
    stories = bench("stories")
    rows = stories.kept()

    assert rows
    assert stories.PAGE.read_text() == stories.page(rows)
    assert set(rows) <= {file.stem for file in stories.STUDIES.glob("*.yaml")}


def test_every_study_says_what_the_diagnosis_of_its_baseline_has_to_find():
    stories = bench("stories")

    assert set(stories.PLANTED) == {file.stem for file in stories.STUDIES.glob("*.yaml")}
    assert {rule for rule in stories.PLANTED.values() if rule} <= set(RULES)


def test_every_story_is_kept_beside_what_its_file_expected():
    stories = bench("stories")
    expected = {file.stem: stories.expected(file.read_text()) for file in stories.STUDIES.glob("*.yaml")}

    assert all(expected.values())
    assert expected["echo"].startswith('"No change". No setting')
    assert expected["echo"].endswith("takes for a gain.")
    assert stories.page({}).count("Not carried out yet: aa, backpressure, ") == 1


@pytest.mark.parametrize(
    ("wanted", "base", "blind", "call"),
    [
        ("task_leak", ["task_leak"], {}, "hit"),
        ("task_leak", ["cpu_bound"], {}, "miss"),
        ("task_leak", [], {"task_leak": "too short"}, "not looked: too short"),
        (None, ["cpu_bound"], {}, "false finding"),
        (None, [], {}, "clear"),
    ],
)
def test_a_rule_that_could_not_look_is_no_miss_and_a_finding_where_nothing_is_wrong_is_false(wanted, base, blind, call):
    assert bench("stories")._call(wanted, base, blind) == call


def test_a_story_that_this_machine_is_too_small_for_has_a_row_with_the_reason():
    stories = bench("stories")
    study = load(stories.STUDIES / "ingest-bandwidth.yaml")

    reason = stories.obstacle(replace(study, needs_cores=4096))
    page = stories.page({"ingest-bandwidth": stories.untestable(reason)})

    assert stories.obstacle(replace(study, needs_cores=1)) == ""
    assert "| [ingest-bandwidth](#ingest-bandwidth) | not testable on this machine |" in page
    assert "not testable on this machine. ingest-bandwidth needs 4096 cores" in page


def test_the_page_of_planted_claims_is_generated_from_what_is_kept():
    claims = bench("claims")

    assert claims.PAGE.read_text() == claims.page(json.loads(claims.KEPT.read_text()))


@pytest.mark.parametrize(
    ("call", "degraded", "words"),
    [
        ("inconclusive", 3, ""),
        ("better", 3, "called better"),
        ("worse", 3, "called worse"),
        ("same", 0, "no window is"),
    ],
)
def test_a_claim_beside_a_foreign_job_fails_the_bench_and_so_do_windows_that_saw_nothing_of_it(call, degraded, words):
    claims = bench("claims")
    found = {"part": claims.BESIDE_A_JOB, "call": call, "windows": {"degraded": degraded, "invalid": 0}}

    assert claims.fault(found).startswith(words)
    assert bool(claims.fault(found)) == bool(words)


def test_more_than_5_percent_of_claims_without_a_difference_fail_the_bench():
    claims = bench("claims")

    assert claims.fault({"part": claims.AA, "false_claims": 0.06}) == ""
    assert "8.0%" in claims.fault({"part": claims.AA, "false_claims": 0.08})


def test_the_page_of_connections_is_generated_from_what_is_kept_and_no_thread_comes_with_them():
    connections = bench("connections")
    content = json.loads(connections.KEPT.read_text())

    assert connections.PAGE.read_text() == connections.page(content)
    assert {point["threads"] - point["workers"] for point in content["points"]} == {2}
    assert max(point["connections"] for point in content["points"]) >= 8000
    assert max(point["connections"] for point in content["chat"]) >= 4000


def test_a_line_is_found_again_and_its_interval_covers_what_lies_far_beyond_the_points():
    connections = bench("connections")
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        seen = [(x, 5.0 + 0.002 * x + random.normal(0, 2)) for x in (0, 2000, 4000, 8000, 12_000, 16_000) * 2]
        line = connections.fit(seen)
        new = 5.0 + 0.002 * connections.ASKED_FOR + random.normal(0, 2)
        covered += line.asked_for[0] <= new <= line.asked_for[2]

    assert 0.92 <= covered / 400 <= 0.98
    assert connections.fit([(0, 5.0), (2000, 9.0), (4000, 13.0)]).asked_for == pytest.approx((205.0, 205.0, 205.0))


def test_every_start_is_planned_up_then_down_and_never_beyond_what_can_be_held():
    planned = list(bench("connections").planned(4000))

    assert planned == [
        *[(1024, n) for n in (0, 2000, 4000)],
        *[(131_072, n) for n in (0, 2000, 4000)],
        *[(1024, n) for n in (4000, 2000, 0)],
        *[(131_072, n) for n in (4000, 2000, 0)],
    ]


def test_the_page_of_the_search_is_generated_from_what_is_kept_and_ours_stands_beside_what_others_do():
    search = bench("search")
    rows = json.loads(search.KEPT_ROWS.read_text())
    cells = {(row["windows"], row["sigma"]) for row in rows}

    assert search.PAGE.read_text() == search.page(rows)
    assert cells == set(search.CELLS)
    for cell in cells:
        compared = {row["strategy"] for row in rows if (row["windows"], row["sigma"]) == cell}
        assert compared == set(search.ground.STRATEGIES)
