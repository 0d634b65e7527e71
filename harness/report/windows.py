"""The ledger in words: every window, and why those were lost that were. Pure functions of the run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.ledger.record import WindowRecord
from harness.report import formats, tables
from harness.report.read import Run
from harness.window.measurement import HostFacts, Validity

LOGS_SHOWN = 5
LOG_LENGTH = 4000
REASON_LENGTH = 400


@dataclass(frozen=True)
class Reason:
    """Why windows were not VALID: one of their sentences, how many said so, their numbers."""

    validity: str
    words: str
    windows: str
    count: int


@dataclass(frozen=True)
class WindowRow:
    """One window of the ledger in words."""

    n: int
    phase: str
    variant: str
    validity: str
    objective: str
    lateness: str
    generator_cpu: str
    reasons: str


def validity_counts(run: Run) -> dict[str, int]:
    """Return how many windows have each validity."""
    return {validity.value: sum(record.validity is validity for record in run.history.windows) for validity in Validity}


def reasons(run: Run) -> tuple[Reason, ...]:
    """Return why windows were not VALID; reasons that differ in their numbers only are one row."""
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for record in run.history.windows:
        for reason in record.reasons:
            if record.validity is not Validity.VALID:
                key = (record.validity.value, re.sub(r"\d+(?:\.\d+)?", "#", reason))
                groups.setdefault(key, []).append((record.n, reason))
    rows = [
        Reason(
            validity=validity,
            words=formats.bounded(found[0][1], REASON_LENGTH),
            windows=formats.numbered(sorted({n for n, _ in found})),
            count=len({n for n, _ in found}),
        )
        for (validity, _), found in groups.items()
    ]
    return tuple(
        sorted(rows, key=lambda row: (list(Validity).index(Validity(row.validity)), -row.count), reverse=False)
    )


def logs(run: Run) -> tuple[tuple[int, str], ...]:
    """Return (window, end of its log) of the first few FAILED windows; the window's folder has the rest."""
    failed = [record for record in run.history.windows if record.validity is Validity.FAILED and record.log]
    return tuple((record.n, formats.bounded(record.log, LOG_LENGTH)) for record in failed[:LOGS_SHOWN])


def windows(run: Run) -> tuple[WindowRow, ...]:
    """Return every window of the ledger."""
    return tuple(_window_row(run, record) for record in run.history.windows)


def _generator_cpu(host: HostFacts) -> str:
    """Return the generator's share of a core, and beside it that of the target's upstream where there is one."""
    if host.generator_cpu is None:
        return formats.NOTHING
    upstream = "" if host.upstream_cpu is None else f" + {formats.percent(host.upstream_cpu)} upstream"
    return f"{formats.percent(host.generator_cpu)}{upstream}"


def _window_row(run: Run, record: WindowRecord) -> WindowRow:
    host = record.host
    return WindowRow(
        n=record.n,
        phase=record.phase,
        variant=run.label(record),
        validity=record.validity.value,
        objective=formats.quantity(tables.shown(run, run.study.objective.metric), tables.objective(run, record)),
        lateness=formats.NOTHING if host.lateness_p99_ms is None else f"{host.lateness_p99_ms:.2f} ms",
        generator_cpu=_generator_cpu(host),
        reasons=formats.bounded("; ".join(record.reasons), REASON_LENGTH),
    )
