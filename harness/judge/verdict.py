"""The verdict: whether to believe that the frozen winner beats the baseline, and by how much at least.

Rests on confirmation pairs alone. Whatever is unknown (too few pairs, an unmeasured guard, a run that ended early)
gives *inconclusive* with its reason; nothing here can turn it into a success.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, Literal

from harness.judge import censored, guards, noise, rank, score, stability
from harness.judge.guards import GuardRow, Pairs
from harness.judge.rank import Interval
from harness.judge.stability import Stability
from harness.study.model import Level, Study

Call = Literal["better", "worse", "same", "inconclusive"]

ReasonCode = Literal[
    "judged",
    "too_few_pairs",
    "guard_broken",
    "not_resolvable",
    "end_of_scale",
    "winner_unstable",
    "no_candidate",
    "baseline_failed",
    "not_measured",
    "machine_not_ready",
    "windows_fail",
    "all_inert",
    "effects_only",
    "out_of_time",
]
"""Why the call is what it is, for programs. "judged": the pairs spoke."""

UNJUDGED = frozenset(
    {"too_few_pairs", "baseline_failed", "not_measured", "machine_not_ready", "windows_fail", "out_of_time"}
)
"""The reasons that mean: too few usable windows to judge (exit code 4)."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Look:
    """One declared look at the pairs.

    `planned` pairs were declared for it, `pairs` of them are usable. `p` and `alpha` are one-sided; `shift` is the
    Hodges-Lehmann estimate of y(winner) - y(baseline) in ln units, `shift_interval` the inverted test at `alpha` a
    side; `estimate` and `interval` say the same as gains. None: no pair, or an unbounded end. `passed`: the test and
    every guard, the one reason to stop before the last look. `difference_ms` is the estimate in milliseconds where the
    objective is a percentile, `floor_ms` what this host's engine measures where there is nothing: a smaller difference
    is not resolvable. `both_censored` pairs have both sides at the end of the scale (a time-out, the last step of a
    load), so that nothing is known of their difference; what is known of the others is a bound where one side is.
    `stability` tells how steady both sides were, None where nobody counted that yet.
    """

    number: int
    planned: int
    pairs: int
    alpha: float
    p: float
    shift: float | None
    shift_interval: tuple[float | None, float | None]
    estimate: float | None
    interval: tuple[float | None, float | None]
    guards: tuple[GuardRow, ...]
    passed: bool
    difference_ms: float | None = None
    floor_ms: float | None = None
    both_censored: int = 0
    stability: Stability | None = None

    @property
    def resolvable(self) -> bool:
        """Whether the difference is not below the host's floor, as far as both are known; the reason says where not."""
        return self.difference_ms is None or self.floor_ms is None or self.difference_ms >= self.floor_ms

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return _plain(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Look:
        """Return the look that `to_json` wrote."""
        steady = content.get("stability")
        known = _revived(cls, content, ("shift_interval", "interval"))
        return cls(**{**known, "stability": None if steady is None else Stability.from_json(steady)})


@dataclass(frozen=True)
class Verdict:
    """What a run says in the end.

    `winner` holds what the tested variant sets otherwise than the baseline, as {knob: level}; it is recommended only
    when `call` is better, and empty when nothing was tested. Gains are fractions of the baseline's value, positive is
    better: `estimate` is the best one, `interval` two-sided 90 % (over all looks), `at_least` its lower end, which
    holds with `confidence`. `smallest_visible` is the gain that these pairs would have seen with 80 % power.
    `reason` is the sentence for people, `reason_code` the same for programs.
    """

    call: Call
    reason_code: ReasonCode
    reason: str
    winner: Mapping[str, Level]
    winner_id: str | None
    at_least: float | None
    estimate: float | None
    interval: tuple[float | None, float | None]
    confidence: float
    smallest_visible: float | None
    guards: tuple[GuardRow, ...]
    pairs: int
    looks: int

    @property
    def judged(self) -> bool:
        """Whether there were usable windows enough to judge; without it a run ends with exit code 4."""
        return self.reason_code not in UNJUDGED

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON for the ledger and summary.json."""
        return _plain(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Verdict:
        """Return the verdict that `to_json` wrote."""
        return cls(**_revived(cls, content, ("interval",)))


@dataclass(frozen=True)
class Tested:
    """What went into the pairs: the winner's id and its difference from the baseline."""

    id: str
    difference: Mapping[str, Level]


def look(study: Study, pairs: Pairs, number: int, planned: int, alpha: float) -> Look:
    """Return what the usable (winner, baseline) pairs say at `alpha`; they must have been measured after the freeze.

    The test and each end of the interval take a difference that is only bounded at the end that speaks against them.
    """
    d, known = differences(study, pairs), difference_ends(study, pairs)
    p, ends = rank.signed_rank_p([each.high for each in known]), censored.interval(known, alpha)
    rows = guards.rows(study, pairs, alpha)
    passed = p <= alpha and ends.high < 0 and all(row.holds for row in rows)
    seen = Look(
        number=number,
        planned=planned,
        pairs=len(d),
        alpha=alpha,
        p=p,
        shift=rank.hodges_lehmann(d) if d else None,
        shift_interval=(_finite(ends.low), _finite(ends.high)),
        estimate=score.gain(study, rank.hodges_lehmann(d)) if d else None,
        interval=(_gain(study, ends.high), _gain(study, ends.low)),
        guards=rows,
        passed=passed,
        difference_ms=_difference_ms(study, pairs, rank.hodges_lehmann(d)) if d else None,
        floor_ms=study.floor_ms.get(study.objective.metric),
        both_censored=sum(math.isinf(each.low) and math.isinf(each.high) for each in known),
        stability=stability.of_pairs(study, pairs),
    )
    return replace(seen, passed=seen.passed and seen.resolvable)


def differences(study: Study, pairs: Pairs) -> list[float]:
    """Return y(winner) - y(baseline) of each pair in which both were measured."""
    both = [(score.y(study, winner), score.y(study, base)) for winner, base in pairs]
    return [winner - base for winner, base in both if winner is not None and base is not None]


def difference_ends(study: Study, pairs: Pairs) -> list[Interval]:
    """Return where y(winner) - y(baseline) of each measured pair lies: an end is infinite where a side is only bounded."""
    both = [(censored.y_ends(study, winner), censored.y_ends(study, base)) for winner, base in pairs]
    return [censored.difference(winner, base) for winner, base in both if winner is not None and base is not None]


def judged(study: Study, tested: Tested, last: Look, smallest_visible: float | None) -> Verdict:
    """Return the verdict of the last look: better, worse, same or inconclusive by the rules of the study."""
    call = _call(study, last)
    code = _code(call, last)
    low, _ = last.interval
    lost = last.planned - last.pairs
    short = f" {lost} of {last.planned} planned pairs were lost or not run." if lost > 0 else ""
    return Verdict(
        call=call,
        reason_code=code,
        reason=_reason(study, call, code, last, smallest_visible) + short,
        winner=dict(tested.difference),
        winner_id=tested.id,
        at_least=low,
        estimate=last.estimate,
        interval=last.interval,
        confidence=CONFIDENCE,
        smallest_visible=smallest_visible,
        guards=last.guards,
        pairs=last.pairs,
        looks=last.number,
    )


def ended(
    code: ReasonCode,
    reason: str,
    tested: Tested | None = None,
    call: Literal["same", "inconclusive"] = "inconclusive",
    smallest_visible: float | None = None,
) -> Verdict:
    """Return the verdict of a run that ended without a look: never better, never worse."""
    return Verdict(
        call=call,
        reason_code=code,
        reason=reason,
        winner=dict(tested.difference) if tested else {},
        winner_id=tested.id if tested else None,
        at_least=None,
        estimate=None,
        interval=(None, None),
        confidence=CONFIDENCE,
        smallest_visible=smallest_visible,
        guards=(),
        pairs=0,
        looks=0,
    )


def smallest_visible(sigma: float | None, pairs: int, looks: int) -> float | None:
    """Return the gain that `pairs` pairs see with 80 % power at this noise; None where either is unknown."""
    return None if sigma is None else noise.smallest_visible(sigma, pairs, looks)


def _difference_ms(study: Study, pairs: Pairs, shift: float) -> float | None:
    """Return the size of a shift (ln units) of the baseline's median, None where the objective is no latency."""
    if study.objective.metric not in score.LATENCIES:
        return None
    base = [score.objective_value(study, window.metrics, window.by_request) for _, window in pairs]
    known = [value for value in base if value is not None]
    return statistics.median(known) * abs(math.expm1(shift)) if known else None


def _call(study: Study, last: Look) -> Call:
    low, high = last.interval
    if not last.resolvable and not _same(study, last):
        return "inconclusive"
    if last.passed and low is not None and low > 0:
        return "better"
    if high is not None and high < 0:
        return "worse"
    return "same" if _same(study, last) else "inconclusive"


def _same(study: Study, last: Look) -> bool:
    low, high = last.interval
    if last.both_censored:
        return False
    return low is not None and high is not None and -study.min_effect <= low and high <= study.min_effect


def _code(call: Call, last: Look) -> ReasonCode:
    if last.pairs < rank.fewest_pairs(last.alpha):
        return "too_few_pairs"
    low, high = last.interval
    if call == "inconclusive" and not last.resolvable and not (low is None or high is None or low <= 0 <= high):
        return "not_resolvable"
    claimable = low is not None and low > 0
    broken = any(not row.holds for row in last.guards)
    if call == "inconclusive" and claimable and broken:
        return "guard_broken"
    return "end_of_scale" if call == "inconclusive" and last.both_censored else "judged"


def _reason(study: Study, call: Call, code: ReasonCode, last: Look, visible: float | None) -> str:  # noqa: PLR0911 - a case each
    low, high = (0.0 if end is None else end for end in last.interval)
    metric, floor = study.objective.metric, _unknown_floor(last)
    if code == "too_few_pairs":
        return (
            f"{last.pairs} usable pairs are too few: {rank.fewest_pairs(last.alpha)} are the fewest that can show "
            "anything. See why windows were lost, then run the study again."
        )
    if call == "better":
        modest = f" That may be less than the {study.min_effect:.1%} that the study asks for."
        small = modest if low < study.min_effect else ""
        return f"{metric} is better by at least {_floored(low)} (95 % confidence) over {last.pairs} fresh pairs.{small}{floor}"
    if call == "worse":
        return (
            f"{metric} is worse by at least {_floored(-high)} over {last.pairs} fresh pairs. Keep the baseline.{floor}"
        )
    if call == "same" and last.shift_interval == (0.0, 0.0):
        return (
            f"Every one of {last.pairs} fresh pairs gave the very same {metric} on both sides: under this load it tells "
            "no variant from another. Choose another objective, or a harder load."
        )
    if call == "same":
        return f"Any difference in {metric} lies within {study.min_effect:.1%}, over {last.pairs} fresh pairs."
    if code == "not_resolvable":
        return (
            f"The pairs differ by {last.difference_ms or 0:.2f} ms in {metric}, which is below the noise floor of this host "
            f"({last.floor_ms or 0:.2f} ms): not resolvable here."
        )
    if code == "guard_broken":
        broken = "; ".join(row.words for row in last.guards if not row.holds)
        return f"{metric} gets better, but a guard does not hold: {broken}."
    if code == "end_of_scale":
        return _at_the_end_of_the_scale(study, last)
    seen = f" Gains above {visible:.1%} would very likely have been seen." if visible is not None else ""
    return f"{last.pairs} fresh pairs neither show a gain in {metric} nor rule one out.{seen}"


def _floored(share: float) -> str:
    """Return a share in percent that is never more than it is: "at least" must not be rounded up."""
    return f"{math.floor(round(share * 1000, 6)) / 10:.1f}%"


def _unknown_floor(last: Look) -> str:
    """Say that a difference in milliseconds was held against no floor, where it was not; empty where it was."""
    if last.difference_ms is None or last.floor_ms is not None:
        return ""
    return (
        f" The noise floor of this host is not known, so {last.difference_ms:.2f} ms count as resolvable here: harness doctor "
        "--calibrate measures it."
    )


def _at_the_end_of_the_scale(study: Study, last: Look) -> str:
    metric = study.objective.metric
    both, remedy = "are at least the time-out", "Give a longer time-out, a lighter load, or a lower percentile."
    if metric == "capacity":
        both, remedy = "lie at an end of the load's steps", "Let the steps begin lower or reach further."
    pairs = f"In {last.both_censored} of {last.pairs} fresh pairs"
    return f"{pairs} both sides' {metric} {both}, so how much they differ is not known. {remedy}"


def _gain(study: Study, shift: float) -> float | None:
    return score.gain(study, shift) if math.isfinite(shift) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(record: Look | Verdict) -> dict[str, Any]:
    whole = asdict(record)
    return {name: _listed(value) for name, value in whole.items()}


def _listed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _listed(item) for name, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def _revived(kind: type[Look | Verdict], content: Mapping[str, Any], ends: tuple[str, ...]) -> dict[str, Any]:
    """Return constructor arguments from plain JSON: lists become tuples again, keys of others are passed over."""
    rows = tuple(_guard_row(row) for row in content["guards"])
    known = {
        field.name: content[field.name] for field in fields(kind) if field.name in content or field.default is MISSING
    }
    return {**known, **{name: tuple(content[name]) for name in ends}, "guards": rows}


def _guard_row(row: Mapping[str, Any]) -> GuardRow:
    ends = row["interval"]
    return GuardRow(**{**row, "interval": None if ends is None else tuple(ends)})
