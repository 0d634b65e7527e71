"""`make bench-stories`: every study of `studies/` carried out for real, and what came of it in one page.

Each study is a run of its own under build/bench/stories, which an interruption leaves resumable: the same command goes
on, and what has a verdict is not run again unless its file or the harness changed it. A study is five to eight minutes
on a quiet machine; one that needs more cores than there are is not run, and its row says so. With --keep the rows go to
docs/measured/stories.json and the page to docs/stories.md; a row of a study that was not carried out here stays as it
was kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import opening
from harness.diagnose.rules import Diagnosis, diagnose
from harness.errors import MachineError
from harness.ledger import folder as folders
from harness.ledger import provenance
from harness.ledger.record import WindowRecord
from harness.report import diagnosis, formats, read, summary, tables, words
from harness.report.read import Run
from harness.report.why import why
from harness.study import load
from harness.study.model import Study

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "studies"
RESULTS = ROOT / "build" / "bench" / "stories"
KEPT = ROOT / "docs" / "measured" / "stories.json"
PAGE = ROOT / "docs" / "stories.md"
PLANTED: Mapping[str, str | None] = {
    "aa": None,
    "backpressure": "memory_growth",
    "capacity": "blocking_call",
    "chat": "task_leak",
    "compute": "cpu_bound",
    "echo": None,
    "feed": None,
    "feed-models": None,
    "gateway": "pool_too_small",
    "ingest": "blocking_call",
    "ingest-bandwidth": None,
    "ingest-io-uring": None,
    "payments": "blocking_call",
    "pipeline": "cpu_bound",
    "proxy": None,
    "quickstart": "blocking_call",
    "signing": "cpu_bound",
    "tokio-version": None,
    "webhooks": "pool_never_shrinks",
    "websocket-gateway": None,
}
"""The rule that has to find what each study's target was made to do wrong at its baseline, None where nothing was planted: a
finding there counts as false even where its figure is true. It is not to be changed to agree with what a run found."""
EXPECT = "Expect: "
WINDOWS = re.compile(r"\d+ windows, about ")
UNTESTABLE = "not testable on this machine"


def main() -> None:
    """Run what is asked for and has no verdict yet, and print a row for each."""
    names = sorted(file.stem for file in STUDIES.glob("*.yaml"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"one or more of {', '.join(names)}; all without")
    parser.add_argument("--keep", action="store_true", help="also write docs/measured/stories.json and docs/stories.md")
    asked = parser.parse_args()
    unknown = set(asked.studies) - set(names)
    if unknown:
        parser.error(f"no such study: {', '.join(sorted(unknown))}")
    rows = kept()
    for name in asked.studies or names:
        if reason := obstacle(load(STUDIES / f"{name}.yaml")):
            print(f"{name}: {UNTESTABLE}: {reason}", flush=True)
            if not rows.get(name, {}).get("run"):  # a larger machine may have told what came of it
                rows[name] = untestable(reason)
            continue
        folder = _carried_out(name)
        if folder is None:
            print(f"{name}: no verdict; the same command goes on with it", flush=True)
            continue
        rows[name] = row(read.run(folder))
        print(f"{name}: {rows[name]['headline']}", flush=True)
    if asked.keep:
        KEPT.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        PAGE.write_text(page(rows), encoding="utf-8")


def kept() -> dict[str, dict[str, Any]]:
    """Return the rows that are kept, by study."""
    found: dict[str, dict[str, Any]] = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    return found


def obstacle(study: Study) -> str:
    """Return why this machine cannot tell what the study asks; nothing where it can."""
    try:
        opening.require_cores(study)
    except MachineError as error:
        return str(error)
    return ""


def untestable(reason: str) -> dict[str, Any]:
    """Return the row of a study that this machine is too small for."""
    return {
        "run": "",
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": provenance.machine(),
        "backend": "not run",
        "objective": "",
        "headline": UNTESTABLE,
        "reason": f"{reason}.",
        "call": None,
        "interval": [None, None],
        "figures": [],
        "effects": [],
        "windows": dict.fromkeys(("valid", "degraded", "invalid", "failed"), 0),
        "minutes": 0.0,
    }


def row(run: Run) -> dict[str, Any]:
    """Return what one run came to, in the report's own words and as numbers. Pure but for the machine's name."""
    verdict = run.verdict
    told = summary.summary(run)
    baseline = _diagnosis(run, [one for one in run.history.windows if one.role == "baseline"])
    tested = _diagnosis(run, [tested for tested, _ in run.pairs])
    return {
        "run": run.id,
        "at": time.strftime("%Y-%m-%d", time.gmtime(run.started)),
        "machine": provenance.machine(),
        "backend": run.backend,
        "objective": words.objectives(run)[0],
        "expected": expected(run.study.text),
        "headline": words.headline(run),
        "reason": verdict.reason if verdict else "",
        "call": verdict.call if verdict else None,
        "interval": list(words.change_ends(run, verdict.interval)) if verdict else [None, None],
        "figures": [
            {"name": figure.name, "baseline": figure.baseline, "tested": figure.tested, "scored": figure.scored}
            for figure in tables.figures(run)
        ],
        "effects": [
            {"level": effect.label, "change": effect.change, "interval": effect.interval, "result": effect.call}
            for effect in tables.effects(run)
        ],
        "not_looked": {one.rule: one.why for one in baseline.not_looked} if baseline else {},
        "found": {"baseline": _findings(baseline), "tested": _findings(tested)},
        "why": list(reasons.words) if (reasons := why(run)) else [],
        "windows": told["windows"],
        "minutes": round(told["timing"]["wall_s"] / 60, 1),
    }


def expected(text: str) -> str:
    """Return what the comment of a study file expects, on one line: from "Expect: " to the line of its windows. Pure."""
    comment = [line[1:].strip() for line in text.splitlines() if line.startswith("#")]
    begin = next((number for number, line in enumerate(comment) if line.startswith(EXPECT)), len(comment))
    told = itertools.takewhile(lambda line: not WINDOWS.match(line), comment[begin:])
    return " ".join(told).removeprefix(EXPECT)


def _diagnosis(run: Run, records: Sequence[WindowRecord]) -> Diagnosis | None:
    """Return what the rules of the diagnosis say of some windows of one variant; None without a usable one."""
    facts = diagnosis.facts_of(run, records)
    return None if facts is None else diagnose(facts)


def _findings(made: Diagnosis | None) -> list[dict[str, str]] | None:
    if made is None:
        return None
    return [
        {"rule": one.rule, "confidence": one.confidence, "kind": one.kind, "symptom": one.symptom}
        for one in made.findings
    ]


def page(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return docs/stories.md for what is kept. Pure."""
    lines = [
        "# The stories, measured",
        "",
        "Generated by `make bench-stories`; not edited by hand. Each study of `studies/` tells in its first lines what it is",
        "about and what to expect, in some cases as an earlier look had shown it; this is what came of it. Absolute figures",
        "are those of the machine that it ran on, which its section names.",
        "",
        "Windows are counted as VALID / DEGRADED / INVALID / FAILED.",
        "",
        "| study | verdict | change, 90 % interval | baseline | tested | windows | minutes |",
        "|---|---|---|---|---|---|---:|",
        *(_line(name, told) for name, told in sorted(rows.items())),
    ]
    if missing := sorted(set(PLANTED) - set(rows)):
        lines += ["", f"Not carried out yet: {', '.join(missing)}."]
    lines += ["", *_diagnosed(rows)]
    for name, told in sorted(rows.items()):
        lines += ["", *_section(name, told)]
    return "\n".join([*lines, ""])


def _line(name: str, told: Mapping[str, Any]) -> str:
    scored = next((figure for figure in told["figures"] if figure["scored"]), {"baseline": "", "tested": ""})
    counts = told["windows"]
    counted = " / ".join(str(counts[validity]) for validity in ("valid", "degraded", "invalid", "failed"))
    ends = formats.change_range(*told["interval"]) if None not in told["interval"] else formats.NOTHING
    return (
        f"| [{name}](#{name}) | {told['headline']} | {ends} | {scored['baseline']} | {scored['tested']} "
        f"| {counted} | {told['minutes']} |"
    )


def _diagnosed(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the table of what was planted against what the rules found, at the baseline and with the tested variant."""
    diagnosed = {name: told["found"] for name, told in sorted(rows.items()) if told.get("found")}
    blind = {name: told.get("not_looked", {}) for name, told in rows.items()}
    hits = [name for name, found in diagnosed.items() if PLANTED[name] and PLANTED[name] in _rules(found["baseline"])]
    planted = [name for name in diagnosed if PLANTED[name] and PLANTED[name] not in blind[name]]
    healthy = [name for name in diagnosed if PLANTED[name] is None]
    false = [name for name in healthy if _rules(diagnosed[name]["baseline"])]
    lines = [
        "## What the diagnosis found",
        "",
        "The rules of `harness diagnose` over the baseline's windows of each run, held against what the target was made to do",
        "wrong, and over the windows of the variant that was put to pairs. Cautions (what makes windows say less) are left out.",
        "",
        f"Found: {len(hits)} of {len(planted)} planted faults that the rules could look for. False findings: in {len(false)} of",
        f"{len(healthy)} studies with nothing planted. Some limits of the rules were set with these targets in view.",
        "",
        "| study | planted | found at the baseline | | found with the tested variant |",
        "|---|---|---|---|---|",
    ]
    for name, found in diagnosed.items():
        wanted, base = PLANTED[name], _rules(found["baseline"])
        call = _call(wanted, base, blind[name])
        lines.append(
            f"| {name} | {wanted or 'nothing'} | {_told(found['baseline'])} | {call} | {_told(found['tested'])} |"
        )
    return lines


def _call(wanted: str | None, base: Sequence[str], blind: Mapping[str, str]) -> str:
    if wanted is None:
        return "false finding" if base else "clear"
    if wanted in base:
        return "hit"
    return f"not looked: {blind[wanted]}" if wanted in blind else "miss"


def _rules(found: Sequence[Mapping[str, str]] | None) -> list[str]:
    return [one["rule"] for one in found or () if one["kind"] != "caution"]


def _told(found: Sequence[Mapping[str, str]] | None) -> str:
    if found is None:
        return "no usable window"
    return ", ".join(f"{one['rule']} ({one['confidence']})" for one in found if one["kind"] != "caution") or "nothing"


def _section(name: str, told: Mapping[str, Any]) -> list[str]:
    machine = told["machine"]
    lines = [
        f"## {name}",
        "",
        *([f"Expected: {told['expected']}", ""] if told.get("expected") else []),
        f"{told['headline']}. {told['reason']}".strip(),
        "",
        f"{told['at']}, {told['backend']}, {machine['cpu_model']}, {machine['cores']} cores, "
        f"kernel {machine['kernel']}. {told['objective']}".strip(),
    ]
    if told["figures"]:
        lines += ["", "| figure | baseline | tested |", "|---|---|---|"]
        lines += [f"| {one['name']} | {one['baseline']} | {one['tested']} |" for one in told["figures"]]
    if told["effects"]:
        lines += ["", "| one variable at a time | change | 90 % interval | result |", "|---|---|---|---|"]
        lines += [
            f"| `{one['level']}` | {one['change']} | {one['interval']} | {one['result']} |" for one in told["effects"]
        ]
    if told.get("why"):
        lines += ["", "Why, by the rules of the diagnosis:", "", *(f"- {sentence}" for sentence in told["why"])]
    return lines


def _carried_out(name: str) -> Path | None:
    """Return the folder of the finished run of a study, running or resuming it where there is none."""
    done = _finished(name)
    if done is None:
        command = [sys.executable, "-m", "harness.cli.main", "optimize", str(STUDIES / f"{name}.yaml")]
        subprocess.run([*command, "--results", str(RESULTS), "--quiet"], stdout=subprocess.DEVNULL, check=False)
        done = _finished(name)
    return done


def _finished(name: str) -> Path | None:
    """Return the newest run that was judged of this study as its file is now; its name is its file's, which a test holds."""
    digest = load(STUDIES / f"{name}.yaml").digest
    mine = [run for run in folders.runs(RESULTS, name) if opening.read_run(run).get("study_digest") == digest]
    judged = [run.path for run in mine if summary.judged(run.path)]
    return judged[-1] if judged else None


if __name__ == "__main__":
    main()
