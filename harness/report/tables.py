"""The rows of the report's tables, each value already in words. Pure functions of the run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness import variant as variants
from harness.judge import effects as judge_effects
from harness.judge import score
from harness.judge.effects import Effect
from harness.ledger.record import History, WindowRecord
from harness.report import formats, words
from harness.report.read import Run, level_words
from harness.study import knobs
from harness.window.measurement import Figures, Validity

LOGS_SHOWN = 5
LOG_LENGTH = 4000


@dataclass(frozen=True)
class EffectRow:
    """One level against the baseline, in words, beside the effect itself (as gains)."""

    label: str
    change: str
    interval: str
    call: str
    effect: Effect


@dataclass(frozen=True)
class FigureRow:
    """One figure of both sides of the confirmation; `spread` is the range over the windows."""

    name: str
    baseline: str
    baseline_spread: str
    tested: str
    tested_spread: str
    scored: bool


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


@dataclass(frozen=True)
class KnobRow:
    """One setting of baseline and tested variant, and how it is known to have been in force."""

    name: str
    baseline: str
    tested: str
    known: str
    about: str


def effects(run: Run) -> tuple[EffectRow, ...]:
    """Return the one-variable-at-a-time levels with their effects, for as far as they were measured."""
    return tuple(_effect_row(run, effect) for effect in judge_effects.screen(run.study, _with_ids_of_today(run)))


def figures(run: Run) -> tuple[FigureRow, ...]:
    """Return the figures of the confirmation windows; of all usable baseline windows where there is no pair."""
    tested = [candidate for candidate, _ in run.pairs]
    base = [baseline for _, baseline in run.pairs] or [
        record for record in run.history.windows if record.role == "baseline" and record.validity.usable
    ]
    rows = [_figure_row(run, key, base, tested) for key in _ROWS]
    return tuple(row for row in rows if row.baseline != "–" or row.tested != "–")


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
            words=formats.bounded(found[0][1], 400),
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


def settings(run: Run) -> tuple[KnobRow, ...]:
    """Return every searched knob with its value on both sides and whether the running service told it."""
    tested = run.tested
    told = _told(run)
    return tuple(
        KnobRow(
            name=knob.name,
            baseline=_value(run, run.baseline.values, knob.name),
            tested="–" if tested is None else _value(run, tested.values, knob.name),
            known="read back from the service" if knob.name in told else "as rendered: Tokio cannot be asked",
            about=run.about.get(knob.name, ""),
        )
        for knob in run.study.knobs
    )


def places(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what ran where, as (what, value)."""
    host, target, times, load = run.host, run.study.target, run.study.window, run.study.load
    offered = f"{load.rate:g} requests/s, {load.arrivals}" if load.rate is not None else "as fast as answers come"
    rows = [
        ("machine", f"{host.get('cpu_model') or 'unknown CPU'}, {host.get('cores')} cores, {_memory(host)}"),
        ("system", f"{host.get('os') or 'Linux'}, kernel {host.get('kernel')}, cgroup {host.get('cgroup')}"),
        (
            "clock",
            f"{host.get('clocksource') or 'unknown'}; governor {host.get('governor') or 'not told by this host'}",
        ),
        ("virtual machine", {True: "yes", False: "no"}.get(bool(host.get("virtual")), "no")),
        ("cores", ", ".join(f"{role} {_cores(run.cores.get(role))}" for role in ("target", "generator", "harness"))),
        ("backend", run.backend),
        ("target", f"{target.name}, {target.cpus} cores, memory {formats.size(target.memory_bytes)}"),
        ("settings", ", ".join(f"{name} = {level_words(value)}" for name, value in target.settings.items()) or "none"),
        ("load", f"{load.model} model, {offered}, {load.connections} connections, time-out {load.timeout_s:g} s"),
        ("requests", ", ".join(run.requests) or "–"),
        ("window", f"{times.warmup_s:g} s warm-up, {times.measure_s:g} s measured, up to {times.drain_s:g} s drain"),
        ("versions", ", ".join(f"{name} {version}" for name, version in run.versions.items() if version)),
        ("commit", run.commit or "none"),
        ("run", run.id),
    ]
    return tuple((name, formats.bounded(value, 600)) for name, value in rows)


def objective(run: Run, record: WindowRecord) -> float | None:
    """Return the objective's value in one window, in the metric's own unit."""
    return score.objective_value(run.study, record.metrics, record.by_request)


def shown(run: Run, metric: str) -> str:
    """Return the name under which `formats` shows a metric: throughput is a share under open load."""
    return "answered" if metric == "throughput" and run.study.load.model == "open" else metric


_ROWS = (
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "p999_ms",
    "success_p50_ms",
    "success_p95_ms",
    "success_p99_ms",
    "throughput",
    "error_ratio",
    "cpu_per_request_us",
    "peak_rss_bytes",
    "threads",
)

_METRICS = {field: metric for metric, field in score.FIGURE.items()}


def _with_ids_of_today(run: Run) -> History:
    """Return the ledger with variant ids as this version makes them, so that runs of older ones keep their effects."""
    renamed = tuple(
        record.model_copy(update={"variant": variants.of(run.study, _whole(run, record.values)).id})
        for record in run.history.windows
        if record.phase in {"calibrate", "screen"}
    )
    return History(windows=renamed)


def _whole(run: Run, values: Mapping[str, object]) -> dict[str, variants.Level]:
    """Return `values` with what they leave unset beside the baseline named so."""
    return {**dict.fromkeys(run.baseline.values, "unset"), **values}  # type: ignore[dict-item]  # levels of the ledger


def _effect_row(run: Run, effect: Effect) -> EffectRow:
    label = f"{effect.knob} = {level_words(effect.level)}"
    if effect.effect is None:
        return EffectRow(label, "–", "–", effect.words, effect)
    low, high = words.change_ends(run, effect.interval or (None, None))
    width = words.interval_width((low, high))
    changed = formats.percent(words.change(run, effect.effect), width, plus=True)
    interval = "–" if effect.interval is None else formats.change_range(low, high)
    return EffectRow(label, changed, interval, _call(effect), effect)


def _call(effect: Effect) -> str:
    """Return the call with the size that an unresolved effect stays below."""
    if effect.call != "not resolved" or effect.interval is None:
        return effect.words
    largest = max(abs(end) for end in effect.interval)
    return f"not resolved (smaller than {formats.percent(largest)})" if math.isfinite(largest) else "not resolved"


def _figure_row(run: Run, key: str, base: Sequence[WindowRecord], tested: Sequence[WindowRecord]) -> FigureRow:
    of = run.study.objective.of
    scored = score.FIGURE[run.study.objective.metric] == key
    metric = shown(run, _METRICS.get(key, "p50"))
    first, first_spread = _typical(key, metric, [_figures(record, of) for record in base])
    second, second_spread = _typical(key, metric, [_figures(record, of) for record in tested])
    return FigureRow(_figure_name(key, metric), first, first_spread, second, second_spread, scored)


def _figures(record: WindowRecord, of: str | None) -> Figures | None:
    return record.metrics if of is None else record.by_request.get(of, record.metrics)


def _typical(key: str, metric: str, found: Sequence[Figures | None]) -> tuple[str, str]:
    """Return (median, "least to most") over windows; "≥" in front where the percentile reads as the time-out."""
    values = sorted(value for one in found if one is not None and (value := getattr(one, key)) is not None)
    if not values:
        return "–", ""
    median, width = values[len(values) // 2], values[-1] - values[0]
    name = key.removesuffix("_ms")
    censored = any(name in one.censored for one in found if one is not None)
    spread = f"{formats.quantity(metric, values[0], width)} to {formats.quantity(metric, values[-1], width)}"
    return ("≥ " if censored else "") + formats.quantity(metric, median, width), spread if width else ""


def _figure_name(key: str, metric: str) -> str:
    if key.startswith("success_"):
        return f"{key.removeprefix('success_').removesuffix('_ms')}, successes only"
    return formats.metric(metric)


def _window_row(run: Run, record: WindowRecord) -> WindowRow:
    host = record.host
    return WindowRow(
        n=record.n,
        phase=record.phase,
        variant=run.label(record),
        validity=record.validity.value,
        objective=formats.quantity(shown(run, run.study.objective.metric), objective(run, record)),
        lateness="–" if host.lateness_p99_ms is None else f"{host.lateness_p99_ms:.2f} ms",
        generator_cpu="–" if host.generator_cpu is None else formats.percent(host.generator_cpu),
        reasons=formats.bounded("; ".join(record.reasons), 400),
    )


def _told(run: Run) -> frozenset[str]:
    """Return the knobs that `/runtime` reported in the last window that it answered in."""
    answers = [record.in_force for record in run.history.windows if record.in_force]
    if not answers:
        return frozenset()
    last = answers[-1]
    options = last.get("options")
    named = set(options) if isinstance(options, Mapping) else set()
    reported = {"flavor": "flavor", "workers": "worker_threads"}
    return frozenset(named | {knob for key, knob in reported.items() if key in last})


def _value(run: Run, values: Mapping[str, variants.Level], name: str) -> str:
    """Return a knob's value; one that is not set reads as what Tokio makes of it."""
    if name in values:
        return level_words(values[name])
    runtime = {key: level for key, level in values.items() if key in knobs.TABLE}
    fallback = run.resolved.get(name) if values is run.baseline.values else None
    resolved = fallback or knobs.resolved(runtime, run.study.target.cpus).get(name)
    return "unset" if resolved is None else f"unset ({level_words(resolved)})"


def _memory(host: Mapping[str, object]) -> str:
    size = host.get("memory_bytes")
    return f"{formats.size(size)} memory" if isinstance(size, int) else "unknown memory"


def _cores(group: object) -> str:
    return ",".join(str(core) for core in group) if isinstance(group, list | tuple) else "–"
