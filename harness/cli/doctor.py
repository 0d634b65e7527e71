"""`harness doctor`: what is ready on this machine, what is missing, and the command that mends it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click


@click.command("doctor", epilog="Example: harness doctor --json")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def command(as_json: bool) -> None:
    """Check what a run needs on this machine; exit 3 when something that every run needs is missing."""
    from harness.target import toolchain

    checks = toolchain.checks()
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            click.echo(
                f"{'ok     ' if check.ok else 'MISSING' if check.needed else 'without'}  {check.name}: {check.detail}"
            )
            if not check.ok:
                click.echo(f"         {check.mend}")
    if any(check.needed and not check.ok for check in checks):
        sys.exit(3)
