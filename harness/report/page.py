"""report.html: one page that opens everywhere, without a network and without a script. Puts the pieces together.

Every string of the run is escaped by the template; only the style sheet and the drawn charts go in as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.judge import score
from harness.ledger.record import WindowRecord
from harness.report import (
    charts,
    curves,
    drawing,
    files,
    formats,
    places,
    recommended,
    tables,
    timing,
    why,
    windows,
    words,
)
from harness.report.charts import Interval, Point
from harness.report.confirmations import confirmations
from harness.report.drawing import Spec
from harness.report.read import Run
from harness.search import inert
from harness.window.measurement import Validity

HERE = Path(__file__).parent
STUDY_LENGTH = 200_000
EXPLORING = ("screen", "search", "race")


def write(run: Run) -> None:
    """Write report.html."""
    files.replace(run.folder.path / "report.html", html(run))


def html(run: Run) -> str:
    """Return the page."""
    world = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return world.get_template("page.html.j2").render(_content(run))


def _content(run: Run) -> dict[str, Any]:
    effects = tables.effects(run)
    chosen, told = recommended.variant(run), tables.attribution(run)
    together = tables.singles_together(run)
    return {
        "style": Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        "study": run.study,
        "run": run,
        "call": "unfinished" if run.verdict is None else run.verdict.call,
        "made": datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "metric": formats.metric(run.study.objective.metric, run.study.objective.of),
        "headline": words.headline(run),
        "evidence": words.evidence(run),
        "remarks": words.remarks(run),
        "cores_advice": _cores_of_effects(run, effects),
        "steps": words.next_steps(run, tuple(row.effect for row in effects), told),
        "guards": run.verdict.guards if run.verdict else (),
        "rust": None if chosen is None else recommended.runtime_rs(run, chosen),
        "effects": effects,
        "knob_effects": tables.knob_effects(run, told),
        "together": tables.together_row(run, together),
        "adding_up": tables.adding_up(run, together),
        "interaction": tables.interaction(told),
        "figures": tables.figures(run),
        "settings": places.settings(run),
        "counts": windows.validity_counts(run),
        "reasons": windows.reasons(run),
        "logs": windows.logs(run),
        "windows": windows.windows(run),
        "places": places.places(run),
        "stages": timing.stages(run),
        "timing": timing.timing(run),
        "lost_pairs": _lost_pairs(run),
        "steady": tables.stability_words(run),
        "confirmations": confirmations(run),
        "inert": inert.words(run.history),
        "trade_offs": tables.trade_offs(run),
        "second": tables.second_words(run),
        "rule": words.rule(run),
        "objectives": words.objectives(run),
        "chart": _charts(run, effects),
        "server": _server(run),
        "why": why.why(run),
        "text": run.study.text[:STUDY_LENGTH],
        "fmt": formats,
    }


def _charts(run: Run, effects: Sequence[tables.EffectRow]) -> dict[str, tuple[Markup, Markup] | None]:
    """Return each chart as (for a screen, for a phone), None where there is nothing to draw."""
    metric = formats.metric(run.study.objective.metric, run.study.objective.of)
    better = "left" if run.study.objective.direction == "minimize" else "right"
    axis = f"change of {metric} ({better} is better)"
    points, shown = _points(run), _effect_intervals(run, effects)
    pairs, sides = _pair_intervals(run), _sides(run)
    measured, zone = any(point.value is not None for point in points), run.study.min_effect
    return {
        "windows": _drawn(lambda width: charts.in_order(points, _axis(run), width)) if measured else None,
        "effects": _drawn(lambda width: charts.intervals(shown, axis, width, zone)) if shown else None,
        "pairs": _drawn(lambda width: charts.intervals(pairs, axis, width, zone)) if pairs else None,
        "latency": _drawn(lambda width: charts.latency(sides, width)) if sides else None,
    }


def _drawn(spec: Callable[[int], Spec]) -> tuple[Markup, Markup]:
    return drawing.svg(spec(drawing.WIDE)), drawing.svg(spec(drawing.NARROW))


def _axis(run: Run) -> str:
    name = tables.shown(run, run.study.objective.metric)
    unit = formats.UNITS[name]
    return formats.metric(name, run.study.objective.of) + (f", {unit}" if unit else "")


def _points(run: Run) -> list[Point]:
    tested = None if run.tested is None else run.tested.id
    best = _best_single(run)
    scale = formats.SCALE.get(tables.shown(run, run.study.objective.metric), 1.0)
    points = []
    for record in run.history.windows:
        value = tables.objective(run, record)
        value = None if value is None or record.validity is Validity.FAILED else value * scale
        role = charts.ROLES[3] if record is best else _role(record, tested)
        points.append(Point(record.n, record.phase, role, value, record.validity.usable))
    return points


def _role(record: WindowRecord, tested: str | None) -> str:
    if record.role == "baseline":
        return charts.ROLES[0]
    return charts.ROLES[1] if record.variant == tested else charts.ROLES[2]


def _best_single(run: Run) -> WindowRecord | None:
    """Return the best candidate window of the search, which is selected and therefore no result."""
    rated = [
        (value, record.n, record)
        for record in run.history.windows
        if record.phase in EXPLORING
        and record.role == "candidate"
        and (value := score.y(run.study, record)) is not None
    ]
    return min(rated)[2] if rated else None


def _effect_intervals(run: Run, effects: Sequence[tables.EffectRow]) -> list[Interval]:
    rows = []
    for row in effects:
        if row.effect.effect is not None and row.effect.interval is not None:
            low, high = words.change_ends(run, row.effect.interval)
            rows.append(Interval(row.label, _ratio(words.change(run, row.effect.effect)), _end(low), _end(high)))
    return rows


def _pair_intervals(run: Run) -> list[Interval]:
    rows = []
    for tested, base in run.pairs:
        first, second = tables.objective(run, tested), tables.objective(run, base)
        if first is not None and second:
            rows.append(Interval(f"pair {tested.block + 1}", first / second, None, None))
    last = run.last_look
    if rows and last is not None and last.estimate is not None:
        low, high = words.change_ends(run, last.interval)
        estimate = _ratio(words.change(run, last.estimate))
        rows.append(Interval("all pairs, 90 %", estimate, _end(low), _end(high), summary=True))
    return rows


def _ratio(change: float) -> float:
    return 1 + change


def _end(change: float | None) -> float | None:
    return None if change is None else max(1 + change, 0.0)


def _sides(run: Run) -> dict[str, curves.Percentiles]:
    found = {
        "baseline": curves.percentiles(run, [base for _, base in run.pairs]),
        "tested": curves.percentiles(run, [tested for tested, _ in run.pairs]),
    }
    return {name: side for name, side in found.items() if side is not None}


def _server(run: Run) -> dict[str, Any]:
    """Return the small charts of the server's side of one typical pair, with the numbers of its windows."""
    pair = curves.typical_pair(run)
    if pair is None:
        return {"charts": [], "windows": {}}
    shown = dict(zip(("tested", "baseline"), pair, strict=True))
    told = {
        name: {one.column: one for one in (*curves.client(run, record), *curves.series(run, record))}
        for name, record in shown.items()
    }
    drawn = []
    if not any(column in told[name] for name in told for column in curves.SHOWN):
        return {"charts": [], "windows": {}}
    for column in (*curves.OF_THE_CLIENT, *curves.SHOWN):
        sides = {name: told[name][column] for name in ("baseline", "tested") if column in told[name]}
        if any(value != 0 for one in sides.values() for value in one.values):
            drawn.append(drawing.svg(charts.server(sides, run.study.window.measure_s)))
    return {"charts": drawn, "windows": {name: record.n for name, record in shown.items()}}


def _lost_pairs(run: Run) -> int:
    begun = {record.block for record in run.history.of_phase("confirm")}
    return len(begun - {tested.block for tested, _ in run.pairs})


def _cores_of_effects(run: Run, effects: Sequence[tables.EffectRow]) -> str:
    """Return the caution for a table that has an effect of worker_threads in it."""
    told = any(row.effect.knob == "worker_threads" and row.effect.effect is not None for row in effects)
    return words.found_on(run) if told else ""
