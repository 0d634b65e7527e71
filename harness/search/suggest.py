"""Warm start: what earlier runs of the same study put to pairs is tried early by this one's search. Never evidence.

The suggestions are written to the ledger before the plan, so that the next step stays a function of study and ledger. What
an earlier run measured is not told to the sampler and enters no score: a suggested variant is measured like any other.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness import variant
from harness.ledger.record import History
from harness.search import confirm
from harness.study.model import UNSET, Level, Study
from harness.variant import Decision, Variant

MOST = 3
"""More would take the search's windows from what was not tried yet."""


def decision(study: Study, earlier: Iterable[tuple[str, History]]) -> Decision | None:
    """Return the suggestions of (run, its ledger), the first run first; None where no run has any.

    What went into the pairs was the best of its run's search, whatever they could show; only what they showed to be worse
    is left out.
    """
    found: dict[str, tuple[str, dict[str, Level]]] = {}
    for run, history in earlier:
        fixed, end = confirm.frozen(history), history.decision("verdict")
        worse = end is not None and end["call"] == "worse"
        levels = None if fixed is None or worse else _levels(study, fixed.winner)
        if levels is not None:
            found.setdefault(variant.of(study, levels).id, (run, levels))
    found.pop(variant.baseline(study).id, None)
    kept = list(found.values())[:MOST]
    if not kept:
        return None
    runs = ", ".join(run for run, _ in kept)
    words = f"warm start: the search tries {len(kept)} variants early that earlier runs put to pairs ({runs})"
    content = {"runs": [run for run, _ in kept], "assignments": [levels for _, levels in kept], "words": words}
    return Decision("suggest", content)


def assignments(study: Study, history: History) -> list[dict[str, Level]]:
    """Return the suggested levels of the study's knobs that its constraints permit, those of knobs left out dropped."""
    content = history.decision("suggest") or {"assignments": []}
    base = {knob.name: knob.baseline for knob in study.knobs}
    kept = [{**base, **{name: levels[name] for name in base if name in levels}} for levels in content["assignments"]]
    return [levels for levels in kept if variant.permitted(study, variant.of(study, levels))]


def _levels(study: Study, winner: Variant) -> dict[str, Level] | None:
    """Return the winner as levels of today's knobs, None where it sets what the study does not search."""
    levels = {knob.name: winner.values.get(knob.name, UNSET) for knob in study.knobs}
    levels = {
        knob.name: levels[knob.name] if levels[knob.name] in knob.levels else knob.baseline for knob in study.knobs
    }
    return levels if dict(variant.of(study, levels).values) == dict(winner.values) else None
