"""What `optimize` and `confirm` share: the loop with its progress, the end with its exit code, Ctrl-C, --fail-on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from harness.errors import ConditionMet, Interrupted, MachineError, TooFewWindows

if TYPE_CHECKING:
    from harness.cli.console import Progressing
    from harness.ledger.record import DecisionRecord, History, WindowRecord
    from harness.opening import Opened
    from harness.search.mirror import Mirror
    from harness.search.sizes import Plan
    from harness.study.model import Study
    from harness.variant import Step

FAILING = ("worse", "better", "inconclusive")
"""The calls that --fail-on may name."""

Command = TypeVar("Command", bound=Callable[..., object])


def fail_on(command: Command) -> Command:
    """Add --fail-on to a command: the calls that make it exit with code 5."""
    words = "Exit with code 5 when the verdict is this; may be given again, or as a list with commas."
    option = click.option("--fail-on", multiple=True, callback=_calls, metavar="|".join(FAILING), help=words)
    return option(command)


def _calls(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    named = tuple(name.strip() for text in given for name in text.split(","))
    unknown = [name for name in named if name not in FAILING]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(FAILING)}")
    return named


class Mirrored:
    """Shows a run as `shown` does and keeps a mirror of its ledger up to date. Implements `loop.Watcher`."""

    def __init__(self, shown: Progressing, mirror: Mirror) -> None:
        """`mirror` is told of each window after it is in the ledger."""
        self.shown = shown
        self.mirror = mirror

    def step(self, study: Study, history: History, step: Step) -> None:
        """Show what runs now."""
        self.shown.step(study, history, step)

    def waits(self, words: str) -> None:
        """Show it."""
        self.shown.waits(words)

    def measured(self, study: Study, history: History, record: WindowRecord) -> None:
        """Show the window, then mirror it; the first fault of the mirror is said and is its last word."""
        from harness.cli.console import say

        self.shown.measured(study, history, record)
        was_broken = self.mirror.broken
        self.mirror.catch_up(history.model_copy(update={"windows": (*history.windows[: record.n - 1], record)}))
        if self.mirror.broken != was_broken:
            say(self.mirror.broken)

    def decided(self, study: Study, history: History, record: DecisionRecord) -> None:
        """Show the decision."""
        self.shown.decided(study, history, record)


def run(opened: Opened, planned: Plan, again: str, *, quiet: bool, mirror: Mirror | None = None) -> None:
    """Carry the run out from wherever its ledger stands; `again` is the command that goes on after an interruption."""
    from harness import loop, opening
    from harness.cli.console import Progressing, say
    from harness.search import plan

    study, folder = opened.study, opened.ledger.folder.path
    if not quiet:
        known = opening.known_noise(study, folder.parent.parent)
        for line in (*opened.words, *plan.in_words(study, planned, known)):
            say(line)
    seconds = plan.seconds_per_window(study)
    try:
        with Progressing(planned_windows=planned.windows, seconds_per_window=seconds, quiet=quiet) as progress:
            watcher = progress if mirror is None else Mirrored(progress, mirror)
            loop.run(study, opened.ledger, opened.bench, watcher)
    except KeyboardInterrupt:
        kept = len(opened.ledger.history.windows)
        raise Interrupted(f"interrupted; {kept} windows are kept in {folder}; go on with: {again}") from None
    except MachineError as error:
        kept_words = f"The run is kept in {folder}; when the machine is ready, go on with: {again}"
        raise MachineError(f"{error}\n{kept_words}") from error


def finish(opened: Opened, *, as_json: bool, fail_on: tuple[str, ...]) -> None:
    """Write the report, say the verdict, and leave with the exit code that it and --fail-on ask for."""
    from harness import report
    from harness.judge.verdict import Verdict
    from harness.report.summary import headline

    folder = opened.ledger.folder.path
    summary = report.write(folder)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        click.echo(f"\n{headline(folder)}\n")
        click.echo(f"report:  {folder / 'report.html'}\nrunbook: {folder / 'runbook.md'}")
    report.write_index(opened.ledger.folder.results)
    verdict = Verdict.from_json(opened.ledger.history.decision("verdict") or {})
    if verdict.call in fail_on:
        raise ConditionMet(f"the verdict is {verdict.call}, which --fail-on names: {verdict.reason}")
    if not verdict.judged:
        raise TooFewWindows(f"too few windows could be used to judge: {verdict.reason}")
