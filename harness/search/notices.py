"""What the first windows show and people should know before more is spent. Said once in the ledger; changes no step."""

from __future__ import annotations

from collections.abc import Callable

from harness.diagnose import inert
from harness.judge import guards
from harness.ledger.record import History
from harness.search import calibrate
from harness.search.sizes import Plan
from harness.study.model import Study
from harness.variant import Decision

BROKEN_GUARD = "baseline_breaks_guard"
METRICS_MISSING = "metrics_missing"
NO_IO_URING = "no_io_uring"


def next_step(study: Study, plan: Plan, history: History) -> Decision | None:
    """Return a notice that is due once the calibration is over, None where there is none, or all are said."""
    if calibrate.next_step(study, plan, history) is not None:
        return None
    told = {record.content.get("about") for record in history.decisions if record.kind == "notice"}
    due = ((about, words) for about, find in NOTICES.items() if about not in told and (words := find(study, history)))
    return next((Decision("notice", {"about": about, "words": words}) for about, words in due), None)


def said(history: History) -> tuple[str, ...]:
    """Return the notices in the ledger, those of blocks measured again among them."""
    return tuple(str(record.content["words"]) for record in history.decisions if record.kind in {"notice", "restart"})


def _broken_guard(study: Study, history: History) -> str:
    broken = guards.broken_by_baseline(study, history.of_phase("calibrate"))
    if not broken:
        return ""
    return (
        f"The baseline itself breaks a guard of this study ({'; '.join(broken)}). Effects are measured against it all the "
        "same, and a winner has to meet the guard; but to keep the baseline is then no safe choice. See whether the limit, "
        "the load or the service is wrong."
    )


def _metrics_missing(study: Study, history: History) -> str:
    """Return what an own crate's probe does not tell; a template has all, and without a probe the study's loading says so."""
    seen = [record.server for record in history.of_phase("calibrate") if record.validity.usable]
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


def _no_io_uring(study: Study, history: History) -> str:
    """Return that io_uring was asked for and not opened, as the service told after the load of every such window."""
    del study
    if not inert.no_ring(history.windows):
        return ""
    return (
        "enable_io_uring = true is a no-op here: after its load the service had no io_uring open, so files went through the "
        "blocking pool as before. The container's seccomp profile or kernel.io_uring_disabled forbids it, or nothing of this "
        "load is done by tokio::fs. What is measured at this level is the baseline's noise."
    )


_ADD = "Everything else works. How to add the rest: docs/metrics.md."

NOTICES: dict[str, Callable[[Study, History], str]] = {
    BROKEN_GUARD: _broken_guard,
    METRICS_MISSING: _metrics_missing,
    NO_IO_URING: _no_io_uring,
}
"""Every notice by name: a sentence of what the ledger shows, empty where there is nothing to say."""
