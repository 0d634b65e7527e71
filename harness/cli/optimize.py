"""`harness optimize`: run a study to its verdict and write the report. The loop does the work; this opens and closes it."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import running
from harness.cli.stopping import termination_is_an_interrupt
from harness.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.ledger.folder import RunFolder
    from harness.ledger.record import History
    from harness.opening import Opened, Unfinished
    from harness.search.mirror import Mirror
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
    fail_on: tuple[str, ...]
    warm_start: bool
    optuna_storage: str | None


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
@click.option(
    "--warm-start", is_flag=True, help="Try early what earlier runs of this study put to pairs; suggestions only."
)
@click.option(
    "--optuna-storage", metavar="URL", help="Mirror the windows there for optuna-dashboard, as sqlite:///optuna.db."
)
@running.fail_on
def command(**flags: object) -> None:
    """Run STUDY: search, confirm, report. Ctrl-C keeps what was measured; the same command goes on later."""
    asked = Asked(**flags)  # type: ignore[arg-type]  # click has checked every flag
    with termination_is_an_interrupt():
        _optimize(asked)


def _optimize(asked: Asked) -> None:
    from harness import opening
    from harness.ledger.lock import host_lock
    from harness.search import mirror, plan
    from harness.study import load

    study = load(asked.study)
    if not study.knobs_auto:
        _require_a_claim(asked, study)  # before anything is spent
    if asked.optuna_storage is not None:
        mirror.check(asked.optuna_storage)
    with host_lock(f"{study.name} in {asked.results.resolve()}", asked.wait_s):
        resumed = _wanted(asked, opening.unfinished(study, asked.results, asked.backend))
        if study.knobs_auto:
            study = _with_knobs(asked, study, resumed)
            if not study.knobs:
                return
            _require_a_claim(asked, study)
        with opening.opened(study, asked.results, asked.backend, resumed) as opened:
            mirrored = _mirror(asked, opened)
            if asked.warm_start and resumed is None:
                _suggest(asked, opened)
            again = f"harness optimize {asked.study} --resume"
            running.run(opened, plan.plan(opened.study), again, quiet=asked.quiet, mirror=mirrored)
        running.finish(opened, as_json=asked.as_json, fail_on=asked.fail_on)


def _require_a_claim(asked: Asked, study: Study) -> None:
    """Refuse a plan that is too small for any claim; StudyError with what would do."""
    from harness.search import plan

    planned = plan.plan(study)
    if not plan.can_claim(study, planned):
        raise StudyError(f"{asked.study}: {' '.join(planned.notes)}")


def _with_knobs(asked: Asked, study: Study, resumed: Unfinished | None) -> Study:
    """Return the study with the knobs that it began with, or that a diagnosis now finds worth screening; maybe none."""
    from harness import opening
    from harness.cli import diagnose
    from harness.study import load

    if resumed is not None:
        return opening.with_knobs_as_begun(asked.study, resumed)
    content, folder = diagnose.diagnosed(study, asked.backend, asked.results, diagnose.WINDOWS, quiet=asked.quiet)
    found = {knob["knob"]: list(knob["levels"]) for knob in content["knobs"]}
    if not found:
        _say_that_nothing_is_searched(asked, content, folder)
        return study
    return opening.with_told_knobs(load(asked.study, found), folder)


def _say_that_nothing_is_searched(asked: Asked, content: dict[str, Any], folder: Path) -> None:
    if asked.as_json:
        click.echo(json.dumps(content, indent=1))
        return
    click.echo(
        "No change: the diagnosis found nothing that a knob could mend, so nothing was searched. Name the knobs in the "
        f"study to search them all the same.\ndiagnosis: {folder / 'diagnosis.html'}"
    )


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


def _mirror(asked: Asked, opened: Opened) -> Mirror | None:
    """Return the mirror that was asked for, with the windows that are in the ledger already."""
    if asked.optuna_storage is None:
        return None
    from harness.search.mirror import Mirror

    made = Mirror(asked.optuna_storage, opened.ledger.folder.run_id, opened.study)
    made.catch_up(opened.ledger.history)
    return made


def _suggest(asked: Asked, opened: Opened) -> None:
    """Write what earlier runs of the study confirmed, newest first, as suggestions into the ledger of a fresh run."""
    from harness.cli.console import say
    from harness.ledger.folder import runs
    from harness.search import suggest

    own = opened.ledger.folder
    earlier = [run for run in reversed(runs(asked.results, opened.study.name)) if run != own]
    made = suggest.decision(opened.study, _readable(earlier))
    if made is not None:
        opened.ledger.append_decision(made, time.time())
    say("warm start: no earlier run of this study suggests anything" if made is None else str(made.content["words"]))


def _readable(earlier: Sequence[RunFolder]) -> Iterator[tuple[str, History]]:
    """Yield (run, its ledger) of each earlier run; one that was damaged is said and passed over."""
    from harness.cli.console import say
    from harness.ledger.ledger import read_history

    for run in earlier:
        try:
            yield run.run_id, read_history(run)
        except StudyError as error:
            say(f"warm start passes over {run.path}: {error}")
