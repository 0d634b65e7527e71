"""diagnosis.json and diagnosis.html: what the rules find in a run's baseline windows, from the run folder alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.diagnose import screening
from harness.diagnose.facts import Facts, Floats, Window
from harness.diagnose.finding import Figure, Finding
from harness.diagnose.limits import LIMITS
from harness.diagnose.rules import RULES, Diagnosis, diagnose
from harness.errors import TooFewWindows
from harness.ledger.record import WindowRecord
from harness.report import charts, curves, drawing, files, formats, inside, read, windows
from harness.report.read import Run
from harness.window.measurement import Validity

SCHEMA = 1
HERE = Path(__file__).parent
PAGE = "diagnosis.html"
MOST_PICTURES = 4


def write(folder: Path) -> dict[str, Any]:
    """Write diagnosis.json and diagnosis.html of the run in `folder`; return what stands in the JSON.

    TooFewWindows when no baseline window of it is usable, StudyError when it cannot be read.
    """
    run = read.run(folder)
    facts = baseline_facts(run)
    if facts is None:
        why = "; ".join(f"{reason.validity}: {reason.words}" for reason in windows.reasons(run)[:2])
        raise TooFewWindows(
            f"no baseline window of {folder} could be used ({why or 'none was run'}): nothing can be diagnosed. "
            "Try again when the machine is quiet, or look at `harness doctor`."
        )
    made = diagnose(facts)
    found = inside.shown(run.folder, run.study.target.package)
    content = {**told(run, facts, made), "inside": inside.told(found)}
    if found is not None and found.picture is not None:
        files.replace(run.folder.path / inside.FLAMEGRAPH, str(found.picture))
    files.replace(run.folder.path / PAGE, html(run, facts, made, found))
    files.replace(run.folder.diagnosis_json, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return content


def baseline_facts(run: Run) -> Facts | None:
    """Return the facts of all usable windows of the baseline, None where there is none.

    Where the service survived no window, those in which it died are all that there is to look at.
    """
    records = [record for record in run.history.windows if record.role == "baseline"]
    return facts_of(run, records) or _autopsy(run, records)


def facts_of(run: Run, records: Sequence[WindowRecord]) -> Facts | None:
    """Return the facts of the usable windows among `records`, which are of one variant; None where there is none."""
    usable = [record for record in records if record.validity.usable and record.metrics is not None]
    if not usable:
        return None
    return Facts(run.study, dict(usable[0].values), tuple(_window(run, record) for record in usable))


def _autopsy(run: Run, records: Sequence[WindowRecord]) -> Facts | None:
    died = [record for record in records if record.validity is Validity.FAILED and record.metrics is not None]
    if not died:
        return None
    return Facts(run.study, dict(died[0].values), tuple(_window(run, record) for record in died), died=True)


def told(run: Run, facts: Facts, made: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as plain JSON, with the knobs that it makes worth screening in their order."""
    order = screening.knob_order(facts, made)
    return {
        "schema": SCHEMA,
        "run": run.id,
        "study": run.study.name,
        "backend": run.backend,
        "windows": {"used": [window.n for window in facts.windows], **windows.validity_counts(run)},
        "findings": [asdict(finding) for finding in made.findings],
        "not_looked_at": [asdict(one) for one in made.not_looked],
        "clear": list(made.clear),
        "knobs": [asdict(one) for one in order],
        "knobs_yaml": "\n".join(screening.lines(order)),
        "limits": {name: asdict(limit) for name, limit in LIMITS.items()},
    }


def html(run: Run, facts: Facts, made: Diagnosis, found: inside.Shown | None = None) -> str:
    """Return the page; `found` is what a look inside gave, if there was one."""
    world = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shown = {window.n: window.series for window in facts.windows}
    return world.get_template("diagnosis.html.j2").render(
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        run=run,
        study=run.study,
        made=datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        headline=headline(made),
        used=formats.numbered([window.n for window in facts.windows]),
        findings=[
            (finding, _pictures(finding, shown[finding.window], run.study.window.measure_s))
            for finding in made.findings
        ],
        faults=any(finding.kind == "fault" for finding in made.findings),
        diagnosis=made,
        looks=looks(),
        block="\n".join(screening.lines(screening.knob_order(facts, made))),
        reasons=windows.reasons(run),
        figure=figure_words,
        inside=found,
        beside=[] if found is None else inside.beside(found, facts),
        percent=formats.percent,
        number=formats.number,
    )


def headline(made: Diagnosis) -> str:
    """Return the diagnosis as one sentence."""
    faults = [finding for finding in made.findings if finding.kind == "fault"]
    if not faults and not made.clear:
        return "Nothing could be looked at"
    if not faults:
        return f"Nothing wrong was found by {len(made.clear)} of {len(RULES)} rules"
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{faults[0].symptom} ({faults[0].confidence} confidence){more}"


def looks() -> dict[str, str]:
    """Return what each rule looks for, in its own words."""
    return {name: (rule.look.__doc__ or "").strip() for name, rule in RULES.items()}


def figure_words(figure: Figure) -> str:
    """Return a figure with its unit and the limit that it was held against."""
    words = f"{figure.name}: {formats.number(figure.value)} {figure.unit}"
    return words if figure.limit is None else f"{words} (limit {formats.number(figure.limit)})"


def _window(run: Run, record: WindowRecord) -> Window:
    workers = record.in_force.get("workers")
    assert record.metrics is not None  # noqa: S101 - the caller looked
    return Window(
        n=record.n,
        figures=record.metrics,
        host=record.host,
        series=curves.columns(run, record),
        workers=workers if isinstance(workers, int) else None,
    )


def _pictures(finding: Finding, table: Mapping[str, Floats], measure_s: float) -> list[Markup]:
    series = [one for column in finding.columns[:MOST_PICTURES] if (one := curves.drawn(column, table)) is not None]
    return [drawing.svg(charts.server({"baseline": one}, measure_s)) for one in series]
