"""The charts: pure functions from records to Vega-Lite specifications.

A chart tells its marks apart by shape or dash as well as by colour, so that it survives a grey print, and never draws
an effect without its interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt

from harness.report.curves import Percentiles, Series
from harness.report.drawing import (
    BAND,
    BASELINE,
    GRID,
    INK,
    MUTED,
    OTHER,
    SMALL,
    TESTED,
    WIDE,
    Spec,
    finished,
    layer_of,
)

ROLES = ("baseline", "tested variant", "other variant", "best single window of the search: selected, biased")
COLOURS = (BASELINE, TESTED, OTHER, OTHER)
SHAPES = ("circle", "diamond", "triangle-up", "cross")

LOG_FROM = 5.0
"""Largest over smallest value from which an axis is logarithmic."""

MOST_RANGE = 1e9
"""Largest over smallest value that an axis shows; what lies below stands at its end."""

RATIOS = "1 .5 2 .2 5 .1 10 .7 1.5 .05 20 .9 1.1 .3 3 .8 1.2 .01 100 .95 1.05 .98 1.02"
"""Where an axis of ratios may have a label, the most wanted first."""

PERCENTILES = (0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)
HEIGHT = 300


@dataclass(frozen=True)
class Point:
    """One window of the run chart. `value` is None where nothing was measured; `usable` false draws it hollow."""

    n: int
    phase: str
    role: str
    value: float | None
    usable: bool


@dataclass(frozen=True)
class Interval:
    """One line of an interval chart, as ratios to the baseline.

    `summary` marks the line that sums up the others. An end that is None is open; a single pair has no interval.
    """

    label: str
    ratio: float
    low: float | None
    high: float | None
    summary: bool = False


def in_order(points: Sequence[Point], title: str, width: int) -> Spec:
    """Return the chart of all windows in order by phase; `title` names the objective with its unit."""
    measured = [asdict(point) for point in points if point.value is not None]
    lost = [{"n": point.n} for point in points if point.value is None]
    values = [point.value for point in points if point.value is not None]
    x, y = _window_axis(len(points), width), _value_axis("value:Q", title, values)
    shape = alt.Shape("role:N", legend=None, scale=alt.Scale(domain=ROLES, range=SHAPES))
    colour = alt.Color("role:N", legend=None, scale=alt.Scale(domain=ROLES, range=COLOURS))
    base = layer_of(measured).encode(x=x, y=y, shape=shape, color=colour)
    usable = base.transform_filter("datum.usable").mark_point(filled=True, size=55, opacity=1)
    hollow = base.transform_filter("!datum.usable").mark_point(filled=False, size=55, opacity=1)
    failed = layer_of(lost).mark_text(text="✕", fontSize=12, color=INK).encode(x=x, y=alt.value(HEIGHT - 8))
    chart = alt.layer(*_phases(points), usable, hollow, failed)
    return finished(chart.properties(width=width, height=HEIGHT), above=26)


def intervals(rows: Sequence[Interval], title: str, width: int, zone: float) -> Spec:
    """Return one line a row: its ratio to the baseline with its interval, on a logarithmic axis of relative changes.

    `zone` shades the relative changes that the study calls none (its min_effect).
    """
    domain = _around_one([end for row in rows for end in (row.low, row.high, row.ratio) if end is not None])
    scale = alt.Scale(type="log", domain=list(domain), nice=False)
    x = alt.X("ratio:Q", title=title, scale=scale, axis=_change_axis(domain, 8 if width >= WIDE else 4))
    # A phone has no room for "knob = level" in one line.
    lines = (
        alt.Axis(labelLimit=260) if width >= WIDE else alt.Axis(labelLimit=125, labelExpr="split(datum.label, ' = ')")
    )
    base = layer_of([_interval_row(row, domain) for row in rows]).encode(
        y=alt.Y("label:N", sort=None, title=None, axis=lines)
    )
    rule = base.mark_rule(color=INK, strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    sums = [False, True]
    points = base.mark_point(filled=True, opacity=1, size=70).encode(
        x=x,
        shape=alt.Shape("summary:N", legend=None, scale=alt.Scale(domain=sums, range=["circle", "diamond"])),
        color=alt.Color("summary:N", legend=None, scale=alt.Scale(domain=sums, range=[BASELINE, TESTED])),
    )
    none = layer_of([{"from": max(1 - zone, domain[0]), "to": min(1 + zone, domain[1])}]).mark_rect(
        color=GRID, opacity=0.6
    )
    same = layer_of([{"ratio": 1}]).mark_rule(color=MUTED, strokeDash=[4, 3]).encode(x="ratio:Q")
    chart = alt.layer(none.encode(x="from:Q", x2="to:Q"), same, rule, points)
    step = 32 if len(rows) <= 12 else 16  # noqa: PLR2004 - many pairs stand closer
    return finished(chart.properties(width=width, height=alt.Step(step)))


def latency(sides: Mapping[str, Percentiles], width: int) -> Spec:
    """Return latency by percentile, each side's pooled line with the range of its single windows, tail stretched."""
    lines = [
        {"side": name, "nines": _nines(q), "ms": ms}
        for name, side in sides.items()
        for q, ms in zip(side.quantile, side.ms, strict=True)
    ]
    ranges = [
        {"side": name, "nines": _nines(q), "low": low, "high": high}
        for name, side in sides.items()
        for q, low, high in zip(side.quantile, side.low_ms, side.high_ms, strict=False)
    ]
    deepest = max(_nines(side.quantile[-1]) for side in sides.values())
    x = _percentile_axis(deepest, PERCENTILES if width >= WIDE else PERCENTILES[1:])
    highest = [value for side in sides.values() for value in (*side.ms, *side.high_ms)]
    y = _value_axis("ms:Q", "latency, ms", highest)
    colour, dash = _side_channels([*sides])
    line = layer_of(lines).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash)
    band = layer_of(ranges).mark_area(opacity=0.18).encode(x=x, y="low:Q", y2="high:Q", color=colour)
    return finished(alt.layer(line, band).properties(width=width, height=HEIGHT))


def server(sides: Mapping[str, Series], measure_s: float) -> Spec:
    """Return one figure of the server or of the client over one window of each side; all share one axis of time."""
    rows = [
        {"side": name, "t": t, "value": value}
        for name, one in sides.items()
        for t, value in zip(one.t_s, one.values, strict=True)
    ]
    first = next(iter(sides.values()))
    colour, dash = _side_channels([*sides])
    chart = (
        layer_of(rows)
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("t:Q", title="s since t0", axis=alt.Axis(tickCount=5), scale=alt.Scale(domain=[0, measure_s])),
            y=alt.Y("value:Q", title=first.unit, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=4)),
            color=colour,
            strokeDash=dash,
        )
    )
    return finished(chart.properties(width=SMALL, height=110, title=first.title))


def _phases(points: Sequence[Point]) -> list[alt.Chart]:
    """Return a band for each second phase, and the names of all above the plot, on two heights so that none meet."""
    stretches: list[dict[str, Any]] = []
    for point in points:
        if stretches and stretches[-1]["phase"] == point.phase:
            stretches[-1]["to"] = point.n + 0.5
        else:
            stretches.append({"phase": point.phase, "from": point.n - 0.5, "to": point.n + 0.5})
    named = [{**one, "middle": (one["from"] + one["to"]) / 2} for one in stretches]
    bands = layer_of(named[1::2]).mark_rect(color=BAND, opacity=0.7).encode(x="from:Q", x2="to:Q")
    names = [
        layer_of(named[odd::2])
        .mark_text(baseline="top", fontSize=11, color=MUTED)
        .encode(x="middle:Q", text="phase:N", y=alt.value(-28 + 13 * odd))
        for odd in (0, 1)
    ]
    return [bands, *names]


def _window_axis(windows: int, width: int) -> alt.X:
    room = 25 if width >= WIDE else 70
    every = max(1, math.ceil(windows * room / width))
    ticks = [1, *range(2 if every == 1 else 2 * every, windows + 1, every)]
    scale = alt.Scale(domain=[0.5, windows + 0.5], nice=False)
    return alt.X("n:Q", title="window", scale=scale, axis=alt.Axis(values=ticks, format="d", grid=False))


def _value_axis(field: str, title: str, values: Sequence[float]) -> alt.Y:
    """Return an axis from 0, or a logarithmic one with labels at 1, 2, 5, 10 ... where the values lie far apart."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low <= 0 or high / low < LOG_FROM:
        return alt.Y(field, title=title, scale=alt.Scale(zero=True, nice=True), axis=alt.Axis(tickCount=6))
    low = max(low, high / MOST_RANGE)
    steps = (1, 2, 5) if high / low < 1000 else (1,)  # noqa: PLR2004 - three decades have room for them
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    bottom = max([tick for tick in ticks if tick <= low], default=low)
    top = min([tick for tick in ticks if tick >= high], default=high)
    scale = alt.Scale(type="log", domain=[bottom, top], nice=False, clamp=True)
    shown = [tick for tick in ticks if bottom <= tick <= top]
    return alt.Y(field, title=title, scale=scale, axis=alt.Axis(values=shown, format=",.3~r"))


def _percentile_axis(deepest: float, percentiles: Sequence[float]) -> alt.X:
    """Return an axis of nines (-log10 of what lies beyond) whose labels are percentiles."""
    ticks = [_nines(q) for q in percentiles if _nines(q) <= deepest + 1e-9]
    words = "format(100 * (1 - pow(10, -datum.value)), '.5~r')"
    scale = alt.Scale(domain=[_nines(PERCENTILES[0]), deepest], nice=False)
    return alt.X("nines:Q", title="percentile", scale=scale, axis=alt.Axis(values=ticks, labelExpr=words))


def _nines(quantile: float) -> float:
    return -math.log10(1 - quantile)


def _side_channels(sides: Sequence[str]) -> tuple[alt.Color, alt.StrokeDash]:
    """Return colour and dash of the lines of baseline and tested variant."""
    looks = {"baseline": (BASELINE, [5, 3]), "tested": (TESTED, [1, 0])}
    colours = alt.Scale(domain=list(sides), range=[looks[side][0] for side in sides])
    dashes = alt.Scale(domain=list(sides), range=[looks[side][1] for side in sides])
    return alt.Color("side:N", legend=None, scale=colours), alt.StrokeDash("side:N", legend=None, scale=dashes)


def _around_one(ends: Sequence[float]) -> tuple[float, float]:
    """Return a domain that holds every end and 1, with a little room, bounded to a factor of 1,000."""
    low, high = max(min([*ends, 0.97]), 1e-3), min(max([*ends, 1.03]), 1e3)
    room = (high / low) ** 0.06
    return low / room, high * room


def _interval_row(row: Interval, domain: tuple[float, float]) -> dict[str, Any]:
    """Return the data of one line, inside the chart; an open end reaches its edge."""

    def inside(ratio: float) -> float:
        return min(max(ratio, domain[0]), domain[1])

    single = row.low is None and row.high is None and not row.summary
    low, high = (row.ratio, row.ratio) if single else (row.low or domain[0], row.high or domain[1])
    return {
        "label": row.label,
        "ratio": inside(row.ratio),
        "low": inside(low),
        "high": inside(high),
        "summary": row.summary,
    }


def _change_axis(domain: tuple[float, float], most: int) -> alt.Axis:
    """Return an axis of ratios whose labels are relative changes (0.5 reads "-50 %"), about `most` of them."""
    gap = math.log(domain[1] / domain[0]) / most
    shown: list[float] = []
    for ratio in map(float, RATIOS.split()):
        if domain[0] <= ratio <= domain[1] and all(abs(math.log(ratio / other)) >= gap for other in shown):
            shown.append(ratio)
    words = "datum.value == 1 ? '0' : format(100 * (datum.value - 1), '+,.3~r') + ' %'"
    return alt.Axis(values=sorted(shown), labelExpr=words)
