"""`harness report`: the report again, from the run folder alone."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("report", epilog="Example: harness report results/quickstart/20261123T041500Z")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print summary.json instead of words.")
def command(run: Path, as_json: bool) -> None:
    """Make report.html, runbook.md, summary.json and recommended/ of RUN again; nothing but the folder is read.

    Of a diagnosis: diagnosis.html and diagnosis.json. Of a folder of runs, such as results: its index.html.
    """
    from harness import report
    from harness.ledger.folder import DIAGNOSES
    from harness.report import diagnosis
    from harness.report.summary import headline

    if run.resolve().parent.name == DIAGNOSES:
        content = diagnosis.write(run)
        click.echo(json.dumps(content, indent=1) if as_json else f"diagnosis: {run / diagnosis.PAGE}")
        return

    if not (run / "run.json").exists() and any(run.glob("*/*/run.json")):
        click.echo(f"all runs: {report.write_index(run)}")
        return

    summary = report.write(run)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
        return
    click.echo(f"{headline(run)}\n\nreport: {run / 'report.html'}")
