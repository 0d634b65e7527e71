"""`harness claims`: the statements of the tuning checklist put to the test, and the table of what came of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli import running
from harness.cli.stopping import termination_is_an_interrupt
from harness.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.ledger.folder import RunFolder
    from harness.opening import Opened, Unfinished
    from harness.report.claims import Row
    from harness.study.claims import Claim, Pairs
    from harness.study.model import Study

KEPT = "claims.json"
"""Where under the results folder it is kept what programs printed and the compiler said."""


@dataclass(frozen=True)
class Asked:
    """The flags of one execution."""

    numbers: tuple[int, ...]
    table: Path
    backend: str | None
    results: Path
    again: bool
    show: bool
    static: bool
    wait_s: float
    quiet: bool
    as_json: bool
    write: Path | None

    @property
    def programs(self) -> Path:
        """The crate of the table's programs."""
        from harness.study import claims

        return self.table.parent / claims.PROGRAMS


@click.command("claims", epilog="Example: harness claims 12 14 18")
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER]...")
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    help="Claims of your own, with their studies beside; default: the checklist's.",
)
@click.option(
    "--backend", type=click.Choice(["docker", "process"]), help="Where targets run; default: docker if ready."
)
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, help="Where runs go."
)
@click.option("--again", is_flag=True, help="Test again what was tested already.")
@click.option("--show", is_flag=True, help="Run nothing; the rest reads `not run yet`.")
@click.option("--static", is_flag=True, help="Run no windows: only programs, the compiler and arithmetic, in a minute.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for another run's end."
)
@click.option("--quiet", is_flag=True, help="No progress lines.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON instead of words.")
@click.option(
    "--write", type=click.Path(path_type=Path), metavar="FILE", help="Write the table as a page, with reasons."
)
def command(**flags: object) -> None:
    """Test the checklist's claims, all or those of each NUMBER: by pairs of windows, by the compiler, by small programs.

    What was tested already, by the same study file or program on this machine, is not run again.
    """
    from harness.study import claims

    table = flags.pop("table") or claims.TABLE
    asked = Asked(table=table, **flags)  # type: ignore[arg-type]  # click has checked every flag
    with termination_is_an_interrupt():
        _claims(asked)


def _claims(asked: Asked) -> None:
    from harness.ledger.lock import host_lock
    from harness.report import claims as report
    from harness.report import files

    wanted = _wanted(asked)
    if asked.show:
        rows = [_with_source(claim, _row(claim, asked), asked) for claim in wanted]
    else:
        with host_lock(f"claims in {asked.results.resolve()}", asked.wait_s):
            rows = [_with_source(claim, _row(claim, asked), asked) for claim in wanted]
    content = _content(rows)
    if asked.write is not None:
        files.replace(asked.write, report.page(content))
    if asked.as_json:
        click.echo(json.dumps(content, indent=1, sort_keys=True))
    else:
        for line in report.lines(rows):
            click.echo(line)


def _wanted(asked: Asked) -> list[Claim]:
    from harness.study import claims

    known = claims.claims(asked.table)
    unknown = sorted(set(asked.numbers) - {claim.number for claim in known})
    if unknown:
        raise StudyError(f"there is no claim {unknown[0]}; they are numbered from 1 to {known[-1].number}")
    if asked.numbers and asked.write is not None:
        raise StudyError("--write is for the whole table: leave the numbers out, and give --show to run nothing more")
    return [claim for claim in known if not asked.numbers or claim.number in asked.numbers]


def _content(rows: Sequence[Row]) -> dict[str, Any]:
    from harness.ledger import provenance
    from harness.study import manifest

    return {
        "machine": provenance.machine(),
        "tokio": provenance.locked_version(manifest.TEMPLATES / "Cargo.lock", "tokio"),
        "rustc": provenance.versions().get("rustc"),
        "rows": list(rows),
    }


def _row(claim: Claim, asked: Asked) -> Row:
    """Return what came of the claim's test, running it where there is nothing yet."""
    from harness.report import claims as report

    if claim.pairs is not None:
        return _by_pairs(claim, claim.pairs, asked)
    if claim.ratio is not None:
        return report.of_ratio(claim, claim.ratio)
    if claim.figure is not None:
        known = _figures(claim.figure.program, asked)
        return (
            report.untested(claim) if known is None else report.of_figure(claim, claim.figure, known[claim.figure.name])
        )
    if claim.compiles is not None:
        test = claim.compiles
        errors = [_error(name, test.unstable, asked) for name in (test.program, test.control)]
        known_both = [error for error in errors if error is not None]
        if len(known_both) < len(errors):
            return report.untested(claim)
        return report.of_compiling(claim, test, known_both[0] or None, known_both[1] or None)
    return report.untested(claim)


def _with_source(claim: Claim, row: Row, asked: Asked) -> Row:
    """Return the row with its line of Tokio's source, which has to be there in the pinned version."""
    from harness.report import claims as report
    from harness.target import programs

    if claim.source is None:
        return row
    version, number = programs.tokio_line(asked.programs, claim.source.file, claim.source.line)
    return report.with_source(row, version, claim.source.file, number, claim.source.line)


def _figures(name: str, asked: Asked) -> dict[str, float] | None:
    """Return what program `name` printed, None where it has not run and is not to."""
    from harness.errors import MachineError
    from harness.target import programs

    def measured() -> dict[str, float]:
        built = programs.compiled(asked.programs, name, unstable=True)
        if built.binary is None:
            raise MachineError(f"program {name} of the claims lab does not compile: {built.error}")
        return programs.figures(built.binary)

    found: dict[str, float] | None = _once(f"figures of {name}", measured, asked)
    return found


def _error(name: str, unstable: bool, asked: Asked) -> str | None:
    """Return the compiler's error for a program, "" where it compiles, None where it was not tried and is not to be."""
    from harness.target import programs

    def said() -> str:
        return programs.compiled(asked.programs, name, unstable=unstable).error or ""

    found: str | None = _once(f"{name} {'with' if unstable else 'without'} tokio_unstable", said, asked)
    return found


def _once(what: str, make: Any, asked: Asked) -> Any:  # noqa: ANN401 - whatever JSON the test gives
    """Return what the test `what` of these programs gave before, else what it gives now; None with --show."""
    from harness.cli.console import say
    from harness.ledger.ledger import write_json
    from harness.target import programs

    file = asked.results / KEPT
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    key = f"{programs.digest(asked.programs)}: {what}"
    if key in kept and (asked.show or not asked.again):
        return kept[key]
    if asked.show:
        return None
    if not asked.quiet:
        say(f"claims: {what}")
    made = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {**kept, key: made})
    return made


def _by_pairs(claim: Claim, pairs: Pairs, asked: Asked) -> Row:
    """Return the row of a claim from its finished run, which is carried out or resumed first where there is none."""
    from harness import opening
    from harness.report import claims as report
    from harness.report.read import run as read_run
    from harness.study import load

    study = load(asked.table.parent / pairs.study)
    runs_windows = not (asked.show or asked.static)
    folder = None if asked.again and runs_windows else _finished(study, asked.results, only_judged=runs_windows)
    if folder is None and not runs_windows:
        return report.untested(claim)
    if folder is None:
        found = opening.unfinished(study, asked.results, asked.backend)
        folder = _carried_out(study, pairs, asked, found if found is not None and not found.obstacles else None)
    return report.of_run(claim, pairs, read_run(folder.path))


def _finished(study: Study, results: Path, *, only_judged: bool) -> RunFolder | None:
    """Return the newest run of this very study file on this machine that was judged, None where there is none.

    A run that ended without a judgement, as on a machine that was not ready, is worth another try, so it counts only
    where none was judged and not with `only_judged`.
    """
    from harness import opening
    from harness.ledger import folder as folders
    from harness.ledger import provenance
    from harness.report import summary

    here = provenance.machine_id(provenance.machine())
    finished = []
    for run in reversed(folders.runs(results, study.name)):
        facts = opening.read_run(run)
        if (facts.get("study_digest"), facts.get("machine_id")) == (study.digest, here):
            finished += [run] if (run.path / "summary.json").exists() else []
    known = [run for run in finished if summary.judged(run.path)]
    return next(iter(known or ([] if only_judged else finished)), None)


def _carried_out(study: Study, pairs: Pairs, asked: Asked, resumed: Unfinished | None) -> RunFolder:
    """Run the claim's pairs to their verdict and write the report; return the run's folder."""
    from harness import opening, report
    from harness.search import claimed
    from harness.study.model import Budget

    planned = claimed.planned(study)
    only = replace(study, budget=Budget(planned.windows, study.budget.time_s))
    with opening.opened(only, asked.results, asked.backend, resumed) as opened:
        _begin(opened, pairs)
        running.run(opened, planned, "the same command", quiet=asked.quiet)
    report.write(opened.ledger.folder.path)
    report.write_index(opened.ledger.folder.results)
    return opened.ledger.folder


def _begin(opened: Opened, pairs: Pairs) -> None:
    """Write plan and freeze, with every coin flip, before the first window; what is written already stays."""
    from harness.search import claimed

    for decision in claimed.decisions(opened.study, pairs.change):
        if opened.ledger.history.decision(decision.kind) is None:
            opened.ledger.append_decision(decision, time.time())
