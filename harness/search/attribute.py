"""The attribution: which of a confirmed winner's knobs carry its gain. Runs after the claim and can never change it.

Blocks of the baseline, the winner, and the winner with each changed knob set back, in random order, under arrivals of
their own. Paid by the windows that a first look saved, or asked for by the study's own phases.
"""

from __future__ import annotations

from harness import variant
from harness.judge.attribution import set_backs
from harness.ledger.record import History
from harness.search import cells, confirm, seeds
from harness.search.cells import Cell
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Step, Variant
from harness.window.measurement import Validity

FEWEST_BLOCKS = 2
"""A single block leaves no residual to tell the noise from."""

GIVEN_UP_AFTER = 5
"""So many refused windows in a row end the attribution: the claim needs none of it."""


def next_step(study: Study, plan: Plan, history: History) -> Step | None:
    """Return the next window of the attribution; None where nothing was claimed, or when all blocks are measured."""
    if not confirm.has_passed(history) or _given_up(history):
        return None
    records = history.of_phase("attribute")
    for block in range(blocks(study, plan, history)):
        unable = cells.infeasible([record for record in records if record.block < block])
        wanted = (cell for cell in _cells(study, history, block) if cell.variant.id not in unable)
        step = cells.first_open(history, "attribute", wanted)
        if step is not None:
            return step
    return None


def blocks(study: Study, plan: Plan, history: History) -> int:
    """Return how many blocks are run: as many as the study's own phases say, else what the first look saved."""
    labels = _labels(study, history)
    if not labels:
        return 0
    if study.phases is not None:
        return plan.attribute
    fixed, taken = confirm.frozen(history), confirm.looks_taken(history)
    saved = (
        2 * (fixed.pairs - fixed.looks[len(taken) - 1]) if fixed is not None and not confirm.is_final(history) else 0
    )
    paid = saved // len(labels)
    return paid if paid >= FEWEST_BLOCKS else 0


def _cells(study: Study, history: History, block: int) -> list[Cell]:
    labels, base = _labels(study, history), variant.baseline(study)
    order = seeds.generator(study, "attribute", block).permutation(len(labels))
    arrivals = seeds.arrivals(study, "attribute", block)
    return [
        Cell("attribute", "baseline" if labels[at].id == base.id else "candidate", block, place, labels[at], arrivals)
        for place, at in enumerate(order)
    ]


def _labels(study: Study, history: History) -> tuple[Variant, ...]:
    """Return the variants of a block, each once; none where fewer than two changed knobs act."""
    fixed = confirm.frozen(history)
    back = () if fixed is None else set_backs(study, fixed.difference)
    if fixed is None or not back:
        return ()
    found = [variant.baseline(study), fixed.winner, *(one.variant for one in back)]
    return tuple({one.id: one for one in found}.values())


def _given_up(history: History) -> bool:
    last = history.of_phase("attribute")[-GIVEN_UP_AFTER:]
    return len(last) == GIVEN_UP_AFTER and all(record.validity is Validity.INVALID for record in last)
