"""What the calibration shows and people should know before more is spent. Said once in the ledger; changes no step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.judge import guards
from harness.ledger.record import History, WindowRecord
from harness.search import calibrate
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Decision

BROKEN_GUARD = "baseline_breaks_guard"
METRICS_MISSING = "metrics_missing"


def next_step(study: Study, plan: Plan, history: History) -> Decision | None:
    """Return a notice that is due after the calibration, None where there is none, or all are said."""
    if calibrate.next_step(study, plan, history) is not None:
        return None
    windows = history.of_phase("calibrate")
    told = {record.content.get("about") for record in history.decisions if record.kind == "notice"}
    due = ((about, words) for about, find in NOTICES.items() if about not in told and (words := find(study, windows)))
    return next((Decision("notice", {"about": about, "words": words}) for about, words in due), None)


def said(history: History) -> tuple[str, ...]:
    """Return the notices in the ledger, those of blocks measured again among them."""
    return tuple(str(record.content["words"]) for record in history.decisions if record.kind in {"notice", "restart"})


def _broken_guard(study: Study, windows: Sequence[WindowRecord]) -> str:
    broken = guards.broken_by_baseline(study, windows)
    if not broken:
        return ""
    return (
        f"The baseline itself breaks a guard of this study ({'; '.join(broken)}). Effects are measured against it all the "
        "same, and a winner has to meet the guard; but to keep the baseline is then no safe choice. See whether the limit, "
        "the load or the service is wrong."
    )


def _metrics_missing(study: Study, windows: Sequence[WindowRecord]) -> str:
    """Return what an own crate's probe does not tell; a template has all, and without a probe the study's loading says so."""
    seen = [record.server for record in windows if record.validity.usable]
    if study.target.form == "template" or not study.target.has_admin or not seen:
        return ""
    if all(server.busy_share is None for server in seen):
        return f"/metrics on $ADMIN_PORT tells none of Tokio's metrics: the report says nothing of the runtime. {_ADD}"
    if all(server.blocking_threads_max is None for server in seen):
        return (
            "/metrics on $ADMIN_PORT tells Tokio's stable metrics only: the report says nothing of the blocking pool, of polls "
            f"and of steals. {_ADD}"
        )
    return ""


_ADD = "Everything else works. How to add the rest: docs/metrics.md."

NOTICES: dict[str, Callable[[Study, Sequence[WindowRecord]], str]] = {
    BROKEN_GUARD: _broken_guard,
    METRICS_MISSING: _metrics_missing,
}
"""Every notice by name: the study and its calibration windows in, a sentence out; empty where there is nothing to say."""
