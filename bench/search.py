"""`make bench-search`: the shipped search and judge code on surfaces whose truth is known, beside what people do instead.

Prints a table for each cell (windows, noise) and writes build/bench/search.json: rows of {strategy, windows, sigma,
family or "all", studies, regret, harm, false_claims, missed, over_claim, coverage}, all fractions of 1, null where a
strategy has no such figure. Every study is seeded. Finished studies are kept in build/bench/search/ under the hash of
the code they ran with, so a bench that was stopped goes on where it was, and changed code starts afresh.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import ground
import optuna
from ground import Case, Outcome, Score

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "build" / "bench" / "search.json"
KEPT = ROOT / "build" / "bench" / "search"
CELLS = tuple((windows, sigma) for windows in (100, 40) for sigma in (0.10, 0.05, 0.20))
STUDIES = 200
PROCESSES = 2
OURS = next(iter(ground.STRATEGIES))
RUNS_OURS = ("harness/search", "harness/judge", "harness/ledger", "harness/variant.py", "harness/study/knobs.py")
RUNS_ALL = ("tests/ground.py", "tests/fakes.py", "constraints.txt")


@dataclass(frozen=True)
class Job:
    """One strategy on one case."""

    strategy: str
    case: Case


def main() -> None:
    """Run what is not kept yet, then print and write what there is."""
    asked = _arguments()
    wanted = list(_jobs(asked.cells, asked.studies, asked.strategies))
    done = _measured(wanted, asked.seconds)
    lost = len(wanted) - len(done)
    print("\n".join(_table(asked.cells, asked.strategies, done)))
    if lost:
        print(f"\n{lost} of {len(wanted)} studies are still to be run: start again to go on.")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(list(_rows(asked.cells, asked.strategies, done)), indent=1) + "\n")
    print(f"\n{RESULT.relative_to(ROOT)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=STUDIES, help="studies for each family and cell (%(default)s)")
    parser.add_argument("--cells", type=_cell, nargs="+", default=CELLS, help="such as 100:0.10 40:0.05; all six")
    parser.add_argument("--strategies", nargs="+", default=list(ground.STRATEGIES), choices=list(ground.STRATEGIES))
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so long; start again to go on")
    return parser.parse_args()


def _cell(text: str) -> tuple[int, float]:
    windows, _, sigma = text.partition(":")
    return int(windows), float(sigma)


def _jobs(cells: Sequence[tuple[int, float]], studies: int, strategies: Sequence[str]) -> Iterator[Job]:
    """Yield all jobs, the seeds slowest, so that a bench that is stopped has about as many studies of everything."""
    for seed in range(studies):
        for windows, sigma in cells:
            for case in ground.cases(windows, sigma, range(seed, seed + 1)):
                yield from (Job(strategy, case) for strategy in strategies)


def _measured(wanted: Sequence[Job], seconds: float) -> dict[Job, Outcome]:
    """Return the outcomes of the wanted jobs: those that are kept, and those that `seconds` are enough for."""
    ends = time.monotonic() + seconds
    done = {strategy: _kept(strategy) for strategy in {job.strategy for job in wanted}}
    missing = [job for job in wanted if job.case not in done[job.strategy]]
    KEPT.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(PROCESSES, _quiet) as pool:
        for at, (job, outcome) in enumerate(pool.imap_unordered(_run, missing, chunksize=4)):
            done[job.strategy][job.case] = outcome
            with _file(job.strategy).open("a") as kept:
                kept.write(json.dumps([asdict(job.case), asdict(outcome)]) + "\n")
            if time.monotonic() > ends:
                break
            if sys.stderr.isatty() and at % 20 == 0:
                print(f"\r{at} of {len(missing)} studies", end="", file=sys.stderr)
    return {job: done[job.strategy][job.case] for job in wanted if job.case in done[job.strategy]}


def _run(job: Job) -> tuple[Job, Outcome]:
    return job, ground.outcome(job.case, ground.STRATEGIES[job.strategy](job.case))


def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _kept(strategy: str) -> dict[Case, Outcome]:
    file = _file(strategy)
    lines = file.read_text().splitlines() if file.exists() else []
    return {Case(**case): Outcome(**outcome) for case, outcome in map(json.loads, lines)}


def _file(strategy: str) -> Path:
    """Return where the outcomes of a strategy are kept, for the code as it is now."""
    sources = (*RUNS_ALL, *RUNS_OURS) if strategy == OURS else RUNS_ALL
    whole = hashlib.sha256()
    for source in sources:
        path = ROOT / source
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            whole.update(file.read_bytes())
    return KEPT / f"{''.join(filter(str.isalnum, strategy))}-{whole.hexdigest()[:12]}.jsonl"


def _rows(
    cells: Sequence[tuple[int, float]], strategies: Sequence[str], done: Mapping[Job, Outcome]
) -> Iterator[dict[str, object]]:
    for windows, sigma in cells:
        for strategy in strategies:
            for family in ("all", *ground.FAMILIES):
                found = _score(done, strategy, windows, sigma, family)
                if found is not None:
                    place = {"strategy": strategy, "windows": windows, "sigma": sigma, "family": family}
                    yield {**place, **asdict(found)}


def _score(done: Mapping[Job, Outcome], strategy: str, windows: int, sigma: float, family: str) -> Score | None:
    found = [
        (job.case, outcome)
        for job, outcome in done.items()
        if (job.strategy, job.case.windows, job.case.sigma) == (strategy, windows, sigma)
        and family in {"all", job.case.family}
    ]
    return ground.score(found) if found else None


def _table(cells: Sequence[tuple[int, float]], strategies: Sequence[str], done: Mapping[Job, Outcome]) -> Iterator[str]:
    """Yield the lines of the table: all families together, then what ours misses or claims falsely in each."""
    for windows, sigma in cells:
        yield f"\n{windows} windows, sigma {sigma:.0%}; all figures in %"
        yield f"{'':<26}{'studies':>8}{'regret':>8}{'harm':>8}{'false':>8}{'missed':>8}{'over':>8}{'covered':>8}"
        for strategy in strategies:
            found = _score(done, strategy, windows, sigma, "all")
            if found is not None:
                yield _line(strategy, found)
        for family in ground.FAMILIES if OURS in strategies else ():
            found = _score(done, OURS, windows, sigma, family)
            if found is not None:
                yield _line(f"  {OURS} on {family}", found)


def _line(name: str, found: Score) -> str:
    figures = (found.regret, found.harm, found.false_claims, found.missed, found.over_claim, found.coverage)
    return f"{name:<26}{found.studies:>8}" + "".join(
        f"{'-' if figure is None else f'{100 * figure:.1f}':>8}" for figure in figures
    )


if __name__ == "__main__":
    main()
