"""The interaction check: the screen's single winners, each alone and all together, in fresh blocks of random order.

It tells whether their effects add up. Nothing measured here enters a score or a claim.
"""

from __future__ import annotations

from harness import variant
from harness.judge import effects
from harness.judge import interaction as judge
from harness.ledger.record import History
from harness.search import cells, seeds
from harness.search.cells import Cell
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Role, Step, Variant


def next_step(study: Study, plan: Plan, history: History) -> Step | None:
    """Return the next window of the check; None when it is measured, not planned, or fewer than two knobs win alone."""
    found = judge.singles(study, effects.screen(study, history)) if plan.interaction else None
    if found is None:
        return None
    records = history.of_phase("interaction")
    for block in range(plan.interaction):
        unable = cells.infeasible([record for record in records if record.block < block])
        wanted = (cell for cell in _cells(study, found, block) if cell.variant.id not in unable)
        step = cells.first_open(history, "interaction", wanted)
        if step is not None:
            return step
    return None


def _cells(study: Study, found: judge.Singles, block: int) -> list[Cell]:
    tried: list[tuple[Role, Variant]] = [("candidate", one) for one in (*found.alone, found.together)]
    labels = [*tried, ("baseline", variant.baseline(study))]
    order = seeds.generator(study, "interaction", block).permutation(len(labels))
    arrivals = seeds.arrivals(study, "interaction", block)
    return [Cell("interaction", labels[at][0], block, place, labels[at][1], arrivals) for place, at in enumerate(order)]
