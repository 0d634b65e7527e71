"""Which options of the target a finding should have screened. Pure."""

from __future__ import annotations

from harness.diagnose.facts import Facts
from harness.diagnose.finding import Proposal

MOVES = ("blocking", "pool", "rayon", "thread", "async")
"""Parts of the names of choices that move work off the workers, such as spawn_blocking."""


def moving_work(facts: Facts, why: str) -> tuple[Proposal, ...]:
    """Return the choices of the target that can move work off the workers and do not do so in these windows."""
    choices = [option for option in facts.study.target.options if option.kind == "choice"]
    moving = [
        option for option in choices if any(part in choice.lower() for choice in option.choices for part in MOVES)
    ]
    inside = [option for option in moving if not _moves(str(facts.values.get(option.name, option.default)))]
    return tuple(Proposal(option.name, option.choices, why) for option in inside)


def _moves(choice: str) -> bool:
    return any(part in choice.lower() for part in MOVES)
