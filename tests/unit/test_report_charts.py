import inspect
import json
import math
import re
from pathlib import Path

import altair as alt
import pytest

from harness.report import charts, drawing
from harness.report.charts import Interval, Point
from harness.report.curves import Percentiles, Series

ROWS = [Interval("a = 1", 0.5, 0.4, 0.6), Interval("b = 2", 1.1, 0.9, 1.3)]
POINTS = [
    Point(1, "calibrate", charts.ROLES[0], 12.0, usable=True),
    Point(2, "calibrate", charts.ROLES[0], 11.0, usable=False),
    Point(3, "screen", charts.ROLES[2], None, usable=False),
    Point(4, "search", charts.ROLES[3], 2.0, usable=True),
]
SIDE = Percentiles((0.1, 0.5, 0.9), (1.0, 2.0, 30.0), (0.9, 1.9), (1.1, 2.2), 1000, 6)


SERIES = Series("cpu", "CPU", "cores", (0.0, 1.0), (0.1, 0.2))
EVERY = {
    "in_order": charts.in_order(POINTS, "p95, ms", drawing.WIDE),
    "intervals": charts.intervals(ROWS, "change of p95", drawing.WIDE, 0.05),
    "latency": charts.latency({"baseline": SIDE, "tested": SIDE}, drawing.WIDE),
    "server": charts.server({"baseline": SERIES, "tested": SERIES}, 7.0),
}


def layers(spec, mark):
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == mark]


def values(spec, layer):
    return spec["datasets"][layer.get("data", spec.get("data"))["name"]]


def test_every_kind_of_chart_is_among_those_that_are_checked():
    made = {name for name, one in vars(charts).items() if inspect.isfunction(one) and one.__module__ == charts.__name__}

    assert {name for name in made if not name.startswith("_")} == EVERY.keys()


@pytest.mark.parametrize("name", EVERY)
def test_a_specification_keeps_to_the_schema_of_vega_lite(name):
    alt.TopLevelSpec.from_dict({key: value for key, value in EVERY[name].items() if key != "config"})


def test_every_effect_is_drawn_with_its_interval():
    spec = charts.intervals(ROWS, "change of p95", drawing.WIDE, 0.05)
    (rule,) = [layer for layer in layers(spec, "rule") if "x2" in layer["encoding"]]

    assert [(row["low"], row["high"]) for row in values(spec, rule)] == [(0.4, 0.6), (0.9, 1.3)]


def test_an_open_end_of_the_summary_reaches_the_edge_and_a_single_pair_has_no_interval():
    rows = [Interval("pair 1", 0.5, None, None), Interval("all", 0.6, None, None, summary=True)]
    spec = charts.intervals(rows, "change", drawing.WIDE, 0.05)
    (rule,) = [layer for layer in layers(spec, "rule") if "x2" in layer["encoding"]]
    domain = rule["encoding"]["x"]["scale"]["domain"]

    pair, summary = values(spec, rule)
    assert (pair["low"], pair["high"]) == (0.5, 0.5)
    assert tuple(domain) == (summary["low"], summary["high"])


def test_the_baseline_stands_in_every_interval_chart():
    spec = charts.intervals(ROWS[:1], "change", drawing.WIDE, 0.05)
    ratios = [row for rule in layers(spec, "rule") for row in values(spec, rule)]

    assert {"ratio": 1} in ratios


def test_an_interval_without_bounds_of_sense_stays_inside_the_chart():
    spec = charts.intervals([Interval("a", 1e9, 0.0, math.inf)], "change", drawing.WIDE, 0.05)

    assert "Infinity" not in json.dumps(spec)


def test_invalid_windows_are_hollow_and_failed_ones_a_cross():
    spec = charts.in_order(POINTS, "p95, ms", drawing.WIDE)
    filled = {layer["transform"][0]["filter"]: layer["mark"]["filled"] for layer in layers(spec, "point")}
    (cross,) = [layer for layer in layers(spec, "text") if layer["mark"].get("text") == "✕"]

    assert filled == {"datum.usable": True, "!datum.usable": False}
    assert values(spec, cross) == [{"n": 3}]


def test_roles_differ_by_shape_as_well_as_by_colour():
    spec = charts.in_order(POINTS, "p95, ms", drawing.WIDE)

    shapes = layers(spec, "point")[0]["encoding"]["shape"]["scale"]["range"]
    assert len(set(shapes)) == len(charts.ROLES)


@pytest.mark.parametrize(("values_of", "kind"), [((10.0, 12.0), None), ((2.0, 90.0), "log"), ((0.0, 90.0), None)])
def test_the_axis_is_logarithmic_where_values_lie_far_apart(values_of, kind):
    points = [Point(n, "search", charts.ROLES[0], value, usable=True) for n, value in enumerate(values_of, start=1)]
    spec = charts.in_order(points, "p95, ms", drawing.WIDE)

    assert kind == layers(spec, "point")[0]["encoding"]["y"]["scale"].get("type")


def test_axes_carry_their_units():
    spec = charts.in_order(POINTS, "p95, ms", drawing.WIDE)

    assert layers(spec, "point")[0]["encoding"]["y"]["title"] == "p95, ms"


def test_latency_lines_differ_by_dash_and_have_the_range_of_windows():
    spec = charts.latency({"baseline": SIDE, "tested": SIDE}, drawing.WIDE)
    (line,), (area,) = layers(spec, "line"), layers(spec, "area")

    assert line["encoding"]["strokeDash"]["scale"]["range"] == [[5, 3], [1, 0]]
    assert len(values(spec, area)) == 4


def test_one_side_alone_can_be_drawn():
    assert "<svg" in drawing.svg(charts.server({"tested": SERIES}, 7.0))
    assert "<svg" in drawing.svg(charts.latency({"baseline": SIDE}, drawing.NARROW))


def test_a_drawing_scales_has_no_ids_that_could_meet_others_and_escapes_its_labels():
    drawn = drawing.svg(charts.intervals([Interval("<script>x</script>", 0.5, 0.4, 0.6)], "change", drawing.WIDE, 0.05))

    assert re.match(r"<svg [^>]*viewBox=", drawn)
    assert [mark for mark in ("<script", " id=", "url(#") if mark in drawn] == []


def test_every_colour_of_the_charts_is_exchanged_in_the_dark_scheme():
    css = Path(drawing.__file__).with_name("page.css").read_text()
    colours = {drawing.INK, drawing.MUTED, drawing.GRID, drawing.BAND, drawing.BASELINE, drawing.TESTED, drawing.OTHER}

    assert {colour for colour in colours if f'[fill="{colour}"]' not in css} == set()
