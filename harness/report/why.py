"""Why the winner wins, in words: what the rules of the diagnosis found before and not after, what moved with it. Pure.

Says only what was seen to go together; the claim itself rests on the confirmation pairs alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.diagnose.together import Together, change, moved_together
from harness.report import curves, formats, tables
from harness.report.diagnosis import facts_of
from harness.report.read import Run

MOST_ROWS = 6


@dataclass(frozen=True)
class Row:
    """One series that moved with the objective, in words."""

    title: str
    baseline: str
    tested: str
    together: str


@dataclass(frozen=True)
class Why:
    """Sentences about findings, and the series that moved with the objective."""

    words: tuple[str, ...]
    rows: tuple[Row, ...]


def why(run: Run) -> Why | None:
    """Return why the winner wins; None where the verdict is not better, or no series is left that could tell."""
    if run.verdict is None or run.verdict.call != "better":
        return None
    tested = facts_of(run, [tested for tested, _ in run.pairs])
    base = facts_of(run, [baseline for _, baseline in run.pairs])
    if tested is None or base is None or not base.knows("t_s") or not tested.knows("t_s"):
        return None
    made = change(base, tested)
    words = (
        *(f"Gone with the winner: {one.symptom[0].lower()}{one.symptom[1:]}. {one.cause}" for one in made.gone),
        *(f"Still there: {one.symptom[0].lower()}{one.symptom[1:]}." for one in made.stay),
        *(f"Only with the winner: {one.symptom[0].lower()}{one.symptom[1:]}." for one in made.new),
        *(f"Not known under the winner: {one.rule}." for one in made.unknown),
    )
    objective, means = _measured(run)
    rows = tuple(_row(one) for one in moved_together(objective, means, base, tested)[:MOST_ROWS])
    return Why(words or ("No rule of the diagnosis found a fault in the baseline that the winner has not.",), rows)


def _measured(run: Run) -> tuple[list[float], list[dict[str, float]]]:
    """Return the objective of every usable window that has a series, and beside it the mean of each column."""
    objective, means = [], []
    for record in run.history.windows:
        value = tables.objective(run, record)
        if value is None or not record.validity.usable:
            continue
        columns = curves.columns(run, record)
        known = {name: float(np.nanmean(one)) for name, one in columns.items() if not np.isnan(one).all()}
        if known:
            objective.append(value)
            means.append(known)
    return objective, means


def _row(one: Together) -> Row:
    title, unit = curves.SHOWN.get(one.column, (one.column.replace("_", " "), ""))
    scale = curves.SCALE.get(one.column, 1.0)
    before, after = (formats.number(value * scale) for value in (one.before, one.after))
    return Row(
        f"{title}, {unit}" if unit else title,
        before,
        after,
        f"{formats.signed(f'{one.rank:.2f}')} over {one.windows} windows",
    )
