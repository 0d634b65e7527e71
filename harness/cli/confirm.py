"""`harness confirm`: fresh pairs for a variant of a finished run, in a folder of its own inside the run's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli import running
from harness.cli.stopping import termination_is_an_interrupt
from harness.errors import StudyError

if TYPE_CHECKING:
    from harness.ledger.folder import RunFolder
    from harness.ledger.record import History
    from harness.opening import Opened, Unfinished
    from harness.search.again import Asked
    from harness.study.model import Study


@dataclass(frozen=True)
class Flags:
    """The flags of one execution."""

    run: Path
    variant: str | None
    pairs: int | None
    study: Path | None
    resume: bool | None
    wait_s: float
    quiet: bool
    as_json: bool
    fail_on: tuple[str, ...]


@click.command("confirm", epilog="Example: harness confirm results/quickstart/20261123T041500Z --fail-on worse")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--variant", metavar="ID", help="Which variant, by the beginning of its id; default: the run's winner.")
@click.option("--pairs", type=click.IntRange(5, 1000), help="How many pairs; default: as many as the run had.")
@click.option("--study", type=click.Path(path_type=Path), help="Where the study file is now, if it was moved.")
@click.option("--resume/--fresh", "resume", default=None, help="Go on with an unfinished confirmation, or begin anew.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for another run's end."
)
@click.option("--quiet", is_flag=True, help="No progress lines.")
@click.option("--json", "as_json", is_flag=True, help="Print summary.json instead of words at the end.")
@running.fail_on
def command(**flags: object) -> None:
    """Measure fresh pairs of a variant of the finished RUN and its baseline, and judge them by themselves.

    It is one extra test at 5 % with its own coin flips and arrivals; the verdict of RUN stays as it is.
    """
    asked = Flags(**flags)  # type: ignore[arg-type]  # click has checked every flag
    with termination_is_an_interrupt():
        _confirm(asked)


def _confirm(flags: Flags) -> None:
    from harness import opening
    from harness.ledger.folder import RunFolder
    from harness.ledger.lock import host_lock
    from harness.search import again, plan
    from harness.study.model import Budget

    run = RunFolder(flags.run.resolve())
    study, history = _finished(flags, run)
    winner = again.chosen(study, history, flags.variant)
    with host_lock(f"confirmation of {run.run_id}", flags.wait_s):
        resumed = _wanted(flags, opening.unfinished_confirmation(study, run, winner.id))
        asked = _asked(flags, run, history, again.Asked(winner, 0, 0), resumed)
        confirms = {"run": run.run_id, "variant": winner.id, "number": asked.number, "pairs": asked.pairs}
        only = replace(study, budget=Budget(2 * asked.pairs, None))
        with opening.opened_again(only, run, confirms, again.error_budget(asked.number), resumed) as opened:
            _begin(opened, history, asked)
            planned = plan.from_json(opened.ledger.history.decision("plan") or {})
            running.run(opened, planned, f"harness confirm {flags.run} --variant {winner.id}", quiet=flags.quiet)
        try:
            running.finish(opened, as_json=flags.as_json, fail_on=flags.fail_on)
        finally:  # an exit code other than 0 is no reason to keep it from the run's report
            _tell_the_run(run)


def _finished(flags: Flags, run: RunFolder) -> tuple[Study, History]:
    """Return study and ledger of the run, which has to be finished and to have been made just here."""
    from harness import opening
    from harness.ledger.ledger import read_history
    from harness.study import load

    if not run.run_json.exists():
        raise StudyError(
            f"{flags.run} is not a run folder: there is no run.json in it. Give one such as results/STUDY/STAMP."
        )
    facts = opening.read_run(run)
    if "confirms" in facts:
        raise StudyError(
            f"{flags.run} is a confirmation itself; give the run that it belongs to: {run.path.parent.parent}"
        )
    history = read_history(run)
    if history.decision("verdict") is None:
        raise StudyError(
            f"{flags.run} is unfinished; go on with it first: harness optimize {facts.get('study_file')} --resume"
        )
    file = flags.study or Path(str(facts.get("study_file")))
    if not file.exists():
        raise StudyError(f"the study of this run is not at {file} any more; say where it is with --study FILE")
    study = load(file)
    why = opening.obstacles(study, facts, None)
    if why:
        raise StudyError(f"{flags.run} cannot be confirmed here: {'; '.join(why)}. Run the study again instead.")
    return study, history


def _wanted(flags: Flags, found: Unfinished | None) -> Unfinished | None:
    """Return the confirmation to go on with, None for a fresh one."""
    if flags.resume is False:
        return None
    if found is None:
        if flags.resume:
            raise StudyError("there is no unfinished confirmation of this variant to resume; leave --resume out")
        return None
    if found.obstacles:
        raise StudyError(
            f"{found.folder.path} cannot be resumed: {'; '.join(found.obstacles)}. Begin anew with --fresh."
        )
    return found


def _asked(flags: Flags, run: RunFolder, history: History, wish: Asked, resumed: Unfinished | None) -> Asked:
    """Return the confirmation's number and pairs: the next ones, or those that `resumed` began with."""
    from harness import opening
    from harness.ledger.folder import confirmations
    from harness.search import again

    if resumed is None:
        pairs = flags.pairs or again.usual_pairs(history)
        return replace(wish, pairs=pairs, number=len(confirmations(run)) + 1)
    begun = opening.read_run(resumed.folder)["confirms"]
    if flags.pairs not in {None, begun["pairs"]}:
        raise StudyError(
            f"--pairs {flags.pairs}: {resumed.folder.path} was begun with {begun['pairs']}; or give --fresh"
        )
    return replace(wish, pairs=int(begun["pairs"]), number=int(begun["number"]))


def _begin(opened: Opened, history: History, asked: Asked) -> None:
    """Write plan and freeze, with every coin flip, before the first window; what is written already stays."""
    import time

    from harness.search import again

    for decision in again.decisions(opened.study, history, asked):
        if opened.ledger.history.decision(decision.kind) is None:
            opened.ledger.append_decision(decision, time.time())


def _tell_the_run(run: RunFolder) -> None:
    """Make the run's own report again, which lists its confirmations; its ledger and its verdict are not touched."""
    from harness import report

    report.write(run.path)
