"""`harness clean`: thin old runs, and take away what dead runs left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from harness.ledger.folder import DIAGNOSES, RunFolder


@click.command("clean", epilog="Example: harness clean --keep 5")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Where runs are."
)
@click.option("--keep", type=click.IntRange(min=0), default=3, show_default=True, help="Runs of each study kept whole.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def command(results: Path, keep: int, dry_run: bool) -> None:
    """Remove the samples of all but the newest --keep runs of each study, and leftovers of dead runs.

    Ledgers, reports and recommendations are never removed.
    """
    from harness.ledger.lock import host_lock
    from harness.target import build, leftovers

    with host_lock("clean", 0.0):
        studies = sorted(path for path in results.iterdir() if path.is_dir()) if results.is_dir() else []
        for windows in _thinnable(studies, keep):
            size = sum(file.stat().st_size for file in windows.rglob("*") if file.is_file())
            click.echo(f"{'would remove' if dry_run else 'removed'} {windows} ({size / 2**20:.1f} MiB of samples)")
            if not dry_run:
                shutil.rmtree(windows)
        if not dry_run:
            for line in (*leftovers.sweep(results), *build.trim()):
                click.echo(line)


def _thinnable(studies: list[Path], keep: int) -> list[Path]:
    """Return the sample folders of finished runs older than the newest `keep` of their study."""
    found: list[Path] = []
    for place in (kind for study in studies for kind in (study, study / DIAGNOSES)):
        runs = sorted(path.parent for path in place.glob("*/run.json"))
        old = runs[: len(runs) - keep] if keep else runs
        found += [run / "windows" for run in old if _finished(run) and (run / "windows").is_dir()]
    return found


def _finished(run: Path) -> bool:
    return (run / "summary.json").exists() or RunFolder(run).diagnosis_json.exists()
