"""`harness export`: what a confirmed run says should be watched in production."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("export", epilog="Example: harness export prometheus results/quickstart/20261123T041500Z")
def command() -> None:
    """Write what production should watch, with limits derived from a confirmed RUN."""


@command.command("prometheus", epilog="Example: harness export prometheus results/quickstart/20261123T041500Z")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--job", help="Prometheus scrape job of the service; default: the study's name.")
def prometheus(run: Path, job: str | None) -> None:
    """Print alert rules for Prometheus, for metrics named as in target_templates/kit."""
    _print(run, "prometheus", job)


@command.command("grafana", epilog="Example: harness export grafana results/quickstart/20261123T041500Z")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--job", help="Prometheus scrape job of the service; default: the study's name.")
def grafana(run: Path, job: str | None) -> None:
    """Print a dashboard for Grafana, with each limit as a line."""
    _print(run, "grafana", job)


def _print(run: Path, form: str, job: str | None) -> None:
    from harness.report import exports

    click.echo(exports.export(run, form, job), nl=False)
