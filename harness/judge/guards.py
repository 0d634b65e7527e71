"""The limits that a recommendation must not break: shortfalls while searching, rows of evidence on the pairs.

A guard whose metric was not measured does not hold: it is never passed over. While searching it is merely unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.judge import censored, rank
from harness.judge.rank import Interval
from harness.judge.score import log_metric, metric_value
from harness.ledger.record import WindowRecord
from harness.study.model import Guard, Metric, Study

BROKEN = 1.0
"""The largest shortfall (ln units), and that of a limit which no ratio can express: a limit of 0, a value of 0."""

HIGHER_ERRORS = 0.05
"""Level of the exact test that the candidate's error ratio is above the baseline's."""

OWN_ERRORS = "error_ratio not above the baseline's"
"""The limit on errors of a study that sets none."""

RAISED = "within its limit, but higher than the baseline's; `may_rise: true` would allow that"
"""What is said of errors that rose; more of them is rarely what somebody wants who asks for lower latency or memory."""

Pairs = Sequence[tuple[WindowRecord, WindowRecord]]
"""Usable windows measured together: (candidate, baseline)."""

TYPICAL: Mapping[Metric, Callable[[Sequence[float]], float]] = {
    "error_ratio": lambda values: float(np.mean(values)),  # the ratio over all the requests of all windows
    "peak_rss": max,  # memory kills at its worst window
    "threads": max,
}
"""How the windows of one side become the one value that an absolute limit is held against; else the median."""


@dataclass(frozen=True)
class GuardRow:
    """One guard on the pairs. `value` and `interval` are in the unit of the limit; None: not measured, or unbounded."""

    metric: Metric
    limit: str
    value: float | None
    interval: tuple[float | None, float | None] | None
    holds: bool
    words: str


def sentence(guard: Guard) -> str:
    """Return the guard as people say it: "error_ratio at most 0.001"."""
    limit = f"{guard.limit:.4g} of the baseline's" if guard.relative else f"{guard.limit:.4g}"
    return f"{guard.metric} {guard.side.replace('_', ' ')} {limit}"


def shortfall(study: Study, guard: Guard, windows: Sequence[WindowRecord], baseline: Sequence[WindowRecord]) -> float:
    """Return by how much (ln units) the windows of a variant miss the limit; 0 where it holds or cannot be told.

    A relative guard is shrunk by n / (n + 1), because few windows tell little.
    """
    if guard.relative:
        logs, base = (_logs(study, guard.metric, side) for side in (windows, baseline))
        if not logs or not base:
            return 0.0
        ratio = (float(np.mean(logs)) - float(np.median(base))) * len(logs) / (len(logs) + 1)
        return beyond_ratio(guard, ratio)
    values = _values(guard.metric, windows)
    return _shortfall_of(guard, _typical(guard.metric, values)) if values else 0.0


def beyond_ratio(guard: Guard, log_ratio: float) -> float:
    """Return by how much (ln units) a ratio to the baseline misses a relative limit; 0 where it holds."""
    return min(BROKEN, max(0.0, _beyond(guard, log_ratio, _log_limit(guard))))


def breaks_errors(study: Study, record: WindowRecord) -> bool:
    """Whether the window breaks a limit on error_ratio that does not depend on the baseline."""
    limits = [guard for guard in study.guards if guard.metric == "error_ratio" and not guard.relative]
    return any(shortfall(study, guard, [record], []) > 0 for guard in limits)


def broken_by_baseline(study: Study, windows: Sequence[WindowRecord]) -> tuple[str, ...]:
    """Return a sentence for each absolute limit that the baseline's own usable windows break."""
    usable = [record for record in windows if record.validity.usable]
    broken = [guard for guard in study.guards if not guard.relative and shortfall(study, guard, usable, []) > 0]
    return tuple(f"{sentence(guard)}: {_typical(guard.metric, _values(guard.metric, usable)):.4g}" for guard in broken)


def rows(study: Study, pairs: Pairs, alpha: float) -> tuple[GuardRow, ...]:
    """Return one row for each guard of the study; intervals have at most `alpha` outside on each side.

    A study without a limit on errors still gets a row for them: who answers nothing needs few threads and little memory.
    """
    asked = tuple(
        _relative_row(study, guard, pairs, alpha) if guard.relative else _absolute_row(study, guard, pairs)
        for guard in study.guards
    )
    guarded = any(guard.metric == "error_ratio" for guard in study.guards)
    return asked if guarded else (*asked, _errors_row(pairs))


def _relative_row(study: Study, guard: Guard, pairs: Pairs, alpha: float) -> GuardRow:
    """Hold the Hodges-Lehmann estimate of the pairwise ln ratios against ln of the limit.

    A ratio that is only bounded, because a side stands at the time-out, is taken at the end that speaks against the guard.
    """
    both = [tuple(censored.log_ends(study, guard.metric, record.metrics) for record in pair) for pair in pairs]
    known = [censored.difference(candidate, base) for candidate, base in both if candidate and base]
    if not known or len(known) < len(pairs):
        return _unknown(guard)
    estimate = rank.hodges_lehmann([ratio.high if guard.side == "at_most" else ratio.low for ratio in known])
    if math.isinf(estimate):
        return _unknown(guard, "at the time-out in too many pairs")
    ends = censored.interval(known, alpha)
    holds = _beyond(guard, estimate, _log_limit(guard)) <= 0
    value, printed = math.exp(estimate), _printed(ends)
    words = f"{sentence(guard)}: {value:.4g}{_range_words(printed)}, {'holds' if holds else 'broken'}"
    return GuardRow(guard.metric, sentence(guard), value, printed, holds, words)


def _absolute_row(study: Study, guard: Guard, pairs: Pairs) -> GuardRow:
    candidates, bases = (_values(guard.metric, side) for side in zip(*pairs, strict=True)) if pairs else ([], [])
    if not candidates or len(candidates) < len(pairs):
        return _unknown(guard)
    value = _typical(guard.metric, candidates)
    within = _shortfall_of(guard, value) <= 0
    if within and guard.side == "at_most" and math.isinf(_typical(guard.metric, _at_most(study, guard.metric, pairs))):
        return _unknown(guard, "at the time-out in too many windows")
    raised = guard.metric == "error_ratio" and _shown_higher(candidates, bases)
    worst = max(candidates) if guard.side == "at_most" else min(candidates)
    result = _result(guard, within=within, raised=raised)
    words = f"{sentence(guard)}: {value:.4g}, worst window {worst:.4g}, {result}"
    return GuardRow(guard.metric, sentence(guard), value, None, within and (guard.may_rise or not raised), words)


def _result(guard: Guard, *, within: bool, raised: bool) -> str:
    if not within:
        return "broken"
    if not raised:
        return "holds"
    return "holds; higher than the baseline's, as it may be" if guard.may_rise else RAISED


def _errors_row(pairs: Pairs) -> GuardRow:
    """Hold the candidate's errors against the baseline's own."""
    candidates, bases = (_values("error_ratio", side) for side in zip(*pairs, strict=True)) if pairs else ([], [])
    if not candidates or not len(candidates) == len(bases) == len(pairs):
        words = f"{OWN_ERRORS}: not measured in every pair, so it does not hold"
        return GuardRow("error_ratio", OWN_ERRORS, None, None, holds=False, words=words)
    value, raised = _typical("error_ratio", candidates), _shown_higher(candidates, bases)
    words = f"{OWN_ERRORS}: {value:.4g} against {_typical('error_ratio', bases):.4g}, {'broken' if raised else 'holds'}"
    return GuardRow("error_ratio", OWN_ERRORS, value, None, not raised, words)


def _shown_higher(candidates: Sequence[float], bases: Sequence[float]) -> bool:
    """Whether the exact test says that the candidate's errors are above the baseline's; one stray error never does."""
    if len(candidates) != len(bases):
        return False
    return rank.signed_rank_p(np.subtract(bases, candidates)) <= HIGHER_ERRORS


def _unknown(guard: Guard, why: str = "not measured in every pair") -> GuardRow:
    words = f"{sentence(guard)}: {why}, so it does not hold"
    return GuardRow(guard.metric, sentence(guard), None, None, holds=False, words=words)


def _shortfall_of(guard: Guard, value: float) -> float:
    if _beyond(guard, value, guard.limit) <= 0:
        return 0.0
    if value <= 0 or guard.limit <= 0:
        return BROKEN
    return min(BROKEN, abs(math.log(value / guard.limit)))


def _beyond(guard: Guard, value: float, limit: float) -> float:
    return value - limit if guard.side == "at_most" else limit - value


def _log_limit(guard: Guard) -> float:
    return math.log(guard.limit) if guard.limit > 0 else -math.inf


def _typical(metric: Metric, values: Sequence[float]) -> float:
    return TYPICAL.get(metric, _median)(values)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _values(metric: Metric, records: Sequence[WindowRecord]) -> list[float]:
    values = (metric_value(metric, record.metrics) for record in records)
    return [value for value in values if value is not None]


def _at_most(study: Study, metric: Metric, pairs: Pairs) -> list[float]:
    """Return the most that ln of the metric may truly be in each of the candidate's windows."""
    known = (censored.log_ends(study, metric, candidate.metrics) for candidate, _ in pairs)
    return [ends.high for ends in known if ends is not None]


def _logs(study: Study, metric: Metric, records: Sequence[WindowRecord]) -> list[float]:
    values = (log_metric(study, metric, record.metrics) for record in records)
    return [value for value in values if value is not None]


def _printed(ends: Interval) -> tuple[float | None, float | None]:
    low, high = (math.exp(end) if math.isfinite(end) else None for end in (ends.low, ends.high))
    return low, high


def _range_words(ends: tuple[float | None, float | None]) -> str:
    return "" if None in ends else f" ({ends[0]:.4g} to {ends[1]:.4g})"
