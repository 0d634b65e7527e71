"""`harness check`: what a study would do and cost, without doing it."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("check", epilog="Example: harness check studies/quickstart.yaml")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Where earlier runs are.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(study: Path, results: Path, *, as_json: bool) -> None:
    """Load STUDY, name every fault, and print its plan, its cost in minutes and the smallest effect it can see.

    How much windows vary is taken from earlier runs that measured the same here, where there are any.
    """
    from harness import opening
    from harness.search import plan
    from harness.study import load

    loaded = load(study)
    opening.require_cores(loaded)
    if not loaded.knobs:
        _say_that_there_is_no_plan_yet(study, as_json=as_json)
        return
    planned, known = plan.plan(loaded), opening.known_noise(loaded, results)
    if as_json:
        noise = None if known is None else known.to_json()
        click.echo(json.dumps({**plan.to_json(loaded, planned), "known_noise": noise}, indent=1))
        return
    click.echo(f"{study}: no fault found")
    for line in (*plan.in_words(loaded, planned, known), *(f"warning: {warning}" for warning in loaded.warnings)):
        click.echo(line)


def _say_that_there_is_no_plan_yet(study: Path, *, as_json: bool) -> None:
    words = "knobs: auto: a diagnosis of the baseline names the knobs, then the plan is made"
    click.echo(
        json.dumps({"knobs": "auto", "notes": [words]}, indent=1) if as_json else f"{study}: no fault found\n{words}"
    )
