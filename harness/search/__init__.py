"""What to run next: a pure function of the study and the ledger. No clock, no file, no randomness but the study's seed.

Replayed over every prefix of a ledger it names the step that was run, so resume needs no code of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.ledger.record import History
from harness.search import (
    attribute,
    calibrate,
    confirm,
    ending,
    inert,
    interaction,
    joint,
    notices,
    plan,
    race,
    restart,
    screen,
)
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Decision, Step

PHASES: dict[str, Callable[[Study, Plan, History], Step | Decision | None]] = {
    "restart": restart.next_step,
    "calibrate": calibrate.next_step,
    "notice": notices.next_step,
    "inert": inert.next_step,
    "screen": screen.next_step,
    "interaction": interaction.next_step,
    "search": joint.next_step,
    "race": race.next_step,
    "confirm": confirm.next_step,
    "attribute": attribute.next_step,
}
"""The phases in their order; each names its next window or decision, None when it is done."""


def next_step(study: Study, history: History) -> Step | Decision | None:
    """Return the next window to run or the next decision to write down; None after the verdict."""
    if history.decision("verdict") is not None:
        return None
    planned = history.decision("plan")
    if planned is None:
        return Decision("plan", plan.to_json(study, plan.plan(study)))
    study, made = inert.without(study, history), inert.smaller(plan.from_json(planned), history)
    return _explained(study, made, history) if confirm.is_over(history) else _claimed(study, made, history)


def _claimed(study: Study, made: Plan, history: History) -> Step | Decision:
    """Return the next window or decision on the way to the last look, or the verdict of a run that ends before it."""
    end = ending.early(study, made, history)
    if end is not None:
        return ending.as_decision(end)
    step = _of_phases(study, made, history)
    if step is None:
        return ending.as_decision(ending.at_the_end(study, made, history))
    if isinstance(step, Step) and not ending.has_time_for(study, history, ending.needed(step)):
        return ending.out_of_time(study, history)
    return step


def _explained(study: Study, made: Plan, history: History) -> Step | Decision:
    """Return the next window that explains a claim, or the verdict; nothing that happens here can change the verdict."""
    step = attribute.next_step(study, made, history)
    if step is not None and ending.has_time_for(study, history, ending.needed(step)):
        return step
    return ending.as_decision(ending.at_the_end(study, made, history))


def _of_phases(study: Study, made: Plan, history: History) -> Step | Decision | None:
    """Return what the running phase asks for, up to the last look; after the freeze, or when time is short, the pairs."""
    if confirm.frozen(history) is not None:
        return confirm.next_step(study, made, history)
    if not ending.has_time_for(study, history, 2 * made.pairs + 1):
        early_freeze = confirm.freeze(study, made, history)
        if early_freeze is not None:
            return early_freeze
    for phase in PHASES.values():
        step = phase(study, made, history)
        if step is not None:
            return step
    return None
