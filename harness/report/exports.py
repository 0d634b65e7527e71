"""Exports of a confirmed run for production: alert rules for Prometheus, a dashboard for Grafana. Pure: a run in, text out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.report import read
from harness.report.watched import Watched, Watching, number, quoted, watching

PANEL_WIDTH, PANEL_HEIGHT, ACROSS = 12, 8, 2
SCHEMA_VERSION = 39
"""Version of Grafana's dashboard format, that of Grafana 10.4 and 11; later ones migrate it."""
SOURCE = {"type": "prometheus", "uid": "${source}"}


def export(folder: Path, form: str, job: str | None) -> str:
    """Return the export `form` of the run in `folder`; `job` is the scrape job, None for the study's name.

    StudyError when the run cannot be read or is not confirmed.
    """
    made = watching(read.run(folder))
    return FORMS[form](made, job or made.study)


def prometheus(made: Watching, job: str) -> str:
    """Return a rule file for Prometheus."""
    world = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML; every string goes through `quoted`
    )
    world.filters["quoted"] = quoted
    rules = [(one, f"{_selected(one, job)} > {number(one.limit)}") for one in made.items]
    return world.get_template("alerts.yaml.j2").render(made=made, rules=rules)


def grafana(made: Watching, job: str) -> str:
    """Return a dashboard for Grafana as JSON, a panel for each metric with its limit as a line."""
    panels = [_panel(number, one, job) for number, one in enumerate(made.items)]
    dashboard = {
        "uid": hashlib.sha256(f"{made.study}|{job}".encode()).hexdigest()[:12],
        "title": f"{made.study}: Tokio runtime",
        "description": f"Made by harness from the confirmed run {made.run}. Lines are the limits derived from it.",
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["tokio", "harness"],
        "timezone": "browser",
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "data source"}]
        },
        "panels": panels,
    }
    return json.dumps(dashboard, indent=1) + "\n"


FORMS: dict[str, Callable[[Watching, str], str]] = {"prometheus": prometheus, "grafana": grafana}
"""Every export by name; each goes through the same tests."""


def _selected(one: Watched, job: str) -> str:
    return one.expression.replace("SELECTOR", "{job=" + quoted(job) + "}")


def _panel(index: int, one: Watched, job: str) -> dict[str, Any]:
    row, column = divmod(index, ACROSS)
    steps = [{"color": "green", "value": None}, {"color": "red", "value": float(number(one.limit))}]
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": one.title,
        "description": f"{one.summary} Limit: {one.derived}.",
        "datasource": SOURCE,
        "gridPos": {"x": column * PANEL_WIDTH, "y": row * PANEL_HEIGHT, "w": PANEL_WIDTH, "h": PANEL_HEIGHT},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": _selected(one, job), "legendFormat": "{{instance}}"}],
        "fieldConfig": {
            "defaults": {
                "unit": one.unit,
                "min": 0,
                "custom": {"thresholdsStyle": {"mode": "line"}},
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
    }
