"""A claim as a run: the study's baseline against one named variant, in fresh pairs from the first window on.

Plan and freeze, with every coin flip, are written before the first window; the loop, resuming and the report need nothing
new. There is no search, so nothing was chosen by what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness import variant
from harness.errors import StudyError
from harness.ledger.record import History
from harness.search import confirm, plan
from harness.search.sizes import Plan
from harness.study.model import Level, Study
from harness.variant import Decision

LABEL = "claim"
NOTE = "Pairs only: the variant was named by a claim before anything was measured."


def planned(study: Study) -> Plan:
    """Return the plan: as many pairs as the study's phases say; StudyError where they say none."""
    if study.phases is None or not study.phases.confirm:
        raise StudyError(f"{study.file}: a claim needs `phases` with `confirm`, the number of its pairs")
    return Plan(calibrate=0, pairs=study.phases.confirm, notes=(NOTE,))


def decisions(study: Study, change: Mapping[str, Level]) -> tuple[Decision, Decision]:
    """Return the plan and the freeze that the run of a claim begins with; StudyError where the change changes nothing."""
    made, tried = planned(study), variant.of(study, change)
    if tried.id == variant.baseline(study).id:
        raise StudyError(f"{study.file}: what the claim changes makes the baseline again")
    none = History(windows=(), decisions=())
    freeze = confirm.frozen_for(study, none, tried, made.pairs, LABEL, "named by the claim, not chosen")
    return Decision("plan", plan.to_json(study, made)), freeze
