"""`harness diagnose`: baseline windows only, then what is wrong with the service and what is worth screening."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.stopping import termination_is_an_interrupt
from harness.errors import Interrupted, StudyError

if TYPE_CHECKING:
    from harness.opening import Opened
    from harness.study.model import Study, WindowTimes

WINDOWS = 5
"""Baseline windows of a diagnosis: enough to see a symptom repeat though one or two are disturbed."""

LONG_S = 1800.0
"""Seconds that the measured stretch of `--long` takes: half an hour, in which what climbs slowly shows."""


@click.command("diagnose", epilog="Example: harness diagnose studies/quickstart.yaml")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--backend", type=click.Choice(["docker", "process"]), help="Where the target runs; default: docker if ready."
)
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Where runs go."
)
@click.option(
    "--windows",
    type=click.IntRange(1, 30),
    default=5,
    show_default=True,
    help="Baseline windows of the study's length.",
)
@click.option("--long", "is_long", is_flag=True, help="One window of 30 minutes instead, for what climbs slowly.")
@click.option(
    "--deep",
    "is_deep",
    is_flag=True,
    help="One more window, of a diagnostic build: flame graph, task dump, tokio-console. Never scored.",
)
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for another run's end."
)
@click.option("--json", "as_json", is_flag=True, help="Print diagnosis.json instead of words.")
def command(
    study: Path,
    backend: str | None,
    results: Path,
    windows: int,
    is_long: bool,
    is_deep: bool,
    wait_s: float,
    as_json: bool,
) -> None:
    """Run baseline windows of STUDY and name what is wrong: symptom, cause, what to change, which knobs to screen.

    With --deep the service is built once more with its cargo feature `diagnostic` and looked into under the same load.
    """
    from harness.ledger.lock import host_lock
    from harness.study import load

    loaded = load(study)
    # A look inside takes the study's own length: half an hour of stacks says no more than some seconds.
    inside = loaded.window if is_deep else None
    if is_long:
        loaded, windows = _long(loaded), 1
    with termination_is_an_interrupt(), host_lock(f"diagnosis of {loaded.name} in {results.resolve()}", wait_s):
        content, folder = diagnosed(loaded, backend, results, windows, quiet=as_json, inside=inside)
    if as_json:
        click.echo(json.dumps(content, indent=1))
        return
    for line in _words(content):
        click.echo(line)
    click.echo(f"\ndiagnosis: {folder / 'diagnosis.html'}")


def _long(study: Study) -> Study:
    """Return the study with a measured stretch of half an hour; only a steady load can be made longer."""
    if study.load.pieces or study.load.trace_s:
        raise StudyError(
            f"{study.file}: --long needs a load whose rate stands still (poisson or uniform arrivals, or a closed "
            f"model); this one is spelled out for {study.window.measure_s:g} s. Make window.measure longer instead."
        )
    return replace(study, window=replace(study.window, measure_s=LONG_S))


def diagnosed(
    study: Study,
    backend: str | None,
    results: Path,
    windows: int,
    *,
    quiet: bool,
    inside: WindowTimes | None = None,
) -> tuple[dict[str, Any], Path]:
    """Run baseline windows and write their diagnosis; return it with its folder. The host's lock is the caller's.

    `inside` are the times of one more window, of a diagnostic build; None: there is none.
    """
    from harness import loop, opening
    from harness.cli.console import Progressing, say
    from harness.report import diagnosis
    from harness.search import plan

    progress = Progressing(planned_windows=windows, seconds_per_window=plan.seconds_per_window(study), quiet=quiet)
    with opening.opened(study, results, backend, None, diagnosis=True) as opened:
        for line in () if quiet else opened.words:
            say(line)
        folder = opened.ledger.folder.path
        try:
            with progress:
                loop.run(opened.study, opened.ledger, opened.bench, progress, loop.baseline_only(windows))
            if inside is not None:
                _look_inside(opened, inside, quiet=quiet)
        except KeyboardInterrupt:
            kept = len(opened.ledger.history.windows)
            raise Interrupted(f"interrupted; {kept} windows are kept in {folder}; nothing was diagnosed") from None
        return diagnosis.write(folder), folder


def _look_inside(opened: Opened, times: WindowTimes, *, quiet: bool) -> None:
    from harness import deep
    from harness.cli.console import say

    if not quiet:
        say("one more window, of a diagnostic build; the first build of one takes a minute or two")
    deep.look(replace(opened.study, window=times), opened.ledger, opened.bench)


def _words(content: dict[str, Any]) -> list[str]:
    """Return the diagnosis in lines."""
    found = content["findings"]
    lines = [] if found else [f"nothing wrong was found by {len(content['clear'])} rules"]
    for number, one in enumerate(found, start=1):
        lines += [
            f"{number}. {one['symptom']} [{one['confidence']} confidence, {one['rule']}]",
            f"   cause: {one['cause']}",
        ]
        lines += [f"   against: {words}" for words in one["against"]]
        lines += [f"   change: {words}" for words in one["change"]]
    lines += [f"inside: {words}" for words in content["inside"]["words"]] if content["inside"] else []
    lines += [f"not looked at: {one['rule']}: {one['why']}" for one in content["not_looked_at"]]
    return [*lines, "", "worth screening, in this order:", content["knobs_yaml"]]
