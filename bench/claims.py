"""`make bench-claims`: the claims of the shipped code on real servers, where the truth was planted. Hours, if need be.

Every part is a run of its own under build/bench/claims, which an interruption leaves resumable: the same command goes on,
and parts that have a verdict are not run again. With --keep the result goes to docs/measured/planted.json.

- planted: the work of each request is made longer by 0, 5, 10 and 20 % at the baseline, and the code may find out.
- aa: windows of one and the same variant, paired anew a thousand times with coin flips: how often is a claim made? With
  fair coins at most 5 % holds for any windows, whatever the noise: this tests our code, not the machine.
- disturb: the same variant beside a foreign job on the cores, where nothing may be claimed; exit 1 where something is, or
  where no window says that it was disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.judge import verdict
from harness.judge.verdict import UNJUDGED
from harness.ledger import provenance
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import Ledger
from harness.ledger.record import WindowRecord
from harness.report import read
from harness.search.sizes import looks
from harness.study.model import Study

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "bench" / "claims"
KEPT = ROOT / "docs" / "measured" / "planted.json"
PLANTED = (0, 5, 10, 20)
DISTURBED = "disturbed"
PARTS = (*(f"planted-{percent}" for percent in PLANTED), "aa", "disturb")
AA_WINDOWS, AA_PAIRS, AGAIN = 60, 20, 1000
AA, BESIDE_A_JOB = "aa", "nothing, beside a foreign job"
MOST_FALSE = 0.05 + 3 * (0.05 * 0.95 / AGAIN) ** 0.5
"""Claims in a thousand re-pairings: 5 %, and three standard errors."""

BUSY_S, IDLE_S = 0.6, 0.4  # of the foreign job
STUDY = """\
study: {name}
target: {{template: echo, cpus: 1, memory: 256MiB, set: {{work_us: 1000}}}}
load: {{rate: 300, connections: 64, timeout: 2s, requests: [{{name: get, path: /}}]}}
window: {{warmup: 1s, measure: 5s}}
objective: {{minimize: p95}}
knobs: {{{knobs}}}
{baseline}
phases: {phases}
min_effect: 2%
"""
NOTHING = "thread_stack_size: [unset, 4MiB]"


def main() -> None:
    """Run what is not there yet and print every part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="also write docs/measured/planted.json")
    parser.add_argument("--disturb", action="store_true", help="also the part beside a foreign job")
    parser.add_argument("--only", choices=PARTS, help="carry out one part, and keep nothing")
    parser.add_argument("--backend", default="docker", choices=("docker", "process"), help="(%(default)s)")
    asked = parser.parse_args()
    carried_out: list[Callable[[], dict[str, Any]]] = [
        *(partial(_planted, asked.backend, percent) for percent in PLANTED),
        partial(_aa, asked.backend),
        partial(_disturbed, asked.backend),
    ]
    parts = dict(zip(PARTS, carried_out, strict=True))
    if asked.only:
        _refuse(parts[asked.only]())
        return
    rows = [part() for name, part in parts.items() if name != "disturb" or asked.disturb]
    if asked.keep:
        content = {"at": time.strftime("%Y-%m-%d", time.gmtime()), "machine": provenance.machine(), "parts": rows}
        KEPT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        _refuse(row)


def _refuse(row: Mapping[str, Any]) -> None:
    """Exit with 1 where the row says what must not be."""
    why = fault(row)
    if why:
        sys.exit(f"{row['part']}: {why}")


def fault(row: Mapping[str, Any]) -> str:
    """Return what must not be in the row of a part, empty where all is well. Pure."""
    if row["part"] == AA:
        return f"claims in {row['false_claims']:.1%} of re-pairings" if row["false_claims"] > MOST_FALSE else ""
    if row["part"] != BESIDE_A_JOB:
        return ""
    if row["call"] in {"better", "worse"}:
        return f"called {row['call']} though nothing differs"
    disturbed = row["windows"]["degraded"] + row["windows"]["invalid"]
    return "" if disturbed else "no window is DEGRADED or INVALID beside a foreign job"


def _planted(backend: str, percent: int) -> dict[str, Any]:
    """Let the code judge a slowdown of the baseline's work that is known."""
    knobs = f"planted_percent: [0, {percent}]" if percent else NOTHING
    baseline = f"baseline: {{planted_percent: {percent}}}" if percent else ""
    folder = _run(backend, f"planted-{percent}", knobs, baseline, "{calibrate: 3, screen: 1, search: 0, confirm: 16}")
    row = _row(folder, f"work {percent} % longer at the baseline")
    low, high = row["interval"]
    told = "" if low is None or high is None else f"{low:+.1%} to {high:+.1%}"
    print(f"planted {percent:>2} %: {row['call']:<13} p95 gain {told:<20} {row['windows']}", flush=True)
    return row


def _aa(backend: str) -> dict[str, Any]:
    """Pair the windows of one variant anew, again and again, and count the claims."""
    folder = _run(backend, "aa-60", NOTHING, "", f"{{calibrate: {AA_WINDOWS}, screen: 1, search: 0, confirm: 5}}")
    history = Ledger(RunFolder(folder)).history
    windows = [one for one in history.windows if one.phase == "calibrate" and one.validity.usable]
    study = read.run(folder).study
    if len(windows) < 2 * AA_PAIRS:
        sys.exit(f"aa: {len(windows)} usable windows are too few to pair anew; {2 * AA_PAIRS} are needed")
    claims = sum(_claims(study, windows, np.random.default_rng([1, again])) for again in range(AGAIN))
    spreads = {
        name: _spread([getattr(one.metrics, name) for one in windows]) for name in ("p50_ms", "p95_ms", "p99_ms")
    }
    row = {
        "part": AA,
        "windows": len(windows),
        "paired_again": AGAIN,
        "false_claims": claims / AGAIN,
        "spread": spreads,
    }
    told = ", ".join(f"{name} {spread:.1%}" for name, spread in spreads.items())
    print(
        f"A/A: {len(windows)} windows, spread (sd of ln) {told}; claims in {claims} of {AGAIN} re-pairings", flush=True
    )
    return row


def _claims(study: Study, windows: list[WindowRecord], random: np.random.Generator) -> bool:
    """Whether adjacent windows, each pair named by a coin, pass one of the declared looks as better."""
    first = int(random.integers(0, len(windows) - 2 * AA_PAIRS + 1))
    pairs = []
    for at in range(first, first + 2 * AA_PAIRS, 2):
        one, other = windows[at], windows[at + 1]
        pairs.append((one, other) if random.random() < 0.5 else (other, one))  # noqa: PLR2004 - a fair coin
    counts, alphas = looks(AA_PAIRS)
    for number, (count, alpha) in enumerate(zip(counts, alphas, strict=True), 1):
        if verdict.look(study, pairs[:count], number, count, alpha).passed:
            return True
    return False


def _spread(values: list[float | None]) -> float:
    return float(np.std(np.log([value for value in values if value is not None]), ddof=1))


def _disturbed(backend: str) -> dict[str, Any]:
    """Run a study in which nothing can matter beside a job that uses the cores most of the time."""
    with _foreign_job():
        folder = _run(backend, DISTURBED, NOTHING, "", "{calibrate: 3, screen: 1, search: 0, confirm: 8}")
    row = _row(folder, BESIDE_A_JOB)
    print(f"disturbed: {row['call']}, {row['reason']} {row['windows']}", flush=True)
    return row


@contextmanager
def _foreign_job() -> Iterator[None]:
    """Keep every core busy for part of each second, from processes of our own that end with this one."""
    code = (
        "import os, sys, time\n"
        "os.sched_setaffinity(0, {int(sys.argv[1])})\n"
        "while os.getppid() == int(sys.argv[2]):\n"
        f"    end = time.monotonic() + {BUSY_S}\n"
        "    while time.monotonic() < end: pass\n"
        f"    time.sleep({IDLE_S})\n"
    )
    cores = sorted(os.sched_getaffinity(0))
    jobs = [subprocess.Popen([sys.executable, "-c", code, str(core), str(os.getpid())]) for core in cores]
    try:
        yield
    finally:
        for job in jobs:
            job.kill()
            job.wait()


def _run(backend: str, name: str, knobs: str, baseline: str, phases: str) -> Path:
    """Return the folder of a finished run of this part, running or resuming it where there is none."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.yaml"
    text = STUDY.format(name=name, knobs=knobs, baseline=baseline, phases=phases)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
    done = _finished(backend, name)
    if done is None:
        command = [
            sys.executable,
            "-m",
            "harness.cli.main",
            "optimize",
            str(file),
            "--backend",
            backend,
            "--results",
            str(RESULTS),
            "--quiet",
        ]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        done = _finished(backend, name)
    if done is None:
        sys.exit(f"{name} has no verdict yet; the same command goes on with it")
    return done


def _finished(backend: str, name: str) -> Path | None:
    """Return the newest run of this part that is over; beside a foreign job, a machine that is not ready is an answer.

    A run on another backend is none: without Docker the same part must not pass for one that ran in containers.
    """
    files = sorted((RESULTS / name).glob("*/summary.json"))
    summaries = [(file.parent, json.loads(file.read_text(encoding="utf-8"))) for file in files]
    verdicts = [(folder, summary.get("verdict")) for folder, summary in summaries if summary.get("backend") == backend]
    over = [
        folder for folder, found in verdicts if found and (name == DISTURBED or found["reason_code"] not in UNJUDGED)
    ]
    return over[-1] if over else None


def _row(folder: Path, planted: str) -> dict[str, Any]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    found = summary["verdict"]
    return {
        "part": planted,
        "call": found["call"],
        "at_least": found["at_least"],
        "estimate": found["estimate"],
        "interval": found["interval"],
        "reason": found["reason"],
        "windows": summary["windows"],
        "backend": summary["backend"],
    }


if __name__ == "__main__":
    main()
