"""The screen: one variable at a time around the baseline, in blocks of random order.

It gives a picture of each knob, never a claim. A variant that failed twice in one block is not run again in the next.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness import variant
from harness.judge.effects import one_offs
from harness.ledger.record import History
from harness.search import cells, seeds
from harness.search.cells import Cell
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Role, Step, Variant


def next_step(study: Study, plan: Plan, history: History) -> Step | None:
    """Return the next window of the screen, None when all blocks are measured."""
    records = history.of_phase("screen")
    failed = [cells.infeasible([record for record in records if record.block < b]) for b in range(plan.screen_blocks)]
    wanted = (cell for cell in _cells(study, plan) if cell.variant.id not in failed[cell.block])
    return cells.first_open(history, "screen", wanted)


def _cells(study: Study, plan: Plan) -> Iterator[Cell]:
    base = variant.baseline(study)
    tried: list[tuple[Role, Variant]] = [("candidate", one_off.variant) for one_off in one_offs(study)]
    labels = [*tried, *[("baseline", base)] * plan.screen_baselines]
    for block in range(plan.screen_blocks):
        arrivals = seeds.exploring_arrivals(study, block)
        for position, at in enumerate(seeds.generator(study, "screen", block).permutation(len(labels))):
            role, tried_variant = labels[at]
            yield Cell("screen", role, block, position, tried_variant, arrivals)
