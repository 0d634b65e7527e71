"""`harness doctor`: what is ready on this machine and what mends the rest; with --calibrate, what its engines hold."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click


@click.command("doctor", epilog="Example: harness doctor --calibrate")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option("--calibrate", is_flag=True, help="Measure the noise floor and the highest rate of each load engine.")
@click.option(
    "--study", type=click.Path(path_type=Path), help="Calibrate at the rate and the connections of this study."
)
def command(as_json: bool, calibrate: bool, study: Path | None) -> None:
    """Check what a run needs on this machine; exit 3 when something that every run needs is missing."""
    from harness.errors import StudyError

    if study is not None and not calibrate:
        raise StudyError("--study belongs to --calibrate")
    if calibrate:
        _calibrate(study, as_json=as_json)
    else:
        _check(as_json=as_json)


def _check(*, as_json: bool) -> None:
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
        click.echo(_floor_words())
    if any(check.needed and not check.ok for check in checks):
        sys.exit(3)


def _floor_words() -> str:
    from harness import calibration

    found = calibration.kept()
    if found is None:
        return (
            "         not calibrated: harness doctor --calibrate measures the noise floor of this host in two minutes"
        )
    ceilings = ", ".join(f"{name} {one.ceiling:,.0f}/s" for name, one in found.engines.items())
    return f"         calibrated: the engines hold {ceilings}"


def _calibrate(study: Path | None, *, as_json: bool) -> None:
    from harness import calibration
    from harness.cli.console import say
    from harness.ledger.lock import host_lock
    from harness.study import load
    from harness.window.cores import available, core_map, siblings

    wanted = None if study is None else load(study)
    cpus, hyper_threads = 1 if wanted is None else wanted.target.cpus, siblings(available())
    cores = core_map(available(), cpus, hyper_threads)
    spread = core_map(available(), cpus, hyper_threads, spread=True)
    with host_lock("harness doctor --calibrate", 0.0):
        found = calibration.calibrate(None if wanted is None else wanted.load, cores, say, spread)
    if as_json:
        click.echo(json.dumps(calibration.to_json(found), indent=1))
        return
    for name, one in found.engines.items():
        told = ", ".join(f"{quantile} {one.floor_ms[quantile]:.2f} ms" for quantile in ("p50", "p95", "p99"))
        click.echo(
            f"{name}: noise floor {told} at {one.rate:g}/s with {one.cpu:.0%} of a core; holds {one.ceiling:,.0f}/s"
        )
    if found.jitter is not None:
        jitter = found.jitter
        late = f"p50 {jitter.p50_ms:.2f}, p99 {jitter.p99_ms:.2f} ms"
        click.echo(f"host: a thread of normal priority that only wakes, beside the generator, is late by {late}")
    click.echo(f"kept in {calibration.file()}; every run on this machine quotes it")
