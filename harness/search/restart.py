"""A step of the host while calibration or screen is running: the running block is set aside and measured again.

What was measured stays in the ledger. A step in the search is only told, since the sampler goes by ranks; one in the
confirmation costs an odd pair and is never a reason to drop it.
"""

from __future__ import annotations

import math

from harness.judge import score, steps
from harness.judge.steps import Moved
from harness.ledger.record import History, WindowRecord
from harness.search import seeds
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Decision

MOST = 2
"""A host that moves more often is not made steady by measuring again."""


def next_step(study: Study, plan: Plan, history: History) -> Decision | None:
    """Return the restart that is due, None where the host stood still, or moved too often already."""
    del plan
    series = baselines(study, history)
    moved = steps.steps([y for _, y in series])
    if not moved or moved[-1].at != len(series) - 2 or len(history.restarts) >= MOST:
        return None
    last = series[-1][0]
    if last.phase not in {"calibrate", "screen"} or last.n in history.set_aside:
        return None
    block = [record.n for record in history.of_phase(last.phase) if record.block == last.block]
    words = f"{told(study, moved[-1], series)} The running block ({last.phase}) is measured again; nothing is deleted."
    return Decision("restart", {"phase": last.phase, "block": last.block, "windows": block, "words": words})


def most_windows(plan: Plan) -> int:
    """Return how many windows beyond its budget a plan may take because the host moves, none where no step can be seen.

    A step shows in the second baseline window after it, once there are enough before; the blocks after the first have
    arrivals of their own and are not watched.
    """
    enough = steps.LEAST_EARLIER + 2
    calibration = plan.calibrate if plan.calibrate >= enough else 0
    screened = plan.screen_blocks > 0 and plan.calibrate + plan.screen_baselines >= enough
    return MOST * max(calibration, plan.one_offs + plan.screen_baselines if screened else 0)


def baselines(study: Study, history: History) -> list[tuple[WindowRecord, float]]:
    """Return the baseline windows that met the same arrivals, with y: those of calibration, first screen block, search.

    Others differ by the luck of their arrivals besides, and would look like steps.
    """
    arrivals = seeds.exploring_arrivals(study, 0)
    mine = (record for record in history.windows if record.role == "baseline" and record.schedule_seed == arrivals)
    return [(record, y) for record in mine if (y := score.y(study, record)) is not None]


def said(study: Study, history: History) -> tuple[str, ...]:
    """Return what else people should know of how the baseline moved: steps without a restart, and a drift."""
    series = baselines(study, history)
    known = {str(restart["words"]) for restart in history.restarts}
    lone = [told(study, moved, series) for moved in steps.steps([y for _, y in series])]
    words = [sentence for sentence in lone if not any(sentence in one for one in known)]
    every = [score.y(study, record) for record in history.windows if record.role == "baseline"]
    drift = steps.drift([y for y in every if y is not None])
    if drift is not None:
        change = math.expm1(drift if study.objective.direction == "minimize" else -drift)
        metric = study.objective.metric
        words.append(
            f"The baseline's {metric} drifted by {change:+.0%} from its first window to its last. Pairs are compared within "
            "themselves, so a claim holds, but a steadier host would see smaller gains."
        )
    return tuple(words)


def told(study: Study, moved: Moved, series: list[tuple[WindowRecord, float]]) -> str:
    """Return a step in words: where in the run, and by how much the objective stood elsewhere from there."""
    shift = moved.shift if study.objective.direction == "minimize" else -moved.shift
    since = series[moved.at][0].n
    return (
        f"The host moved at window {since}: the baseline's {study.objective.metric} is {math.expm1(shift):+.0%} since."
    )
