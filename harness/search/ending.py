"""How a run ends: early, because going on cannot help, or with the verdict of its pairs.

Never turns an early end into success. Every rule looks at validity, failures and time only, never at whether a figure
is good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.judge import noise, score, second, verdict
from harness.judge.verdict import Verdict
from harness.ledger.record import History, WindowRecord
from harness.search import calibrate, cells, confirm, inert, plan, standing
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Decision, Role, Step
from harness.window.measurement import Validity

INVALID_IN_A_ROW = 5
"""So many windows in a row that the gates refuse mean that the machine is not ready."""

TRIED_IN_VAIN = 5
"""So many places in the design without one usable window of any candidate mean that none will come."""

FAILED_IN_A_ROW = 10
"""So many windows in a row that failed, after others had run, mean that something broke on the way."""

BEFORE_A_WINDOW_S = 5.0
"""The most that lies between two windows besides the wait for a quiet host: the ledger, and the next step."""

FAILURES_OF_A_SIDE = 2
"""A side of the confirmation that fails so often is unstable."""


def early(study: Study, made: Plan, history: History) -> Verdict | None:
    """Return the verdict of a run that cannot go on usefully, None while it can."""
    return (
        machine_not_ready(history)
        or _baseline_failed(history)
        or _winner_unstable(history)
        or _windows_fail(history)
        or _not_measured(study, made, history)
        or _all_failed(history)
        or inert.all_of_them(study, history)
    )


def has_time_for(study: Study, history: History, windows: int) -> bool:
    """Whether the budget's time allows so many more windows."""
    return spare_s(study, history, windows) >= 0


def spare_s(study: Study, history: History, windows: int) -> float:
    """Return the seconds of the budget's time beyond so many more windows, each as long as the median one so far.

    What passed between windows counts too: the wait for a quiet host. Infinite where no time was given.
    """
    if study.budget.time_s is None:
        return math.inf
    lengths = [record.ended - record.started for record in history.windows]
    typical = float(np.median(lengths)) if lengths else plan.seconds_per_window(study)
    return study.budget.time_s - sum(lengths) - _between(history.windows) - windows * typical


def _between(windows: Sequence[WindowRecord]) -> float:
    """Return the seconds between windows; of a run that lay still until it was resumed no more than a wait can take."""
    return sum(
        min(max(0.0, windows[n].started - windows[n - 1].ended), cells.quiet_limit_s(windows[:n]) + BEFORE_A_WINDOW_S)
        for n in range(1, len(windows))
    )


def out_of_time(study: Study, history: History) -> Decision:
    """Return what follows when no further window fits: a last look if any pair exists, else the verdict."""
    if confirm.usable_pairs(history):
        return confirm.look(study, history, final=True)
    minutes = (study.budget.time_s or 0.0) / 60
    if plan.tells_effects_only(study):
        return as_decision(
            _effects_only(f" The {minutes:.0f} minutes of the budget were over before all was measured.")
        )
    reason = f"The {minutes:.0f} minutes of the budget were over before a pair was measured: give more time."
    return as_decision(verdict.ended("out_of_time", reason, _tested(history)))


def at_the_end(study: Study, made: Plan, history: History) -> Verdict:
    """Return the verdict when every phase is done."""
    taken, fixed = confirm.looks_taken(history), confirm.frozen(history)
    if taken and fixed is not None:
        last = taken[-1]
        looks = 1 if last.alpha == sum(fixed.alphas) else len(fixed.looks)
        visible = verdict.smallest_visible(_sigma(study, history), last.pairs, looks)
        return verdict.judged(study, fixed.tested, last, visible)
    if made.one_offs == 0 and made.search == 0:
        or_not = " or breaks a constraint" if study.constraints else ""
        reason = f"Every level of this study makes the same program as the baseline{or_not}, so nothing can differ."
        return verdict.ended("no_candidate", reason, call="same")
    if plan.tells_effects_only(study):
        return _effects_only()
    if made.pairs == 0:
        return verdict.ended("too_few_pairs", "The plan has no confirmation pairs: give more windows or more time.")
    return _no_candidate(history)


def _effects_only(also: str = "") -> Verdict:
    reason = "The study asks for the effect of each level alone: nothing was confirmed, and nothing is recommended."
    return verdict.ended("effects_only", reason + also)


def as_decision(made: Verdict) -> Decision:
    """Return the verdict as the ledger keeps it."""
    return Decision("verdict", made.to_json())


def needed(step: Step) -> int:
    """Return how many windows must still fit for a step to be worth its time: both halves for the first of a pair."""
    return 2 if step.phase == "confirm" and step.position == 0 else 1


def machine_not_ready(history: History) -> Verdict | None:
    """Return the verdict where the gates refused the last windows, one after another."""
    last = history.windows[-INVALID_IN_A_ROW:]
    if len(last) < INVALID_IN_A_ROW or any(record.validity is not Validity.INVALID for record in last):
        return None
    reason = f"The machine is not ready: {len(last)} windows in a row are invalid. Last: {_first_reason(last[-1])}"
    return verdict.ended("machine_not_ready", reason, _tested(history))


def _baseline_failed(history: History) -> Verdict | None:
    explored = [record for record in standing.explored(history) if record.role == "baseline"]
    failed = _failed(history, "baseline")
    if not cells.infeasible(explored) and len(failed) < FAILURES_OF_A_SIDE:
        return None
    last = next(record for record in reversed(history.windows) if _is_failure(record, "baseline"))
    reason = f"The baseline failed twice, so nothing can be compared: {_first_reason(last)}"
    return verdict.ended("baseline_failed", reason, _tested(history))


def _winner_unstable(history: History) -> Verdict | None:
    failed = _failed(history, "candidate")
    if len(failed) < FAILURES_OF_A_SIDE:
        return None
    reason = f"Not confirmed: unstable. The winner failed twice in the confirmation: {_first_reason(failed[-1])}"
    return verdict.ended("winner_unstable", reason, _tested(history))


def _windows_fail(history: History) -> Verdict | None:
    last = history.windows[-FAILED_IN_A_ROW:]
    ran_before = any(record.validity.usable and record.role == "candidate" for record in history.windows)
    if len(last) < FAILED_IN_A_ROW or not ran_before or any(record.validity is not Validity.FAILED for record in last):
        return None
    reason = f"{len(last)} windows in a row failed, though others had run before. Last: {_first_reason(last[-1])}"
    return verdict.ended("windows_fail", reason, _tested(history))


def _not_measured(study: Study, made: Plan, history: History) -> Verdict | None:
    """End when the calibration is over and the objective has no value in any of its windows."""
    records = history.of_phase("calibrate")
    places = cells.by_place(records)
    open_cells = len(places) < made.calibrate or not all(cells.settled(attempts) for attempts in places.values())
    if not records or open_cells:
        return None
    for asked in filter(None, (study, second.seen_from(study))):
        if not any(score.y(asked, record) is not None for record in records):
            reason = (
                f"No calibration window gave a value of {asked.objective.metric}. Last: {_first_reason(records[-1])}"
            )
            return verdict.ended("not_measured", reason)
    return None


def _all_failed(history: History) -> Verdict | None:
    candidates = [record for record in standing.explored(history) if record.role == "candidate"]
    if any(record.validity.usable for record in candidates):
        return None
    groups: dict[tuple[str, int, int], list[WindowRecord]] = {}
    for record in candidates:
        groups.setdefault((record.phase, record.block, record.position), []).append(record)
    tried = sum(cells.settled(group) for group in groups.values())
    return _no_candidate(history) if tried >= TRIED_IN_VAIN else None


def _no_candidate(history: History) -> Verdict:
    candidates = [record for record in standing.explored(history) if record.role == "candidate"]
    lost = [record for record in candidates if not record.validity.usable]
    why = f" Last: {_first_reason(lost[-1])}" if lost else " Every one broke a limit on errors." if candidates else ""
    return verdict.ended("no_candidate", f"No variant is left to confirm, so the baseline stays.{why}")


def _sigma(study: Study, history: History) -> float | None:
    """Return the noise of one window from calibration and pairs together."""
    sigma, windows = calibrate.sigma(study, history)
    d = verdict.differences(study, confirm.usable_pairs(history))
    return noise.pooled_sigma([(sigma, windows - 1), (noise.sigma_of_pairs(d), len(d) - 1)])


def _failed(history: History, role: Role) -> Sequence[WindowRecord]:
    return [record for record in history.of_phase("confirm") if _is_failure(record, role)]


def _is_failure(record: WindowRecord, role: Role) -> bool:
    return record.role == role and record.validity is Validity.FAILED


def _first_reason(record: WindowRecord) -> str:
    return record.reasons[0] if record.reasons else "no reason was recorded."


def _tested(history: History) -> verdict.Tested | None:
    fixed = confirm.frozen(history)
    return None if fixed is None else fixed.tested
