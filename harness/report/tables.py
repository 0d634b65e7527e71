"""The rows of the report's tables, each value already in words. Pure functions of the run."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness import variant as variants
from harness.diagnose import inert as told_inert
from harness.judge import attribution as judge_attribution
from harness.judge import effects as judge_effects
from harness.judge import interaction as judge_interaction
from harness.judge import score, second
from harness.judge.attribution import Attribution, KnobEffect
from harness.judge.effects import Effect, Ends
from harness.judge.interaction import Check
from harness.ledger.record import History, WindowRecord
from harness.report import formats, words
from harness.report.read import Run, change_words, level_words
from harness.search import inert, pareto
from harness.study.model import UNSET, Level
from harness.window.figures import LEAST_BEYOND
from harness.window.measurement import Figures


@dataclass(frozen=True)
class EffectRow:
    """One level against the baseline, in words, beside the effect itself (as gains)."""

    label: str
    change: str
    interval: str
    call: str
    effect: Effect


@dataclass(frozen=True)
class KnobRow:
    """What one changed knob adds to the winner, in words; `n` windows had it set back."""

    label: str
    change: str
    interval: str
    n: int
    call: str


@dataclass(frozen=True)
class FigureRow:
    """One figure of both sides of the confirmation, with what stands small beside it: range, successes only.

    `beside` holds for both: the noise floor of the host, too few requests behind a percentile.
    """

    name: str
    beside: str
    baseline: str
    baseline_beside: str
    tested: str
    tested_beside: str
    scored: bool


@dataclass(frozen=True)
class TradeOff:
    """One variant that no other beats in both objectives: its changes in words, and whether the rule picked it."""

    label: str
    first: str
    second: str
    windows: int
    picked: bool
    point: pareto.Point


def effects(run: Run) -> tuple[EffectRow, ...]:
    """Return the one-variable-at-a-time levels with their effects, as far as measured; none of a later confirmation."""
    if run.confirms is not None:
        return ()
    searched = inert.without(run.study, run.history)
    return tuple(
        _effect_row(run, effect)
        for effect in judge_effects.screen(searched, _with_ids_of_today(run, {"calibrate", "screen"}))
    )


def singles_together(run: Run) -> Check | None:
    """Return what the single winners of the screen do together, None where that was not measured."""
    searched, history = inert.without(run.study, run.history), _with_ids_of_today(run, {"calibrate", "screen"})
    if not run.history.of_phase("interaction"):
        return None
    found = judge_interaction.singles(searched, judge_effects.screen(searched, history))
    checked = _with_ids_of_today(run, {"interaction"}).windows
    return None if found is None else judge_interaction.check(searched, found, checked)


def together_row(run: Run, seen: Check | None) -> tuple[str, str, str]:
    """Return (label, change, interval) of all single winners together, empty words where it was not measured."""
    if seen is None:
        return "", "", ""
    label = ", ".join(f"{knob} = {level_words(level)}" for knob, level in seen.levels.items())
    low, high = words.change_ends(run, seen.interval or (None, None))
    changed = formats.percent(words.change(run, seen.together), words.interval_width((low, high)), plus=True)
    return label, changed, "" if seen.interval is None else formats.change_range(low, high)


def adding_up(run: Run, seen: Check | None) -> str:
    """Return whether the single winners add up, as a sentence; empty where that was not measured."""
    if seen is None or seen.interaction.interval is None:
        return ""
    summed = formats.percent(words.change(run, seen.sum), plus=True)
    beside = (
        f"the sum of their own effects, measured beside it in {seen.blocks} blocks, is {summed} (added as logarithms)"
    )
    low, high = words.change_ends(run, seen.interaction.interval)
    if seen.interaction.call == "not resolved":
        return f"Interaction {_not_resolved(seen.interaction.interval)}: {beside}."
    says = "more" if seen.interaction.call == "more than the sum" else "less"
    return (
        f"The winners interact: together they do {says} than they do apart; {beside}, and the rest "
        f"({formats.change_range(low, high)}) is their interaction. Judge them together, not one by one."
    )


def trade_offs(run: Run) -> tuple[TradeOff, ...]:
    """Return the trade-offs between two objectives that were found; empty where the study has one objective."""
    found = pareto.front(run.study, run.history)
    tested = None if run.tested is None else run.tested.id
    return tuple(_trade_off(run, point, tested) for point in found)


def stability_words(run: Run) -> str:
    """Return how steady both sides of the pairs were, empty where it is not known."""
    seen = None if run.last_look is None else run.last_look.stability
    if seen is None:
        return ""
    name = shown(run, run.study.objective.metric)
    worst = [formats.quantity(name, side.worst) for side in (seen.winner, seen.baseline)]
    spread = [formats.percent(side.spread, side.spread / 2) for side in (seen.winner, seen.baseline)]
    ratio = "" if seen.ratio is None else f", {formats.number(seen.ratio)} times as much"
    wide = [
        f" The {who}'s windows span {formats.percent(side.span)} of their mean: the claim is about the typical window."
        for who, side in (("tested variant", seen.winner), ("baseline", seen.baseline))
        if side.is_wide
    ]
    return (
        f"Windows of the tested variant spread by {spread[0]}, those of the baseline by {spread[1]}{ratio}; the worst window "
        f"read {worst[0]} and {worst[1]}.{''.join(wide)}"
    )


def second_words(run: Run) -> str:
    """Return what the pairs say about the second objective, empty where there is none."""
    seen = second.effect(run.study, run.pairs)
    other = run.study.objective.second
    if seen is None or other is None:
        return ""
    low, high = words.ends(other, seen.interval)
    changed = formats.percent(
        -seen.estimate if other.direction == "minimize" else seen.estimate,
        words.interval_width((low, high)),
        plus=True,
    )
    name = formats.metric(other.metric, other.of)
    ends = f"90 % interval {formats.change_range(low, high)}, not adjusted for looks"
    return f"{name}: {changed} ({ends}) over {seen.pairs} pairs; no claim rests on it."


def attribution(run: Run) -> Attribution | None:
    """Return what each changed knob of a confirmed winner adds to it, None where that was not measured."""
    frozen = run.history.decision("freeze")
    if frozen is None:
        return None
    return judge_attribution.attribution(run.study, frozen["winner"], _with_ids_of_today(run, {"attribute"}).windows)


def knob_effects(run: Run, told: Attribution | None) -> tuple[KnobRow, ...]:
    """Return the rows of the attribution in words, none where there is none."""
    return tuple(_knob_row(run, row) for row in (told.knobs if told else ()))


def interaction(told: Attribution | None) -> str:
    """Return whether the knobs simply add up, as a sentence; empty where that is unknown altogether."""
    found = None if told is None else told.interaction
    if found is None or found.interval is None:
        return ""
    if found.call == "more than the sum":
        return (
            "The knobs do not simply add up: together they do more than these rows, so they partly replace each other."
        )
    if found.call == "less than the sum":
        return "The knobs do not simply add up: together they do less than these rows, so they need each other."
    return f"Whether the knobs simply add up is {_not_resolved(found.interval)}."


def figures(run: Run) -> tuple[FigureRow, ...]:
    """Return the figures of the confirmation windows; of all usable baseline windows where there is no pair."""
    tested = [candidate for candidate, _ in run.pairs]
    base = [baseline for _, baseline in run.pairs] or [
        record for record in run.history.windows if record.role == "baseline" and record.validity.usable
    ]
    rows = [_figure_row(run, key, base, tested) for key in _ROWS]
    return tuple(row for row in rows if row.baseline != formats.NOTHING or row.tested != formats.NOTHING)


def objective(run: Run, record: WindowRecord) -> float | None:
    """Return the objective's value in one window, in the metric's own unit."""
    return score.objective_value(run.study, record.metrics, record.by_request)


def shown(run: Run, metric: str) -> str:
    """Return the name under which `formats` shows a metric: throughput is a share under open load."""
    return "answered" if metric == "throughput" and run.study.load.model == "open" else metric


def _trade_off(run: Run, point: pareto.Point, tested: str | None) -> TradeOff:
    other = run.study.objective.second
    assert other is not None  # noqa: S101 - there is no front of one objective
    signs = [-1 if each.direction == "minimize" else 1 for each in (run.study.objective, other)]
    changes = [formats.percent(sign * gain, plus=True) for sign, gain in zip(signs, point.gains, strict=True)]
    label = change_words(run.change(point.values)) or "baseline"
    return TradeOff(label, changes[0], changes[1], point.windows, point.variant == tested, point)


_ROWS = (
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "p999_ms",
    "throughput",
    "capacity",
    "error_ratio",
    "cpu_per_request_us",
    "peak_rss_bytes",
    "threads",
)

SATURATED = 0.95
"""Share of its cores from which on a target, and not its clients, sets the rate of a closed load."""

_METRICS = {field: metric for metric, field in score.FIGURE.items()}


def _with_ids_of_today(run: Run, phases: Collection[str]) -> History:
    """Return the windows of some phases with variant ids as this version makes them: older runs keep their effects."""
    aside = run.history.set_aside
    renamed = tuple(
        record.model_copy(update={"variant": variants.of(run.study, _whole(run, record.values)).id})
        for record in run.history.windows
        if record.phase in phases and record.n not in aside
    )
    return History(windows=renamed)


def _whole(run: Run, values: Mapping[str, Level]) -> dict[str, Level]:
    """Return `values` with what they leave unset beside the baseline named so."""
    return {**dict.fromkeys(run.baseline.values, UNSET), **values}


def _effect_row(run: Run, effect: Effect) -> EffectRow:
    label = f"{effect.knob} = {level_words(effect.level)}"
    if effect.effect is None:
        return EffectRow(label, formats.NOTHING, "", effect.words, effect)
    low, high = words.change_ends(run, effect.interval or (None, None))
    width = words.interval_width((low, high))
    changed = formats.percent(words.change(run, effect.effect), width, plus=True)
    interval = "" if effect.interval is None else formats.change_range(low, high)
    is_no_op = effect.knob == "enable_io_uring" and told_inert.no_ring(run.history.windows)
    return EffectRow(label, changed, interval, _call(effect) + (": a no-op here" if is_no_op else ""), effect)


def _call(effect: Effect) -> str:
    """Return the call with the size that an unresolved effect stays below."""
    if effect.call != "not resolved" or effect.interval is None:
        return effect.words
    return _not_resolved(effect.interval)


def _not_resolved(interval: Ends) -> str:
    largest = max(math.inf if end is None else abs(end) for end in interval)
    if not math.isfinite(largest):
        return "not resolved"
    return f"not resolved (smaller than {formats.at_most(largest, words.interval_width(interval))})"


def _knob_row(run: Run, row: KnobEffect) -> KnobRow:
    label = f"{row.knob} = {level_words(row.level)}"
    if row.effect is None:
        return KnobRow(label, formats.NOTHING, "", row.n, "not measured")
    low, high = words.change_ends(run, row.interval or (None, None))
    changed = formats.percent(words.change(run, row.effect), words.interval_width((low, high)), plus=True)
    if row.interval is None:
        return KnobRow(label, changed, "", row.n, "not resolved: no repeated window to tell the noise from")
    call = row.call if row.call != "not resolved" else _not_resolved(row.interval)
    return KnobRow(label, changed, formats.change_range(low, high), row.n, call)


def _figure_row(run: Run, key: str, base: Sequence[WindowRecord], tested: Sequence[WindowRecord]) -> FigureRow:
    of = run.study.objective.of
    scored = score.FIGURE[run.study.objective.metric] == key
    metric = shown(run, _METRICS[key])
    sides = [[figures for record in side if (figures := _figures(record, of))] for side in (base, tested)]
    (first, first_range), (second, second_range) = (_typical(key, metric, side) for side in sides)
    beside = [_successes_only(key, metric, side) for side in sides]
    first, second = (_at_least(run, key, side, words) for side, words in zip(sides, (first, second), strict=True))
    return FigureRow(
        name=formats.metric(metric),
        beside="; ".join(filter(None, (_floor(run, key), _few_beyond(key, [*sides[0], *sides[1]])))),
        baseline=first,
        baseline_beside="; ".join(filter(None, (first_range, beside[0]))),
        tested=second,
        tested_beside="; ".join(filter(None, (second_range, beside[1]))),
        scored=scored,
    )


def _figures(record: WindowRecord, of: str | None) -> Figures | None:
    return record.metrics if of is None else record.by_request.get(of, record.metrics)


def _typical(key: str, metric: str, found: Sequence[Figures]) -> tuple[str, str]:
    """Return (median, "least to most") over windows; "≥" in front where the percentile reads as the time-out."""
    values = sorted(value for one in found if (value := getattr(one, key)) is not None)
    if not values:
        return formats.NOTHING, ""
    width = values[-1] - values[0]
    censored = any(key.removesuffix("_ms") in one.censored for one in found)
    spread = formats.quantity_range(metric, values[0], values[-1]) if width else ""
    return ("≥ " if censored else "") + formats.quantity(metric, values[len(values) // 2], width), spread


def _floor(run: Run, key: str) -> str:
    floor_ms = run.study.floor_ms.get(key.removesuffix("_ms"))
    return "" if floor_ms is None else f"noise floor of this host {formats.quantity(_METRICS[key], floor_ms)}"


def _few_beyond(key: str, found: Sequence[Figures]) -> str:
    few = any(key.removesuffix("_ms") in one.few_beyond for one in found)
    return f"fewer than {LEAST_BEYOND} requests of a window lie beyond it: a rough figure" if few else ""


def _at_least(run: Run, key: str, found: Sequence[Figures], shown_value: str) -> str:
    """Mark the throughput of a target that had CPU to spare: its clients, not it, may have set the rate.

    The claim of a most that a target can do needs 95 % of its cores in use (facts on load generation, point 10).
    """
    if key != "throughput" or run.study.load.model != "closed" or shown_value == formats.NOTHING:
        return shown_value
    busy = [
        one.cpu_per_request_us * one.completed_per_s / 1e6 / run.study.target.cpus
        for one in found
        if one.cpu_per_request_us is not None and one.completed_per_s is not None
    ]
    return f"≥ {shown_value}" if busy and min(busy) < SATURATED else shown_value


def _successes_only(key: str, metric: str, found: Sequence[Figures]) -> str:
    """Return the same percentile over the successes only, where it is kept."""
    beside = f"success_{key}"
    values = [one for one in found if getattr(one, beside, None) is not None]
    return f"successes only {_typical(beside, metric, values)[0]}" if values else ""
