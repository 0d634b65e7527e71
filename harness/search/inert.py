"""Inert knobs: decided once, after the calibration; from then on the search goes on without them.

The windows that this saves become confirmation pairs, except where the study fixes its phases: there they are not run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.diagnose import inert as diagnosis
from harness.judge import verdict
from harness.judge.effects import one_offs
from harness.judge.verdict import Verdict
from harness.ledger.record import History
from harness.search import calibrate
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Decision


def next_step(study: Study, plan: Plan, history: History) -> Decision | None:
    """Return the decision to leave knobs out, due after the calibration; None where there is none, or it is taken."""
    if history.decision("inert") is not None or calibrate.next_step(study, plan, history) is not None:
        return None
    found = diagnosis.knobs(study, history.of_phase("calibrate"))
    return Decision("inert", _content(study, plan, found)) if found else None


def skipped(history: History) -> dict[str, str]:
    """Return the knobs that the search leaves out, with the reason for each."""
    content = history.decision("inert")
    return {} if content is None else dict(content["knobs"])


def words(history: History) -> str:
    """Return what was left out and what that saved, empty where nothing was."""
    content = history.decision("inert")
    return "" if content is None else str(content["words"])


def without(study: Study, history: History) -> Study:
    """Return the study without the knobs that were decided to be inert: each stays at the baseline's level."""
    out = skipped(history)
    return replace(study, knobs=tuple(knob for knob in study.knobs if knob.name not in out)) if out else study


def smaller(plan: Plan, history: History) -> Plan:
    """Return the plan as it goes on after the decision: a smaller screen, and what that saved as pairs."""
    content = history.decision("inert")
    if content is None:
        return plan
    left = plan.one_offs - content["levels"]
    blocks = plan.screen_blocks if left > 0 else 0
    return replace(plan, one_offs=left, screen_blocks=blocks, pairs=plan.pairs + content["pairs"])


def all_of_them(study: Study, history: History) -> Verdict | None:
    """Return the verdict where `study`, already without its inert knobs, has none left; None while it has."""
    if study.knobs or not skipped(history):
        return None
    reason = f"No knob of this study can matter here. {words(history)}"
    return verdict.ended("all_inert", reason)  # inconclusive: that nothing was active is no interval


def _content(study: Study, plan: Plan, found: dict[str, str]) -> dict[str, Any]:
    rest = replace(study, knobs=tuple(knob for knob in study.knobs if knob.name not in found))
    levels = len(one_offs(study)) - len(one_offs(rest)) if plan.screen_blocks else 0
    after = replace(plan, one_offs=plan.one_offs - levels)
    saved = plan.screen - (after.screen if after.one_offs else 0)
    pairs = saved // 2 if study.phases is None and rest.knobs else 0
    if not rest.knobs:
        saved = plan.windows - plan.calibrate
    reasons = "; ".join(f"{name}: {reason}" for name, reason in found.items())
    use = f"; they become {pairs} more pairs" if pairs else ""
    said = f"Not searched: {reasons}. This saves {saved} windows{use}."
    return {"knobs": found, "levels": levels, "windows_saved": saved, "pairs": pairs, "words": said}
