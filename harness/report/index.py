"""index.html: all runs of one results folder, study by study, with their verdicts and the trend of their gains.

Reads nothing but each run's summary.json, so that hundreds of nights are listed in a moment; never changes a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.errors import StudyError
from harness.ledger import folder as folders
from harness.ledger.folder import RunFolder
from harness.report import charts, drawing, files, formats, words
from harness.report.charts import Interval
from harness.study.model import Objective

HERE = Path(__file__).parent
PAGE = "index.html"
MOST_DRAWN = 30
"""Runs of a study that its trend shows, the newest ones."""
LENGTH = 600


@dataclass(frozen=True)
class Row:
    """One run. `change` is what its pairs say of the objective, against the baseline; None where none was judged."""

    name: str
    made: str
    link: str
    call: str
    headline: str
    windows: str
    time: str
    objective: Objective | None = None
    change: Interval | None = None


def write(results: Path) -> Path:
    """Write index.html of `results` and return it; StudyError where no run is in there."""
    files.replace(results / PAGE, html(results))
    return results / PAGE


def html(results: Path) -> str:
    """Return the page; studies in the order of their newest run, the newest first."""
    found = {study: _rows(results, study) for study in _studies(results)}
    if not found:
        raise StudyError(
            f"{results} holds no run: there is no STUDY/STAMP/run.json in it. Give a folder such as results."
        )
    newest = sorted(found.items(), key=lambda entry: entry[1][0].name, reverse=True)
    world = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return world.get_template("index.html.j2").render(
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        studies=[{"name": name, "runs": rows, **_trend(rows)} for name, rows in newest],
        runs=sum(len(rows) for rows in found.values()),
    )


def _studies(results: Path) -> list[str]:
    return sorted({path.parents[1].name for path in results.glob("*/*/run.json")})


def _rows(results: Path, study: str) -> tuple[Row, ...]:
    """Return the runs of one study, the newest first."""
    return tuple(_row(results, run) for run in reversed(folders.runs(results, study)))


def _row(results: Path, run: RunFolder) -> Row:
    try:
        return _finished(results, run, _summary(run))
    except FileNotFoundError:
        return _untold(results, run, "Unfinished: there is no verdict yet")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return _untold(results, run, "summary.json cannot be read; harness report makes it again")


def _summary(run: RunFolder) -> Mapping[str, Any]:
    return dict(json.loads((run.path / "summary.json").read_text(encoding="utf-8")))


def _finished(results: Path, run: RunFolder, summary: Mapping[str, Any]) -> Row:
    verdict, windows, aimed = summary["verdict"], summary["windows"], summary["objective"]
    objective = Objective(aimed["direction"], aimed["metric"], aimed.get("of"))
    return Row(
        name=run.path.name,
        made=_made(run.path.name),
        link=_link(results, run),
        call=str(verdict["call"]),
        headline=formats.bounded(str(summary["headline"]), LENGTH),
        windows=f"{int(windows['valid']) + int(windows['degraded'])} of {int(windows['total'])}",
        time=formats.seconds(float(summary["timing"]["wall_s"])),
        objective=objective,
        change=_change(objective, verdict, _made(run.path.name)),
    )


def _untold(results: Path, run: RunFolder, headline: str) -> Row:
    """Return the row of a run that no summary tells about."""
    nothing = formats.NOTHING
    return Row(
        name=run.path.name,
        made=_made(run.path.name),
        link=_link(results, run),
        call="unfinished",
        headline=headline,
        windows=nothing,
        time=nothing,
    )


def _change(objective: Objective, verdict: Mapping[str, Any], label: str) -> Interval | None:
    if verdict["estimate"] is None:
        return None
    estimate = float(verdict["estimate"])
    low, high = words.ends(objective, (_number(verdict["interval"][0]), _number(verdict["interval"][1])))
    ratio = 1 - estimate if objective.direction == "minimize" else 1 + estimate
    return Interval(label, ratio, _ratio(low), _ratio(high), summary=verdict["call"] == "better")


def _ratio(change: float | None) -> float | None:
    return None if change is None else max(1 + change, 0.0)


def _trend(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the chart of the gains, for a screen and for a phone; None where fewer than two runs can be compared."""
    judged = [row for row in rows if row.change is not None]
    objective = judged[0].objective if judged else None
    lines = [row.change for row in judged if row.objective == objective and row.change is not None][:MOST_DRAWN]
    if objective is None or len(lines) < 2:  # noqa: PLR2004 - one run is no trend
        return {"trend": None, "metric": ""}
    named, better = (
        formats.metric(objective.metric, objective.of),
        "left" if objective.direction == "minimize" else "right",
    )
    title = f"change of {named} ({better} is better)"
    drawn = [drawing.svg(charts.intervals(lines[::-1], title, width, 0.0)) for width in (drawing.WIDE, drawing.NARROW)]
    return {"trend": drawn, "metric": named}


def _link(results: Path, run: RunFolder) -> str:
    """Return the way to the run's page from the index, empty where there is none yet."""
    page = run.path / "report.html"
    return quote(str(page.relative_to(results))) if page.is_file() else ""


def _made(stamp: str) -> str:
    """Return a folder's stamp as a time for people, the name itself where it is none."""
    try:
        return datetime.strptime(stamp[:16], "%Y%m%dT%H%M%S%z").strftime("%Y-%m-%d %H:%M:%S") + stamp[16:]
    except ValueError:
        return stamp


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
