"""The charts: pure functions from records to Vega-Lite specifications, and the one function that draws them as SVG.

A chart tells its marks apart by shape or dash as well as by colour, so that it survives a grey print, and never draws an
effect without its interval. The colours stand in the SVG as they are here; page.css exchanges them for the dark scheme.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from harness.report.curves import Percentiles, Series

INK, MUTED, GRID, BAND = "#1c2126", "#5b6570", "#dfe3e8", "#f1f3f5"
BASELINE, TESTED, OTHER = "#1f4e8c", "#d9741a", "#8f99a3"
WIDE, NARROW, SMALL = 900, 328, 290
"""Widths in pixels of a whole chart: on a screen, on a phone, of one of the small charts side by side."""

ROLES = ("baseline", "tested", "other variant", "best single window (selected, biased)")
_COLOURS = (BASELINE, TESTED, OTHER, OTHER)
_SHAPES = ("circle", "diamond", "triangle-up", "cross")
LOG_FROM = 5.0
"""Largest over smallest value from which an axis is logarithmic."""

Spec = dict[str, Any]


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
    """One line of an interval chart, as ratios to the baseline. `low` and `high` None: no interval, or an open end."""

    label: str
    ratio: float
    low: float | None
    high: float | None
    summary: bool = False


def in_order(points: Sequence[Point], axis: str, width: int) -> Spec:
    """Return the chart of all windows in order by phase."""
    values = [point.value for point in points if point.value is not None]
    rows = [
        {
            "n": p.n,
            "role": p.role,
            "usable": p.usable,
            "value": p.value if p.value is not None else min(values, default=1),
        }
        for p in points
    ]
    measured = [row for row, point in zip(rows, points, strict=True) if point.value is not None]
    lost = [row for row, point in zip(rows, points, strict=True) if point.value is None]
    x = alt.X("n:Q", title="window", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(domain=[0.5, len(points) + 0.5]))
    y = alt.Y("value:Q", title=axis, scale=_scale(values), axis=alt.Axis(tickCount=6))
    shape = alt.Shape("role:N", legend=None, scale=alt.Scale(domain=ROLES, range=_SHAPES))
    colour = alt.Color("role:N", legend=None, scale=alt.Scale(domain=ROLES, range=_COLOURS))
    base = alt.Chart(alt.Data(values=measured)).encode(x=x, y=y, shape=shape, color=colour)
    usable = base.transform_filter("datum.usable").mark_point(filled=True, size=55, opacity=1)
    hollow = base.transform_filter("!datum.usable").mark_point(filled=False, size=55, opacity=1)
    failed = alt.Chart(alt.Data(values=lost)).mark_text(text="✕", fontSize=12, color=INK).encode(x=x, y=y)
    layers = [*_phase_bands(points), usable, hollow, failed]
    return _finished(alt.layer(*layers).properties(width=width, height=300))


def intervals(rows: Sequence[Interval], axis: str, width: int, zone: float | None = None) -> Spec:
    """Return one line a row: its ratio to the baseline with its interval, on a logarithmic axis of relative changes.

    `zone` shades the changes that the study calls none (its min_effect).
    """
    ends = [end for row in rows for end in (row.low, row.high, row.ratio) if end is not None]
    domain = _around_one(ends)
    data = [_interval_row(row, at, domain) for at, row in enumerate(rows)]
    x = alt.X("ratio:Q", title=axis, scale=alt.Scale(type="log", domain=list(domain)), axis=_change_axis(domain))
    order = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=220 if width >= WIDE else 120))
    base = alt.Chart(alt.Data(values=data)).encode(y=order)
    rule = base.mark_rule(color=INK, strokeWidth=2).encode(x=alt.X("low:Q", scale=x["scale"]), x2="high:Q")
    points = base.mark_point(filled=True, opacity=1, size=70).encode(
        x=x,
        shape=alt.Shape("summary:N", scale=alt.Scale(domain=[False, True], range=["circle", "diamond"]), legend=None),
        color=alt.Color("summary:N", scale=alt.Scale(domain=[False, True], range=[BASELINE, TESTED]), legend=None),
    )
    one = alt.Chart(alt.Data(values=[{"ratio": 1}])).mark_rule(color=MUTED, strokeDash=[4, 3]).encode(x="ratio:Q")
    layers = [*_zone(zone), one, rule, points]
    step = 26 if len(rows) <= 12 else 15  # noqa: PLR2004 - many pairs stand closer
    return _finished(alt.layer(*layers).properties(width=width, height=alt.Step(step)))


def latency(sides: Mapping[str, Percentiles], width: int) -> Spec:
    """Return latency by percentile, each side's pooled line with the range of its single windows, tail stretched."""
    data = [
        {"side": name, "nines": -math.log10(1 - q), "ms": ms, "low": low, "high": high}
        for name, side in sides.items()
        for q, ms, low, high in zip(side.quantile, side.ms, side.low_ms, side.high_ms, strict=True)
    ]
    ticks = [0.04576, 0.30103, 1, 1.30103, 2, 3, 4, 5]
    deepest = max(row["nines"] for row in data)
    words = "{'0.04576':'10','0.30103':'50','1':'90','1.30103':'95','2':'99','3':'99.9','4':'99.99','5':'99.999'}"
    x = alt.X(
        "nines:Q",
        title="percentile (%)",
        scale=alt.Scale(domain=[ticks[0], deepest], nice=False),
        axis=alt.Axis(values=[tick for tick in ticks if tick <= deepest], labelExpr=f"{words}[''+datum.value]"),
    )
    y = alt.Y("ms:Q", title="latency (ms), from the intended send", scale=_scale([row["ms"] for row in data]))
    colour, dash = _side_channels([*sides])
    base = alt.Chart(alt.Data(values=data))
    band = base.mark_area(opacity=0.18).encode(x=x, y=alt.Y("low:Q", scale=y["scale"]), y2="high:Q", color=colour)
    line = base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash)
    return _finished(alt.layer(band, line).properties(width=width, height=280))


def server(sides: Mapping[str, Series]) -> Spec:
    """Return one figure of the server over one window of each side."""
    data = [
        {"side": name, "t": t, "value": value}
        for name, one in sides.items()
        for t, value in zip(one.t_s, one.values, strict=True)
    ]
    first = next(iter(sides.values()))
    colour, dash = _side_channels([*sides])
    chart = (
        alt.Chart(alt.Data(values=data), title=first.title)
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("t:Q", title="s since t0", axis=alt.Axis(tickCount=5)),
            y=alt.Y("value:Q", title=first.unit, scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=4)),
            color=colour,
            strokeDash=dash,
        )
    )
    return _finished(chart.properties(width=SMALL, height=110))


def svg(spec: Spec) -> Markup:
    """Return the chart drawn as an SVG element that scales with the page; all text in it is escaped by the renderer."""
    drawn = vl_convert.vegalite_to_svg(spec)
    head, rest = drawn.split(">", 1)
    width = re.search(r' width="([\d.]+)"', head)
    head = re.sub(r' (?:width|height|class|version|xmlns:xlink)="[^"]*"', "", head)
    style = f'style="max-width:{width.group(1)}px"' if width else ""
    return Markup(f"{head} {style}>{rest}")  # noqa: S704 - made by the renderer, which escapes the strings of the run


def _phase_bands(points: Sequence[Point]) -> list[alt.Chart]:
    """Return a band and a name for each stretch of windows of one phase, names on two heights so that they do not meet."""
    bands: list[dict[str, Any]] = []
    for point in points:
        if bands and bands[-1]["phase"] == point.phase:
            bands[-1]["to"] = point.n + 0.5
        else:
            bands.append({"phase": point.phase, "from": point.n - 0.5, "to": point.n + 0.5, "odd": len(bands) % 2})
    for band in bands:
        band["middle"] = (band["from"] + band["to"]) / 2
    shaded = [band for band in bands if band["odd"]]
    area = alt.Chart(alt.Data(values=shaded)).mark_rect(color=BAND).encode(x="from:Q", x2="to:Q")
    names = [
        alt.Chart(alt.Data(values=[band for band in bands if band["odd"] == odd]))
        .mark_text(baseline="top", fontSize=11, color=MUTED)
        .encode(x="middle:Q", text="phase:N", y=alt.value(4 + 13 * odd))
        for odd in (0, 1)
    ]
    return [area, *names]


def _side_channels(sides: Sequence[str]) -> tuple[alt.Color, alt.StrokeDash]:
    """Return colour and dash of the lines of baseline and tested variant."""
    looks = {"baseline": (BASELINE, [5, 3]), "tested": (TESTED, [1, 0])}
    colours = alt.Scale(domain=sides, range=[looks[side][0] for side in sides])
    dashes = alt.Scale(domain=sides, range=[looks[side][1] for side in sides])
    return alt.Color("side:N", legend=None, scale=colours), alt.StrokeDash("side:N", legend=None, scale=dashes)


def _scale(values: Sequence[float]) -> alt.Scale:
    positive = [value for value in values if value > 0]
    wide = positive and min(values) > 0 and max(positive) / min(positive) >= LOG_FROM
    return alt.Scale(type="log", nice=True) if wide else alt.Scale(zero=True, nice=True)


def _around_one(ends: Sequence[float]) -> tuple[float, float]:
    """Return a domain that holds every end and 1, with a little room, bounded to a factor of 1,000."""
    low, high = min([*ends, 0.97]), max([*ends, 1.03])
    room = (high / max(low, 1e-3)) ** 0.06
    return max(low / room, 1e-3), min(high * room, 1e3)


def _interval_row(row: Interval, at: int, domain: tuple[float, float]) -> dict[str, Any]:
    """Return the data of one line; an open end reaches the edge of the chart."""
    low = domain[0] if row.low is None else max(row.low, domain[0])
    high = domain[1] if row.high is None else min(row.high, domain[1])
    single = row.low is None and row.high is None
    return {
        "label": row.label,
        "at": at,
        "ratio": min(max(row.ratio, domain[0]), domain[1]),
        "low": row.ratio if single else low,
        "high": row.ratio if single else high,
        "summary": row.summary,
    }


def _change_axis(domain: tuple[float, float]) -> alt.Axis:
    """Return an axis of ratios whose labels are relative changes: 0.5 reads "−50 %"."""
    steps = [1e-3, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5, 10, 30, 100, 1e3]
    fine = [0.9, 0.95, 0.98, 1, 1.02, 1.05, 1.1, 1.15]
    near = domain[0] > 0.8 and domain[1] < 1.25  # noqa: PLR2004 - small effects want small steps
    shown = [step for step in (fine if near else steps) if domain[0] <= step <= domain[1]]
    return alt.Axis(
        values=shown, labelExpr="datum.value == 1 ? '0' : format(datum.value - 1, '+.0%')", labelOverlap=True
    )


def _zone(zone: float | None) -> list[alt.Chart]:
    if not zone:
        return []
    data = alt.Data(values=[{"from": 1 - zone, "to": 1 + zone}])
    return [alt.Chart(data).mark_rect(color=GRID, opacity=0.6).encode(x="from:Q", x2="to:Q")]


def _finished(chart: alt.TopLevelMixin) -> Spec:
    """Return the specification with the look that all charts share: the width is that of all of it, legends are the page's."""
    axis = {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "gridColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    spec: Spec = chart.to_dict()
    spec["config"] = {
        "aria": False,
        "background": None,
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": axis,
        "title": {"color": INK, "fontSize": 13, "fontWeight": 600, "anchor": "start"},
    }
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec.pop("$schema", None)
    return spec
