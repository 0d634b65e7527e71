"""How every chart looks, and the one function that draws a specification as SVG. Knows Vega, and no record of a run.

The colours stand in the SVG as they are here; page.css exchanges them for the dark scheme.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

INK, MUTED, GRID, BAND = "#1c2126", "#5b6570", "#dfe3e8", "#f1f3f5"
BASELINE, TESTED, OTHER = "#1f4e8c", "#d9741a", "#8f99a3"
WIDE, NARROW, SMALL = 900, 328, 290
"""Widths in pixels of a whole chart: on a screen, on a phone, of one of the small charts side by side."""

Spec = dict[str, Any]


def layer_of(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart of `rows`, which stand in the specification as they are."""
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]))


def finished(chart: alt.TopLevelMixin, above: int = 0) -> Spec:
    """Return the specification with the look that all charts share: its width is that of the whole, with no legend."""
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
    # Altair would check each node against its schema, a quarter of a page's time; a test does that for every chart.
    spec: Spec = chart.to_dict(validate=False)
    spec["config"] = {
        "aria": False,
        "background": None,
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": axis,
        "title": {"color": INK, "fontSize": 13, "fontWeight": 600, "anchor": "start"},
    }
    # The reader's font may be wider than the renderer's: room for it at the sides; `above` is for names there.
    spec["padding"] = {"left": 12, "right": 14, "top": 6 + above, "bottom": 6}
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    spec.pop("$schema", None)
    return spec


def svg(spec: Spec) -> Markup:
    """Return the chart drawn as an SVG element that scales with the page; all text in it is escaped by the renderer."""
    drawn = vl_convert.vegalite_to_svg(spec)
    head, rest = drawn.split(">", 1)
    width = re.search(r' width="([\d.]+)"', head)
    head = re.sub(r' (?:width|height|class|version|xmlns:xlink)="[^"]*"', "", head)
    style = f'style="max-width:{width.group(1)}px"' if width else ""
    return Markup(f"{head} {style}>{rest}")  # noqa: S704 - made by the renderer, which escapes the strings of the run
