"""A fake service whose speed is a known function of its knobs plus seeded noise, and a pure loop over it.

Stands in for both seams at once (a backend and a load generator), one level up: from a step to its measurement.
Surfaces, drift and outliers are those that the reference results were simulated with.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from harness import search
from harness.ledger.ledger import decision_record, window_record
from harness.ledger.record import History
from harness.study.model import (
    UNSET,
    Budget,
    Declared,
    Guard,
    Knob,
    Load,
    Objective,
    Phases,
    Request,
    Study,
    Target,
    WindowTimes,
)
from harness.variant import Decision, Step
from harness.window.measurement import Figures, Measurement, Validity

SIX_KNOBS = (
    Knob("worker_threads", "runtime", (1, 2, 3, UNSET, 6, 8, 12, 16), ordered=True, baseline=UNSET),
    Knob("max_blocking_threads", "runtime", (8, 32, 128, UNSET, 1024), ordered=True, baseline=UNSET),
    Knob("thread_keep_alive", "runtime", ("100ms", "1s", UNSET, "60s"), ordered=True, baseline=UNSET),
    Knob("flavor", "runtime", ("multi_thread", "current_thread"), ordered=False, baseline="multi_thread"),
    Knob("event_interval", "runtime", (7, 15, 31, UNSET, 127, 255, 511), ordered=True, baseline=UNSET),
    Knob("global_queue_interval", "runtime", (3, 7, 15, UNSET, 61, 127), ordered=True, baseline=UNSET),
)
"""The knobs of the reference surfaces; unset stands for 4 workers, 512, 10 s, 61 and 31."""

QUICK_KNOBS = (
    Knob("fraud_check", "option", ("inline", "spawn_blocking"), ordered=False, baseline="inline"),
    Knob("worker_threads", "runtime", (UNSET, 8), ordered=True, baseline=UNSET),
    Knob("max_blocking_threads", "runtime", (8, UNSET), ordered=True, baseline=UNSET),
)
QUICK_PHASES = Phases(calibrate=4, screen=2, search=4, race=0, confirm=6)
ERRORS = Guard("error_ratio", "at_most", 0.001, relative=False)
THROUGHPUT = Guard("throughput", "at_least", 0.97, relative=True)

Surface = Callable[[Mapping[str, object]], tuple[float, float]]
"""From a variant's canonical values to (y, t): ln latency and ln throughput against the baseline."""


def fake_study(**changes) -> Study:
    """Return a frozen study in code; `changes` replace its fields, `cpus` and `ground` those of its target."""
    target = Target(
        name="fake",
        form="template",
        workspace=Path("fake"),
        crate=Path("fake"),
        package="fake",
        cpus=changes.pop("cpus", 4),
        memory_bytes=None,
        options=(Declared("fraud_check", "choice", "inline", "where", choices=("inline", "spawn_blocking")),),
        declared_settings=(),
        settings={},
        ground=changes.pop("ground", "ground"),
        has_admin=True,
    )
    request = Request("pay", "POST", "/payments", (), b"{}", 1.0, 200)
    study = Study(
        name="fake",
        file=Path("fake.yaml"),
        text="",
        digest="",
        target=target,
        load=Load("open", 300.0, "poisson", 64, 2.0, (request,)),
        window=WindowTimes(1.0, 7.0, 2.0),
        objective=Objective("minimize", "p95"),
        guards=(THROUGHPUT,),
        knobs=SIX_KNOBS,
        baseline={"fraud_check": "inline"},
        budget=Budget(100, None),
        phases=None,
        min_effect=0.02,
        seed=1,
    )
    return replace(study, **changes)


def quick_study(**changes) -> Study:
    """Return the study of the quickstart: three knobs with one alternative each, 28 windows."""
    sizes = {"knobs": QUICK_KNOBS, "budget": Budget(28, None), "phases": QUICK_PHASES, "cpus": 1, "guards": (ERRORS,)}
    return fake_study(**{**sizes, **changes})


@dataclass(frozen=True)
class Noise:
    """Drift with sd `kappa` sigma, normal noise, and one-sided outliers in 5 % of windows.

    The i-th window of a `seed` meets the same luck whatever is measured. `arrivals` is the sd of the luck that windows
    with the same schedule seed share.
    """

    seed: int = 0
    sigma: float = 0.10
    kappa: float = 1.0
    arrivals: float = 0.0

    def of_window(self, n: int, schedule_seed: int) -> tuple[float, float]:
        """Return what the n-th window adds to (y, t)."""
        drift, own, throughput = _luck(self.seed)
        shared = (
            self.arrivals * np.random.default_rng([self.seed, schedule_seed]).standard_normal() if self.arrivals else 0
        )
        y = self.sigma * (self.kappa * drift[n] + own[n]) + shared
        return y, 0.3 * self.sigma * (throughput[n] - self.kappa * drift[n])


@dataclass(frozen=True)
class Fake:
    """A service and its load in one: `run_step` measures a step as the n-th window of its ledger."""

    surface: Surface
    noise: Noise = Noise()
    faults: Callable[[int, Step], tuple[Validity, str] | None] = lambda _n, _step: None
    errors: Callable[[Mapping[str, object]], float] = lambda _values: 0.0
    window_s: float = 10.0

    def run_step(self, step: Step, n: int) -> Measurement:
        """Return the measurement of `step`, which depends on nothing but the step, `n` and the fake itself."""
        started = 1000.0 + n * (self.window_s + 1)
        fault = self.faults(n, step)
        if fault is not None:
            return Measurement(fault[0], (fault[1],), started, started + self.window_s)
        y, t = self.surface(step.variant.values)
        luck_y, luck_t = self.noise.of_window(n, step.schedule_seed)
        made = figures(20 * math.exp(y + luck_y), 0.5 * math.exp(t + luck_t), self.errors(step.variant.values))
        image = f"image-{step.variant.id}"
        return Measurement(Validity.VALID, (), started, started + self.window_s, made, {"pay": made}, image=image)


def figures(latency_ms: float = 20.0, throughput: float = 0.5, error_ratio: float = 0.0) -> Figures:
    """Return figures in which every percentile is `latency_ms`."""
    percentiles = dict.fromkeys(("p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms"), latency_ms)
    counts = {"offered": 2100, "completed": 2100, "failed": 0, "timed_out": 0, "dropped": 0, "unfinished": 0}
    return Figures(**percentiles, throughput=throughput, error_ratio=error_ratio, **counts, peak_rss_bytes=1 << 20)


def run_one(study: Study, history: History, fake: Fake) -> tuple[Step | Decision | None, History]:
    """Return what `next_step` names and the history after it."""
    step = search.next_step(study, history)
    if step is None:
        return None, history
    if isinstance(step, Decision):
        record = decision_record(history, step, at=0.0)
        return step, history.model_copy(update={"decisions": (*history.decisions, record)})
    measured = window_record(history, step, fake.run_step(step, len(history.windows) + 1))
    return step, history.model_copy(update={"windows": (*history.windows, measured)})


def run_study(study: Study, fake: Fake, history: History | None = None) -> tuple[list[Step | Decision], History]:
    """Run a study on a fake to its verdict: (steps in order, history)."""
    steps, history = [], history or History()
    while True:
        step, history = run_one(study, history, fake)
        if step is None:
            return steps, history
        steps.append(step)


def flat(values: Mapping[str, object]) -> tuple[float, float]:
    """Return a surface on which nothing matters."""
    del values
    return 0.0, 0.0


def quick(values: Mapping[str, object]) -> tuple[float, float]:
    """Return the surface of the quickstart: the blocking check hurts, more workers hide most of it."""
    if values["fraud_check"] == "spawn_blocking":
        return -2.2 + (0.3 if values.get("max_blocking_threads") == 8 else 0.0), 0.0
    return (-1.6 if values.get("worker_threads") == 8 else 0.0), 0.0


def surface(family: str, seed: int) -> Surface:
    """Return one of the reference surfaces: flat, default_opt, single, additive, interaction or tradeoff."""
    if family == "flat":
        return flat
    raw = _RawSurface.drawn(family, np.random.default_rng([seed, sorted(FAMILIES).index(family)]))
    y0, t0 = raw.at({})

    def against_baseline(values: Mapping[str, object]) -> tuple[float, float]:
        y, t = raw.at(values)
        return y - y0, -0.4 * (y - y0) + t - t0

    return against_baseline


FAMILIES = ("flat", "default_opt", "single", "additive", "interaction", "tradeoff")


@cache
def _luck(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    size = 1000
    r = math.exp(-1 / 30)
    drift, steps = np.empty(size), rng.standard_normal(size)
    drift[0] = steps[0]
    for i in range(1, size):
        drift[i] = r * drift[i - 1] + math.sqrt(1 - r * r) * steps[i]
    own = rng.standard_normal(size) + rng.exponential(3, size) * (rng.random(size) < 0.05)
    return drift, own, rng.standard_normal(size)


def _quad(x: float, best: float, depth: float) -> float:
    return depth * ((x - best) ** 2 / best**2 - 1)


@dataclass(frozen=True)
class _RawSurface:
    """A drawn surface before its baseline is taken off. W, E, Q: log2 of workers/4, event/61, queue/31."""

    family: str
    best: tuple[float, float, float]
    depth: tuple[float, float, float]
    event_curve: float
    queue_curve: float
    many_workers: float
    blocking_needed: int
    current_thread: float
    penalty: float
    throughput_cost: float

    @classmethod
    def drawn(cls, family: str, rng: np.random.Generator) -> "_RawSurface":
        workers = {"single": (2, 8, 12), "interaction": (8, 12)}.get(family, (2, 6, 8))
        event = (7, 15) if family == "tradeoff" else (15, 31, 127, 255)
        depths = {
            "single": (0.08, 0.18),
            "additive": (0.03, 0.08),
            "interaction": (0.15, 0.28),
            "tradeoff": (0.06, 0.12),
        }
        low, high = depths.get(family, (0.0, 0.0))
        depth = tuple(rng.uniform(low, high, 3))
        return cls(
            family=family,
            best=(
                math.log2(rng.choice(workers) / 4),
                math.log2(rng.choice(event) / 61),
                math.log2(rng.choice((7, 15, 61, 127)) / 31),
            ),
            depth=(depth[0], rng.uniform(0.10, 0.18) if family == "tradeoff" else depth[1], depth[2]),
            event_curve=rng.uniform(0.003, 0.010),
            queue_curve=rng.uniform(0.002, 0.008),
            many_workers=rng.uniform(0.01, 0.04),
            blocking_needed=int(rng.choice((8, 64, 128))),
            current_thread=rng.uniform(0.25, 0.60),
            penalty=rng.uniform(0, 0.04),
            throughput_cost=rng.uniform(0.06, 0.12) if family == "tradeoff" else 0.0,
        )

    def at(self, values: Mapping[str, object]) -> tuple[float, float]:
        w = math.log2(values.get("worker_threads", 4) / 4)
        e = math.log2(values.get("event_interval", 61) / 61)
        q = math.log2(values.get("global_queue_interval", 31) / 31)
        fixed = 0.12 * max(0.0, math.log2(self.blocking_needed / values.get("max_blocking_threads", 512)))
        fixed += 0.02 if values.get("thread_keep_alive") == "100ms" else 0.0
        t = -self.throughput_cost * min(1.5, max(0.0, e / self.best[1])) if self.throughput_cost else 0.0
        if values.get("flavor") == "current_thread":
            return self.current_thread + self._event(e) + fixed, t
        queue = _quad(q, self.best[2], self.depth[2]) if self.family == "additive" else self.queue_curve * q * q
        return self._workers_and_event(w, e) + queue + fixed, t

    def _event(self, e: float) -> float:
        if self.family in {"additive", "tradeoff"}:
            return _quad(e, self.best[1], self.depth[1])
        return self.event_curve * e * e

    def _workers_and_event(self, w: float, e: float) -> float:
        few = 0.10 * max(0.0, -w) ** 1.5
        if self.family == "interaction":
            tw, te = (
                max(0.0, min(1.0, 1 - abs(x - best) / abs(best))) for x, best in zip((w, e), self.best, strict=False)
            )
            apart = self.penalty * (tw * (1 - te) + te * (1 - tw))
            return few + 0.5 * self.event_curve * e * e * (1 - tw) - self.depth[0] * tw * te + apart
        if self.family in {"single", "additive", "tradeoff"}:
            return _quad(w, self.best[0], self.depth[0]) + self._event(e)
        return few + self.many_workers * max(0.0, w) + self._event(e)
