"""The bench of the search: what it runs, how it scores, and which code its kept outcomes belong to."""

import ast
import math
from pathlib import Path

import ground
import pytest
from fakes import FAMILIES, surface
from ground import Case, Chosen
from test_measured import bench

ROOT = Path(__file__).resolve().parents[2]
CHANGES_NO_OUTCOME = {
    "harness/errors.py",
    "harness/study/percentiles.py",
    "harness/study/quantities.py",
    "harness/load/job.py",
    "harness/window/figures.py",
}
"""What is imported there and only makes messages, or reads samples and study files, which a simulated study has not."""

FLAT = Case(40, 0.1, "flat", 1)
"""Every variant is worth exactly as much as the baseline."""


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_outcomes_are_kept_under_all_the_code_that_can_change_them():
    sources = [ROOT / source for source in bench("search").RUNS_OURS]
    files = {file for source in sources for file in (source.glob("*.py") if source.is_dir() else [source])}
    named = {f"{name.replace('.', '/')}.py" for file in files for name in imported(file)}
    beside = {name for name in named if (ROOT / name).exists() and ROOT / name not in files}

    assert all(source.exists() for source in sources)
    assert beside - CHANGES_NO_OUTCOME == set()


def test_a_claim_where_nothing_can_be_gained_is_false_and_over_by_all_that_it_says():
    found = ground.outcome(FLAT, Chosen({"worker_threads": 8}, 0.2, {"worker_threads": 8}, (0.1, 0.3)))

    assert (found.regret, found.harm, found.claim, found.true_claim) == (0.0, False, True, False)
    assert (found.over_claim, found.covered) == (0.2, False)


def test_keeping_the_baseline_claims_nothing_and_an_interval_over_the_truth_covers_it():
    found = ground.outcome(FLAT, Chosen({}, None, {"worker_threads": 8}, (-0.1, 0.1)))

    assert (found.claim, found.true_claim, found.over_claim, found.covered) == (False, False, None, True)


def test_deploying_what_is_slower_is_harm_and_costs_all_of_it():
    case = Case(40, 0.1, "default_opt", 1)
    slower = {"flavor": "current_thread"}
    y = surface("default_opt", 1)(slower)[0]
    found = ground.outcome(case, Chosen(slower, 0.05))

    assert y > 0.2
    assert (found.harm, found.true_claim, found.regret) == (
        True,
        False,
        pytest.approx(y - ground.best_y("default_opt", 1)),
    )
    assert found.over_claim == pytest.approx(0.05 - (1 - math.exp(y)))


def test_a_score_takes_false_claims_from_the_flat_families_and_missed_gains_from_the_others():
    claim, none = (ground.outcome(FLAT, chosen) for chosen in (Chosen({}, 0.1), Chosen({}, None)))
    single = Case(40, 0.1, "single", 1)
    found = ground.score([(FLAT, claim), (FLAT, none), (single, none), (single, none)])

    assert (found.studies, found.false_claims, found.missed, found.over_claim) == (4, 0.5, 1.0, 0.1)


@pytest.mark.slow
def test_the_shipped_search_claims_nothing_where_there_is_nothing_and_what_people_do_without_it_claims_much():
    cases = ground.cases(40, 0.1, range(2))
    scores = {
        name: ground.score([(case, ground.outcome(case, strategy(case))) for case in cases])
        for name, strategy in ground.STRATEGIES.items()
    }

    assert {score.studies for score in scores.values()} == {2 * len(FAMILIES)}
    assert (scores["ours"].false_claims, scores["ours"].harm) == (0.0, 0.0)
    assert scores["TPE + best trial"].false_claims >= 0.75
    assert scores["random + best"].false_claims >= 0.75
    assert min(scores[name].over_claim for name in ("TPE + best trial", "random + best")) > 0.1
