"""The race: the best few of the search and the baseline in random blocks, halved after each. Picks who is confirmed.

Each block has arrivals of its own. Selection only: nothing measured here enters the claim.
"""

from __future__ import annotations

from harness import variant
from harness.ledger.record import History
from harness.search import cells, seeds, standing
from harness.search.cells import Cell
from harness.search.sizes import Plan, race_blocks, race_windows
from harness.search.standing import Standing
from harness.study.model import Study
from harness.variant import Role, Step, Variant


def next_step(study: Study, plan: Plan, history: History) -> Step | None:
    """Return the next window of the race, None when it is run or there are no two to race."""
    entered = entrants(study, plan, history)
    for block, size in enumerate(race_blocks(plan.race, len(entered))):
        step = cells.first_open(history, "race", _cells(study, block, _runners(study, history, entered, block, size)))
        if step is not None:
            return step
    return None


def windows_used(study: Study, plan: Plan, history: History) -> int:
    """Return how many of the planned windows the race takes with the entrants there are."""
    return race_windows(plan.race, len(entrants(study, plan, history)))


def entrants(study: Study, plan: Plan, history: History) -> list[Standing]:
    """Return the best variants of screen and search, as many as the plan lets in."""
    before = [record for record in standing.explored(history) if record.phase != "race"]
    return standing.ranking(study, before)[: plan.finalists]


def final_ranking(study: Study, plan: Plan, history: History) -> list[Standing]:
    """Return who is left after the race as far as it was run, best first; without a race, all that were tried."""
    ranked = standing.ranking(study, standing.explored(history))
    run = {record.block for record in history.of_phase("race")}
    if not run:
        return ranked
    entered = entrants(study, plan, history)
    size = race_blocks(plan.race, len(entered))[max(run)]
    last = {runner.id for runner in _runners(study, history, entered, max(run), size)}
    return [entry for entry in ranked if entry.variant.id in last] or ranked


def _runners(study: Study, history: History, entered: list[Standing], block: int, size: int) -> list[Variant]:
    """Return who runs in a block: the best `size` entrants by all windows before it."""
    before = [record for record in standing.explored(history) if record.phase != "race" or record.block < block]
    names = {entrant.variant.id for entrant in entered}
    return [entry.variant for entry in standing.ranking(study, before) if entry.variant.id in names][:size]


def _cells(study: Study, block: int, runners: list[Variant]) -> list[Cell]:
    tried: list[tuple[Role, Variant]] = [("candidate", runner) for runner in runners]
    labels = [*tried, ("baseline", variant.baseline(study))]
    order = seeds.generator(study, "race", block).permutation(len(labels))
    arrivals = seeds.arrivals(study, "race", block)
    return [Cell("race", labels[at][0], block, place, labels[at][1], arrivals) for place, at in enumerate(order)]
