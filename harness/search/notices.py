"""What the calibration shows and people should know before more is spent. Said once in the ledger; changes no step."""

from __future__ import annotations

from harness.judge import guards
from harness.ledger.record import History
from harness.search import calibrate
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Decision

BROKEN_GUARD = "baseline_breaks_guard"


def next_step(study: Study, plan: Plan, history: History) -> Decision | None:
    """Return the notice that is due after the calibration, None where there is none or it is said."""
    if calibrate.next_step(study, plan, history) is not None or history.decision("notice") is not None:
        return None
    broken = guards.broken_by_baseline(study, history.of_phase("calibrate"))
    return Decision("notice", {"about": BROKEN_GUARD, "words": _words(broken)}) if broken else None


def said(history: History) -> tuple[str, ...]:
    """Return the notices in the ledger, those of blocks measured again among them."""
    return tuple(str(record.content["words"]) for record in history.decisions if record.kind in {"notice", "restart"})


def _words(broken: tuple[str, ...]) -> str:
    return (
        f"The baseline itself breaks a guard of this study ({'; '.join(broken)}). Effects are measured against it all the "
        "same, and a winner has to meet the guard; but to keep the baseline is then no safe choice. See whether the limit, "
        "the load or the service is wrong."
    )
