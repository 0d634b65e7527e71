"""A run folder for the tests of the report: the plan of the quickstart with seeded figures, through the real ledger.

Speeds are a known function of the knobs plus seeded noise; decisions are what `judge` makes of them.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from harness.judge import verdict
from harness.judge.verdict import Tested
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import Ledger
from harness.load.job import COMPLETED, SAMPLE_COLUMNS, TIMED_OUT
from harness.variant import Decision, Step, Variant
from harness.window.measurement import Figures, HostFacts, Measurement, StageTimes, Validity

START = 1_767_225_600.0
"""Unix time of the run's start: the first second of 2026."""

BASELINE = {"fraud_check": "inline"}
BLOCKING = {"fraud_check": "spawn_blocking"}
WORKERS = {"fraud_check": "inline", "worker_threads": 4}
SMALL_POOL = {"fraud_check": "inline", "max_blocking_threads": 8}
BOTH = {"fraud_check": "spawn_blocking", "worker_threads": 4}

OBJECTIVE = {"direction": "minimize", "metric": "p95", "of": None}
GUARDS = [
    {"metric": "error_ratio", "side": "at_most", "limit": 0.001, "relative": False},
    {"metric": "throughput", "side": "at_least", "limit": 0.98, "relative": True},
]
KNOBS = [
    {
        "name": "fraud_check",
        "kind": "option",
        "levels": ["inline", "spawn_blocking"],
        "ordered": False,
        "baseline": "inline",
        "about": "Where the fraud check runs: on the worker that polls the request, or on Tokio's blocking pool.",
    },
    {
        "name": "worker_threads",
        "kind": "runtime",
        "levels": ["unset", 4],
        "ordered": True,
        "baseline": "unset",
        "about": "How many threads poll tasks. More than cores helps only where tasks block their worker.",
    },
    {
        "name": "max_blocking_threads",
        "kind": "runtime",
        "levels": [8, "unset"],
        "ordered": True,
        "baseline": "unset",
        "about": "A cap on the threads of spawn_blocking, over a queue without limit.",
    },
]
RUN = {
    "schema": 1,
    "run": "quickstart-20260101T000000Z",
    "study": "quickstart",
    "study_file": "quickstart.yaml",
    "study_text": "study: quickstart\ntarget: {template: payments, cpus: 1}\nobjective: {minimize: p95}\n",
    "study_digest": "5d41402abc4b2a76b9719d911017c592ae7d3c1f0b6e2a9a54b8b3a6c1d2e3f4",
    "ground": "0123456789abcdef",
    "harness": "0.1.0",
    "backend": "docker",
    "seed": 1,
    "started": START,
    "host": {
        "cpu_model": "Example CPU @ 3.00GHz",
        "cores": 2,
        "memory_bytes": 8 * 2**30,
        "kernel": "6.1.0",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "governor": None,
        "clocksource": "tsc",
        "cgroup": "v2",
        "virtual": True,
    },
    "machine_id": "abcdef012345",
    "versions": {"harness": "0.1.0", "python": "3.11.9", "rustc": "rustc 1.96.0", "tokio": "1.54.1", "optuna": "4.9.0"},
    "commit": "8a52885",
    "core_map": {"target": [1], "generator": [0], "harness": [0], "shared": ""},
    "baseline": {
        "id": "base00000000",
        "values": BASELINE,
        "resolved": {"flavor": "multi_thread", "worker_threads": 1, "max_blocking_threads": "512"},
    },
    "objective": OBJECTIVE,
    "min_effect": 0.05,
    "guards": GUARDS,
    "knobs": KNOBS,
    "load": {
        "model": "open",
        "rate": 300.0,
        "arrivals": "poisson",
        "connections": 64,
        "timeout_s": 2.0,
        "requests": ["POST /payments"],
    },
    "window": {"warmup_s": 1.0, "measure_s": 7.0, "drain_s": 2.0},
    "target": {
        "name": "payments",
        "form": "template",
        "cpus": 1,
        "memory_bytes": 256 * 2**20,
        "settings": {"check_cpu_ms": 0.2, "check_ms": 2.0},
        "has_admin": True,
    },
    "warnings": [],
    "notices": [],
}


def p95_ms(values):
    """The true p95 of a variant: the check blocks the only worker unless it is moved or hidden by more workers."""
    if values["fraud_check"] == "spawn_blocking":
        return 3.1
    return 6.2 if values.get("worker_threads", 1) == 4 else 12.4


def variant(values):
    name = {"inline": "base", "spawn_blocking": "pool"}[values["fraud_check"]]
    return Variant(
        f"{name}{values.get('worker_threads', 0):04d}{values.get('max_blocking_threads', 0):04d}", dict(values)
    )


def steps(pairs=6, tested=BLOCKING):
    """The quickstart's 28 windows: A/A 4, screen of 2 blocks, 4 of the search, 6 pairs."""
    screen = [BASELINE, BLOCKING, WORKERS, SMALL_POOL]
    searched = [BLOCKING, BOTH, WORKERS, {**BLOCKING, "max_blocking_threads": 8}]
    yield from (_step("calibrate", BASELINE, 0, position, 11) for position in range(4))
    yield from (_step("screen", screen[at], block, at, 20 + block) for block in (0, 1) for at in range(4))
    yield from (_step("search", values, 0, at, 30) for at, values in enumerate(searched))
    for pair in range(pairs):
        order = (tested, BASELINE) if pair % 2 else (BASELINE, tested)
        yield from (_step("confirm", values, pair, at, 40 + pair) for at, values in enumerate(order))


def write(results, *, pairs=6, tested=BLOCKING, true_ms=p95_ms, spoil=None, changes=None, samples=0, finished=True):
    """Write a run folder under `results` and return its path.

    `spoil(n, measurement)` may replace window n's measurement; `changes` are laid over run.json; `samples` requests are
    kept of each confirmation window; a run that is not `finished` has no look and no verdict.
    """
    folder = RunFolder(Path(results) / "quickstart" / "20260101T000000Z")
    folder.path.mkdir(parents=True)
    folder.run_json.write_text(
        json.dumps({**RUN, "baseline": {**RUN["baseline"], "id": variant(BASELINE).id}, **(changes or {})})
    )
    ledger = Ledger(folder)
    clock = START + 2
    ledger.append_decision(Decision("plan", {"windows": 16 + 2 * pairs, "pairs": pairs}), clock)
    seen = set()
    for n, step in enumerate(steps(pairs, tested), start=1):
        if step.phase == "confirm" and step.block == 0 and step.position == 0:
            ledger.append_decision(Decision("freeze", _freeze(pairs, tested)), clock)
        new = step.variant.id not in seen
        seen.add(step.variant.id)
        made = _measurement(
            true_ms(step.variant.values), np.random.default_rng([7, n]), clock, first=n == 1, new=new, step=step
        )
        made = spoil(n, made) if spoil else made
        if made is None:
            break
        ledger.append_window(step, made)
        _keep(folder, step, n, made, samples)
        clock = made.ended + 0.05
    if finished:
        _decide(folder, ledger, pairs, tested, clock)
    return folder.path


def _decide(folder, ledger, pairs, tested, clock):
    from harness.report import read
    from harness.search import confirm

    study = read.run(folder.path).study
    found = confirm.usable_pairs(ledger.history)
    look = verdict.look(study, found, 1, pairs, 0.05)
    ledger.append_decision(Decision("look", {**look.to_json(), "final": True}), clock)
    made = verdict.judged(study, Tested(variant(tested).id, _difference(tested)), look, 0.09)
    ledger.append_decision(Decision("verdict", {**made.to_json(), "too_few": not made.judged}), clock)


def decide(path, made, clock=START + 1000):
    """Write `made` as the verdict of an unfinished run."""
    Ledger(RunFolder(Path(path))).append_decision(Decision("verdict", made.to_json()), clock)


def _difference(values):
    return {name: level for name, level in values.items() if BASELINE.get(name) != level}


def _freeze(pairs, tested):
    made = variant(tested)
    return {
        "winner": _difference(tested),
        "winner_id": made.id,
        "values": dict(made.values),
        "pairs": pairs,
        "looks": [pairs],
        "alphas": [0.05],
        "flips": [True] * (3 * pairs),
    }


def _step(phase, values, block, position, seed):
    role = "baseline" if values == BASELINE else "candidate"
    return Step(phase, role, block, position, 0, variant(values), seed)


def _measurement(true_ms, random, clock, *, first, new, step):
    p95 = float(true_ms * np.exp(random.normal(0, 0.02)))
    build = 31.0 if first else 0.9 if new else 0.0
    stages = StageTimes(build, 0.21, 0.03, 1.0, 7.0, 0.1, 0.12, build + 8.46)
    figures = Figures(
        p50_ms=p95 * 0.35,
        p90_ms=p95 * 0.8,
        p95_ms=p95,
        p99_ms=p95 * 1.6,
        p999_ms=p95 * 2.4,
        throughput=1.0,
        error_ratio=0.0,
        offered=2100,
        completed=2100,
        failed=0,
        timed_out=0,
        dropped=0,
        unfinished=0,
        cpu_per_request_us=260.0 + float(random.normal(0, 4)),
        peak_rss_bytes=int(6.1 * 2**20),
        threads=4 if step.variant.values["fraud_check"] == "inline" else 9,
        completed_per_s=300.0,
        success_p50_ms=p95 * 0.35,
        success_p95_ms=p95,
        success_p99_ms=p95 * 1.6,
    )
    host = HostFacts(0.07, 0.31, 0.001, 1.24, 1.0, 0.21, 0.02, 0.62, 0.01, 0.0, 0.0, 2408, 2408, 2408)
    workers = step.variant.values.get("worker_threads", 1)
    return Measurement(
        validity=Validity.VALID,
        reasons=(),
        started=clock,
        ended=clock + stages.total_s,
        figures=figures,
        host=host,
        stages=stages,
        in_force={"flavor": "multi_thread", "workers": workers, "options": {"fraud_check": "inline"}},
        image="sha256:0",
        new_variant=new,
    )


def lost(made, validity, reason, log=""):
    """The same window, not usable."""
    figures = None if validity is Validity.FAILED else made.figures
    return replace(made, validity=validity, reasons=(reason,), figures=figures, log=log)


def shifted(made, seconds):
    """The same window, `seconds` later."""
    return replace(made, started=made.started + seconds, ended=made.ended + seconds)


def _keep(folder, step, n, made, samples):
    kept = folder.variant(step.variant.id)
    calls = "".join(
        f"\n        .{name}({level})" for name, level in step.variant.values.items() if name != "fraud_check"
    )
    (kept / "runtime.rs").write_text(
        f"// the measured file\nBuilder::new_multi_thread()\n        .enable_all(){calls}\n"
    )
    environment = {"OPT_FRAUD_CHECK": step.variant.values["fraud_check"], "OPT_CHECK_MS": "2"}
    (kept / "variant.json").write_text(
        json.dumps({"id": step.variant.id, "environment": environment, "program_sha256": "0"})
    )
    if samples and step.phase == "confirm" and made.figures:
        random = np.random.default_rng([8, n])
        window = folder.fresh_window(n)
        write_samples(window / "samples.parquet", samples, made.figures.p95_ms, random)
        write_series(window / "series.parquet", step.variant.values["fraud_check"] == "inline", random)


def write_samples(file, count, p95, random):
    intended = np.sort(random.integers(0, 7_000_000_000, count)) + 10**12
    ms = p95 * random.exponential(1 / 3, count)
    columns = {name: np.zeros(count, dtype=kind) for name, kind in SAMPLE_COLUMNS.items()}
    columns |= {"intended_ns": intended, "done_ns": intended + (ms * 1e6).astype("int64")}
    columns["outcome"] = np.where(random.random(count) < 0.0005, TIMED_OUT, COMPLETED).astype("int8")
    parquet.write_table(pa.table(columns), file, compression="zstd")


def write_series(file, inline, random):
    t = np.arange(0, 7, 0.1)
    columns = {
        "t_s": t,
        "cpu": 0.3 + 0.05 * random.random(t.size),
        "rss_bytes": np.full(t.size, 6.0 * 2**20),
        "busy_share": (0.62 if inline else 0.08) + 0.05 * random.random(t.size),
        "global_queue_depth": random.poisson(4 if inline else 0.2, t.size).astype(float),
        "blocking_threads": np.full(t.size, 0.0 if inline else 5.0),
        "blocking_queue_depth": np.zeros(t.size),
        "alive_tasks": random.poisson(64, t.size).astype(float),
    }
    columns["cpu"][0] = np.nan
    parquet.write_table(pa.table(columns), file, compression="zstd")
