"""The claims lab's table: what came of each claim's test, as rows for programs, lines for a terminal, and docs/claims.md.

Pure functions of claims and of what was measured; a row is plain JSON, so that the page can be made again from kept rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from harness.judge import claims as judged
from harness.judge.claims import Range, Ruling
from harness.judge.verdict import Look
from harness.report import formats, words
from harness.report.read import Run
from harness.study.claims import Claim, Compiles, Figure, Pairs, Ratio

NOT_RUN = "not run yet"
NOT_TESTABLE = "not testable on this machine"
NOT_A_TEST = "not testable"
CALLS = ("held here", "refuted here", "not resolved", NOT_RUN, NOT_TESTABLE, NOT_A_TEST)
Row = Mapping[str, Any]


def of_run(claim: Claim, pairs: Pairs, run: Run) -> Row:
    """Return the row of a claim that was tested by pairs of windows."""
    content = run.history.decision("look")
    look = None if content is None else Look.from_json(content)
    gains = (None, None) if look is None else look.interval
    claimed = Range(pairs.gain_at_least, pairs.gain_at_most)
    made = judged.of_pairs(claimed, gains, resolvable=look is None or look.resolvable)
    known = run.verdict is not None and run.verdict.judged
    ends = words.change_ends(run, gains)
    metric = words.objectives(run)[0]
    changed = ", ".join(f"{name} = {level}" for name, level in pairs.change.items())
    return {
        **_said(claim, made if known else Ruling("not resolved")),
        "test": f"{run.study.target.name}: {changed}",
        "seen": f"{metric} {formats.change_range(*ends)}" if known else (run.verdict.reason if run.verdict else ""),
        "interval": list(gains),
        "pairs": 0 if look is None else look.pairs,
        "backend": run.backend,
        "run": run.id,
        "at": time.strftime("%Y-%m-%d", time.gmtime(run.started)),
        "windows": _counted(run),
    }


def of_figure(claim: Claim, figure: Figure, seen: float) -> Row:
    """Return the row of a claim that a program's figure decides."""
    made = judged.ruling(Range(figure.at_least, figure.at_most), Range(seen, seen))
    return {
        **_said(claim, made),
        "test": f"program {figure.program}",
        "seen": f"{_plain(seen)} {figure.unit}".strip(),
    }


def of_compiling(claim: Claim, compiles: Compiles, error: str | None, control_error: str | None) -> Row:
    """Return the row of a claim that the compiler decides; None is no error."""
    made = judged.of_compiling(claimed=compiles.claimed, compiled=error is None, control=control_error is None)
    seen = "it compiles" if error is None else error
    if control_error is not None:
        seen = f"the control does not compile either: {control_error}"
    with_flag = "" if compiles.unstable else ", without tokio_unstable"
    return {**_said(claim, made), "test": f"program {compiles.program}{with_flag}", "seen": seen}


def of_ratio(claim: Claim, ratio: Ratio) -> Row:
    """Return the row of a claim that arithmetic decides."""
    seen = ratio.of / ratio.to
    made = judged.ruling(Range(ratio.at_least, math.inf), Range(seen, seen))
    return {
        **_said(claim, made),
        "test": "arithmetic",
        "seen": f"{ratio.of:g} / {ratio.to:g} = {seen:g}",
    }


def untested(claim: Claim) -> Row:
    """Return the row of a claim that nothing here can test, or whose test has not run yet."""
    if claim.untestable:
        call = NOT_TESTABLE if claim.needs_cores else NOT_A_TEST
        return {**_words(claim), "call": call, "smaller_than": None, "test": "", "seen": claim.untestable}
    test = claim.pairs.study if claim.pairs else ""
    return {**_words(claim), "call": NOT_RUN, "smaller_than": None, "test": test, "seen": ""}


def with_source(row: Row, version: str, file: str, number: int, line: str) -> Row:
    """Return the row with the line of Tokio's source that explains it."""
    return {**row, "source": f"tokio {version}, {file}:{number}: `{line}`"}


def call_words(row: Row) -> str:
    """Return the call for people: "not resolved (smaller than 8 %)"."""
    size = row["smaller_than"]
    if row["call"] != "not resolved" or size is None:
        return str(row["call"])
    return f"not resolved (smaller than {formats.at_most(size, None)})"


def lines(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the table for a terminal: two lines a claim."""
    return tuple(
        text
        for row in rows
        for text in (
            f"{row['number']:>2}  {call_words(row)}: {row['says']}",
            *((f"    {row['seen']} ({row['test']})" if row["test"] else f"    {row['seen']}",) if row["seen"] else ()),
        )
    )


def page(content: Mapping[str, Any]) -> str:
    """Return docs/claims.md for what `content` holds: machine, versions, rows."""
    rows = content["rows"]
    counts = ", ".join(f"{sum(row['call'] == call for row in rows)} {call}" for call in CALLS)
    head = [
        "# The checklist's claims, tested",
        "",
        "Generated by `harness claims --show --write docs/claims.md` from real runs; not edited by hand. The statements are in",
        "our own words, by their number in the checklist that the project started from. `studies/claims/` holds the tests.",
        "",
        _place(content),
        "",
        f"{len(rows)} statements: {counts}.",
        "",
        "A claim is held where the whole interval lies in the range that it claims, refuted where none of it does, and else not",
        "resolved. Intervals are 90 % two-sided, so each end is wrong in at most one of twenty tests: among so many tests one or",
        "two may be. *Held here* and *refuted here* are about this target, this load and this machine.",
        "",
        "| | claim | result | what was seen | test |",
        "|---:|---|---|---|---|",
        *(_line(row) for row in rows),
        "",
        "## Why",
    ]
    return "\n".join([*head, *(text for row in rows for text in _why(row)), ""])


def _place(content: Mapping[str, Any]) -> str:
    machine = content["machine"]
    kind = f"{machine['cpu_model']}, {machine['cores']} cores{', virtual' if machine['virtual'] else ''}"
    return (
        f"Machine: {kind}, kernel {machine['kernel']}, {machine['os']}. Tokio {content['tokio']}, {content['rustc']}."
    )


def _said(claim: Claim, made: Ruling) -> dict[str, Any]:
    return {**_words(claim), "call": made.call, "smaller_than": made.smaller_than}


def _words(claim: Claim) -> dict[str, Any]:
    return {
        "number": claim.number,
        "says": claim.says,
        "refuted_by": claim.refuted_by,
        "because": claim.because,
        "source": "",
    }


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else formats.number(value)


def _counted(run: Run) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in run.history.windows:
        found[record.validity.value] = found.get(record.validity.value, 0) + 1
    return dict(sorted(found.items()))


def _line(row: Row) -> str:
    cells = (str(row["number"]), row["says"], call_words(row), row["seen"], row["test"])
    return f"| {' | '.join(_cell(text) for text in cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _why(row: Row) -> tuple[str, ...]:
    counted = ", ".join(f"{count} {validity}" for validity, count in row.get("windows", {}).items())
    where = f" {row['pairs']} pairs ({counted} windows), {row['backend']}, {row['at']}." if "run" in row else ""
    source = f" Source: {row['source']}." if row["source"] else ""
    refuted = f" Refuted if: {row['refuted_by'][0].lower()}{row['refuted_by'][1:]}" if row["refuted_by"] else ""
    return (
        "",
        f"**{row['number']}. {row['says']}** {call_words(row).capitalize()}.{where}{refuted} {row['because']}{source}",
    )
