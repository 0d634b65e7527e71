"""`harness optimize`: run a study to its verdict and write the report. The loop does the work; this opens and closes it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from harness.errors import Interrupted, MachineError, StudyError, TooFewWindows

if TYPE_CHECKING:
    from harness.opening import Opened, Unfinished
    from harness.study.model import Study


@dataclass(frozen=True)
class Asked:
    """The flags of one execution."""

    study: Path
    backend: str | None
    results: Path
    resume: bool | None
    wait_s: float
    quiet: bool
    as_json: bool


@click.command("optimize", epilog="Example: harness optimize studies/quickstart.yaml --backend docker")
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--backend", type=click.Choice(["docker", "process"]), help="Where the target runs; default: docker if ready."
)
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Where runs go."
)
@click.option("--resume/--fresh", "resume", default=None, help="Go on with the unfinished run, or start a new one.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for another run's end."
)
@click.option("--quiet", is_flag=True, help="No progress lines.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json instead of words at the end.")
def command(**flags: object) -> None:
    """Run STUDY: search, confirm, report. Ctrl-C keeps what was measured; the same command goes on later."""
    asked = Asked(**flags)  # type: ignore[arg-type]  # click has checked every flag
    with termination_is_an_interrupt():
        _optimize(asked)


def _optimize(asked: Asked) -> None:
    from harness import opening
    from harness.ledger.lock import host_lock
    from harness.study import load

    study = load(asked.study)
    with host_lock(f"{study.name} in {asked.results.resolve()}", asked.wait_s):
        resumed = _wanted(asked, opening.unfinished(study, asked.results, asked.backend))
        with opening.opened(study, asked.results, asked.backend, resumed) as opened:
            _run(asked, opened.study, opened)
        _finish(asked, opened)


def _wanted(asked: Asked, found: Unfinished | None) -> Unfinished | None:
    """Return the run to resume, or None for a fresh one; asks only at a terminal and only without a flag."""
    from harness.cli.console import say

    if found is None:
        if asked.resume:
            raise StudyError(f"there is no unfinished run to resume under {asked.results}; leave --resume out")
        return None
    if found.obstacles:
        why = "; ".join(found.obstacles)
        if asked.resume:
            raise StudyError(f"{found.folder.path} cannot be resumed: {why}. Start a new run with --fresh.")
        say(f"the unfinished run {found.folder.path} cannot go on ({why}): starting fresh")
        return None
    if asked.resume is not None:
        return found if asked.resume else None
    if sys.stdin.isatty() and sys.stderr.isatty():
        question = f"{found.folder.path} is unfinished with {found.windows} windows. Go on with it?"
        return found if click.confirm(question, default=True, err=True) else None
    return found


def _run(asked: Asked, study: Study, opened: Opened) -> None:
    from harness import loop
    from harness.cli.console import Progressing, say
    from harness.search import plan

    planned = plan.plan(study)
    if not asked.quiet:
        for line in (*opened.words, *plan.in_words(study, planned)):
            say(line)
    again = f"go on with: harness optimize {asked.study} --resume"
    folder = opened.ledger.folder.path
    try:
        with Progressing(
            planned_windows=planned.windows, seconds_per_window=plan.seconds_per_window(study), quiet=asked.quiet
        ) as progress:
            loop.run(study, opened.ledger, opened.bench, progress)
    except KeyboardInterrupt:
        kept = len(opened.ledger.history.windows)
        raise Interrupted(f"interrupted; {kept} windows are kept in {folder}; {again}") from None
    except MachineError as error:
        raise MachineError(f"{error}\nThe run is kept in {folder}; when the machine is ready, {again}") from error


def _finish(asked: Asked, opened: Opened) -> None:
    from harness import report
    from harness.judge.verdict import Verdict

    folder = opened.ledger.folder.path
    summary = report.write(folder)
    if asked.as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        from harness.report.summary import headline

        click.echo(f"\n{headline(folder)}\n")
        click.echo(f"report:  {folder / 'report.html'}\nrunbook: {folder / 'runbook.md'}")
    verdict = Verdict.from_json(opened.ledger.history.decision("verdict") or {})
    if not verdict.judged:
        raise TooFewWindows(f"too few windows could be used to judge: {verdict.reason}")


@contextmanager
def termination_is_an_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP take the same clean way out as Ctrl-C."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
