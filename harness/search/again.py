"""A confirmation of its own: fresh pairs for any variant of a finished run, with an error budget that is not the run's.

It is a run whose plan has pairs only. Plan and freeze are written before its first window; from there on it is carried
out, resumed and judged like any other run. Nothing of the first run's pairs enters it.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness import variant
from harness.errors import StudyError
from harness.judge import rank
from harness.ledger.record import History
from harness.search import confirm, plan, standing
from harness.search.sizes import ALPHA, Plan
from harness.study.model import Study
from harness.variant import Decision, Variant

USUAL_PAIRS = 6
"""How many pairs are taken where the run itself froze none."""


@dataclass(frozen=True)
class Asked:
    """The `number`-th confirmation of a run, counted from 1: which variant, and how many pairs."""

    winner: Variant
    pairs: int
    number: int


def error_budget(number: int) -> str:
    """Return what a claim of the `number`-th confirmation of a run is worth, in words."""
    words = (
        f"This is confirmation {number} of a finished run: one extra test at {ALPHA:.0%}, on fresh pairs alone. If the "
        f"variant were no different from the baseline, it would still claim something in at most {ALPHA:.0%} of cases."
    )
    if number == 1:
        return f"{words} The run's own verdict stays as it is; each further confirmation adds {ALPHA:.0%} of its own."
    together = 1 - (1 - ALPHA) ** number
    return f"{words} Each has its own {ALPHA:.0%}: that one of the {number} so far claims by chance is up to {together:.0%}."


def decisions(study: Study, history: History, asked: Asked) -> tuple[Decision, Decision]:
    """Return the plan and the freeze that the confirmation's ledger begins with; `history` is the finished run's."""
    made = Plan(calibrate=0, pairs=asked.pairs, notes=(error_budget(asked.number),))
    why = f"asked for: confirmation {asked.number} of a finished run"
    freeze = confirm.frozen_for(study, history, asked.winner, asked.pairs, f"confirm again {asked.number}", why)
    return Decision("plan", plan.to_json(study, made)), freeze


def chosen(study: Study, history: History, name: str | None) -> Variant:
    """Return the variant whose id begins with `name`; without a name what the run confirmed, else its best.

    StudyError where the run measured no such variant, or only the baseline.
    """
    base = variant.baseline(study).id
    measured = {record.variant: Variant(record.variant, dict(record.values)) for record in history.windows}
    if name is None:
        return _best(study, history)
    found = [made for made in measured.values() if made.id.startswith(name)]
    others = ", ".join(sorted(made for made in measured if made != base)) or "none"
    if len(found) != 1:
        what = "fits several variants" if found else "is no variant that the run measured"
        raise StudyError(f"--variant {name}: {what}. There are: {others}")
    if found[0].id == base:
        raise StudyError(
            f"--variant {name}: is the baseline, which every variant is compared with. There are: {others}"
        )
    return found[0]


def usual_pairs(history: History) -> int:
    """Return how many pairs to take where nobody says: as many as the run froze, never too few for a claim."""
    fixed = confirm.frozen(history)
    return max(rank.fewest_pairs(ALPHA), USUAL_PAIRS if fixed is None else fixed.pairs)


def _best(study: Study, history: History) -> Variant:
    fixed = confirm.frozen(history)
    if fixed is not None:
        return fixed.winner
    ranked = standing.ranking(study, standing.explored(history))
    if not ranked:
        raise StudyError("the run measured no variant that could be confirmed: run the study again")
    return ranked[0].variant
