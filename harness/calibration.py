"""The calibration of this host: what the engines measure where there is nothing to measure, and the rates that they hold.

A server that answers at once stands in for the target. What is then seen is the floor: latency that generator, kernel
and host add to every figure. The ceiling of an engine is the highest rate at which the gates that judge it stay silent.
Both are kept for this user and machine, and quoted by every run.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import harness
from harness.errors import MachineError
from harness.ledger import provenance
from harness.load import native_program, samples
from harness.load.generator import LocustGenerator
from harness.load.job import Driven, Job
from harness.load.null_servers import NullServer, null_server, null_websocket
from harness.study.loads import SWITCHING
from harness.study.model import EngineName, Load, Request, Study, WebSocket, WindowTimes
from harness.target import cache
from harness.window import facts, figures, gates, quiet
from harness.window.cores import CoreMap
from harness.window.jitter import Jitter, JitterProbe
from harness.window.measurement import HostFacts, Validity
from harness.window.watch import Watch

ENGINES = ("http", "native", "websocket")
USUAL_CEILINGS = {"http": 3000.0, "native": 14_000.0, "websocket": 2000.0}
"""Requests (of websocket: messages sent and answered) a second that the engines held within their gates on a shared
two-core machine; used until this one is calibrated (facts on load generation, section 9)."""
CEILING_MARGIN_MS = 0.5
"""Lateness that is allowed while a ceiling is looked for: a tenth of a latency of 5 ms. A study with smaller latencies
is held to its own limit by the gate."""
FLOOR_RATE = 300.0
"""Requests a second at which the floor is measured where no study says another rate."""
FAR_RATE = 3.0
"""A floor that was measured at a rate so many times smaller is no longer that of the study: a run says so."""
OLD_S = 30 * 86400.0

_FLOOR_TIMES = WindowTimes(1.0, 5.0, 1.0)
_CEILING_TIMES = WindowTimes(0.3, 1.5, 0.5)
_FIRST_RATE = 1000.0
_MOST_RATE = 128_000.0
_HALVINGS = 3
_NULL = Request("null", "GET", "/", (), b"", 1.0, 200)
_MESSAGE = Request("null", "GET", "/", (), b"{id}", 1.0, SWITCHING)
_JUDGING = ("dispatched", "lateness", "arrivals", "generator_cpu", "throttling", "accounting")
_OF_THE_ENGINE_ALONE = ("dispatched", "generator_cpu", "accounting")
_OF_THE_HOST = ("foreign_cpu", "steal")
_TRIES = 3
_QUIET_LIMIT_S = 5.0


@dataclass(frozen=True)
class EngineCalibration:
    """One engine on this host: latency against a server that answers at once (ms) at `rate`, and the rate it holds.

    `disturbed`: others used the cores whenever it was tried, so `ceiling` rests on the engine's own CPU time alone.
    """

    engine: str
    rate: float
    connections: int
    floor_ms: Mapping[str, float]
    lateness_p50_ms: float
    lateness_p99_ms: float
    cpu: float
    ceiling: float
    disturbed: bool = False


@dataclass(frozen=True)
class Calibration:
    """Every engine on this host, and how late a thread woke that does nothing else. `at` is Unix seconds."""

    at: float
    machine_id: str
    harness: str
    jitter: Jitter | None
    engines: Mapping[str, EngineCalibration]

    def ceiling(self, engine: str) -> float | None:
        """Return the highest rate that `engine` held, None where it was not measured."""
        found = self.engines.get(engine)
        return None if found is None else found.ceiling


@dataclass(frozen=True)
class Seen:
    """What one window against the null server showed."""

    facts: HostFacts
    latency_ms: Mapping[str, float]
    jitter: Jitter | None

    @property
    def held(self) -> bool:
        """Whether the engine kept to its schedule, by the gates that judge the generator."""
        if self.facts.generator_cpu is None:
            return False
        judging = _OF_THE_ENGINE_ALONE if self.disturbed else _JUDGING
        found = [gate for name in judging for gate in gates.GATES[name](self.facts, gates.LIMITS)]
        return all(gate.validity is not Validity.INVALID for gate in found)

    @property
    def disturbed(self) -> bool:
        """Whether others used the cores: how late a request was sent then says nothing about the engine."""
        return any(gates.GATES[name](self.facts, gates.LIMITS) for name in _OF_THE_HOST)


def calibrate(
    load: Load | None, cores: CoreMap, say: Callable[[str], None], spread: CoreMap | None = None
) -> Calibration:
    """Measure floor and ceiling of each engine (about half a minute each) and keep them; `load` is the study's, if any.

    `spread` is the core map of an engine with threads, which a run gives every core that is left.
    """
    wanted = (load.peak_rate if load else None) or FLOOR_RATE
    connections = load.connections if load else 64
    found: dict[str, EngineCalibration] = {}
    jitter: Jitter | None = None
    for engine in ENGINES:
        rate, mine = min(wanted, USUAL_CEILINGS[engine]), spread if spread and engine == "native" else cores
        with tempfile.TemporaryDirectory(prefix="harness-calibrate-") as name, Bench.opened(Path(name), mine) as bench:
            seen = bench.quiet_window(engine, rate, connections, _FLOOR_TIMES)
            jitter = jitter or seen.jitter
            say(f"{engine}: against a server that answers at once, {rate:g}/s: " + _floor_words(seen))
            ceiling, disturbed = _ceiling(bench, engine, connections, say)
        found[engine] = _calibrated(engine, rate, connections, seen, ceiling, disturbed=seen.disturbed or disturbed)
    calibration = Calibration(time.time(), machine_id(), harness.__version__, jitter, found)
    keep(calibration)
    return calibration


class Bench:
    """A generator and null servers on their cores; `window` sends one window of load from the one to the other."""

    def __init__(
        self,
        folder: Path,
        cores: CoreMap,
        generator: LocustGenerator,
        nulls: Mapping[str, NullServer],
        jitter: JitterProbe,
    ) -> None:
        """Take the parts, all of them started; `nulls` by engine."""
        self._folder, self._cores, self._generator, self._nulls, self._jitter = folder, cores, generator, nulls, jitter
        self._seed = 0

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, cores: CoreMap) -> Iterator[Bench]:
        """Start the parts and end them."""
        program = native_program.built()
        with (
            closing(LocustGenerator(cores.generator, folder / "generator.log", program)) as generator,
            closing(JitterProbe()) as jitter,
            null_server(cores.target) as null,
            null_websocket(cores.target) as null_of_messages,
        ):
            yield cls(folder, cores, generator, {"http": null, "native": null, "websocket": null_of_messages}, jitter)

    def window(self, engine: str, rate: float, connections: int, times: WindowTimes) -> Seen:
        """Send one window and return what it showed."""
        self._seed += 1
        null = self._nulls[engine]
        load = null_load(engine, rate, connections, times.drain_s)
        job = Job(null.port, load, times, self._seed, self._folder / "samples.parquet")
        watch = Watch(null.pid, lambda: self._generator.pids, None, (self._jitter.pid,))

        def began(start_ns: int, t0_ns: int, t1_ns: int) -> None:
            watch.begin(start_ns, t0_ns, t1_ns)
            self._jitter.begin(t0_ns, t1_ns)

        try:
            driven = self._generator.drive(job, began)
        finally:
            watch.finish()
            jitter = self._jitter.finish()
        return _seen(job, driven, watch, self._cores, jitter)

    def quiet_window(self, engine: str, rate: float, connections: int, times: WindowTimes) -> Seen:
        """Return the first window that nobody else disturbed, of a few, each after a wait for a quiet host."""
        cores = (*self._cores.generator, *self._cores.target)
        for _ in range(_TRIES):
            quiet.wait_until_quiet(cores, gates.LIMITS.foreign_degraded, _QUIET_LIMIT_S)
            seen = self.window(engine, rate, connections, times)
            if not seen.disturbed:
                break
        return seen


def _seen(job: Job, driven: Driven, watch: Watch, cores: CoreMap, jitter: Jitter | None) -> Seen:
    taken = samples.read(job.samples)
    latency_ns = np.where(taken.done_ns > 0, taken.done_ns - taken.intended_ns, int(job.load.timeout_s * 1e9))
    counted = HostFacts(
        engine=job.load.engine,
        generator_cores=len(cores.generator) if job.load.engine == "native" else 1,
        dispatched_share=driven.dispatched / driven.offered if driven.offered else None,
    )
    known = facts.with_samples(facts.with_watch(counted, watch, cores, jitter), job, driven, taken, latency_ns)
    known = facts.with_lateness(known, taken, job.load, None, CEILING_MARGIN_MS / gates.LIMITS.objective_share)
    found = {name: float(np.quantile(latency_ns, q)) / 1e6 for name, q in figures.QUANTILES.items()}
    return Seen(known, found, jitter)


def _ceiling(bench: Bench, engine: str, connections: int, say: Callable[[str], None]) -> tuple[float, bool]:
    """Return the highest rate that `engine` holds, and whether others disturbed what decided it.

    Doubled until it does not hold, then halved in between. Two windows have to fail: one may be chance.
    """
    disturbed = False

    def holds(rate: float) -> bool:
        nonlocal disturbed
        seen = bench.quiet_window(engine, rate, connections, _CEILING_TIMES)
        if not seen.held:
            seen = bench.quiet_window(engine, rate, connections, _CEILING_TIMES)
        disturbed = disturbed or seen.disturbed
        say(f"{engine}: {rate:,.0f}/s {'held' if seen.held else 'not held'}{_BY_CPU if seen.disturbed else ''}")
        return seen.held

    return highest(holds, _FIRST_RATE, _MOST_RATE, _HALVINGS), disturbed


_BY_CPU = " (others used the cores, so judged by the engine's own CPU time alone)"


def highest(holds: Callable[[float], bool], first: float, most: float, halvings: int) -> float:
    """Return the highest rate found to hold, 0 if `first` and what is below it do not. Pure but for `holds`."""
    low, high = 0.0, first
    while high <= most and holds(high):
        low, high = high, 2 * high
    if high > most:
        return low
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _calibrated(
    engine: str, rate: float, connections: int, seen: Seen, ceiling: float, *, disturbed: bool
) -> EngineCalibration:
    return EngineCalibration(
        engine=engine,
        rate=rate,
        connections=connections,
        floor_ms=seen.latency_ms,
        lateness_p50_ms=seen.facts.lateness_p50_ms or 0.0,
        lateness_p99_ms=seen.facts.lateness_p99_ms or 0.0,
        cpu=seen.facts.generator_cpu or 0.0,
        ceiling=ceiling,
        disturbed=disturbed,
    )


def _floor_words(seen: Seen) -> str:
    told = ", ".join(f"{name} {seen.latency_ms[name]:.2f} ms" for name in ("p50", "p95", "p99"))
    return (
        f"{told}; sent late by p50 {seen.facts.lateness_p50_ms or 0:.2f}, p99 {seen.facts.lateness_p99_ms or 0:.2f} ms"
    )


def null_load(engine: str, rate: float, connections: int, timeout_s: float) -> Load:
    """Return an open load of the smallest requests, or messages, that a null server answers."""
    of_messages = engine == "websocket"
    return Load(
        "open",
        rate,
        "poisson",
        connections,
        timeout_s,
        (_MESSAGE if of_messages else _NULL,),
        engine=engine,  # type: ignore[arg-type] # a name of the table
        websocket=WebSocket("/") if of_messages else None,
    )


# What a run makes of it


@dataclass(frozen=True)
class Settled:
    """A study with its engine chosen and the floor of this host in it, and what to tell the person about both."""

    study: Study
    words: tuple[str, ...]


def settled(study: Study, calibration: Calibration | None) -> Settled:
    """Choose the engine where the study leaves it open, and refuse a rate above the ceiling of this host.

    MachineError for a rate that a calibrated engine does not hold. Without a calibration the usual ceilings choose, and
    nothing is refused: the gates will say what became of it.
    """
    load = study.load
    engine, why = _chosen(load, calibration)
    words = [why] if why else []
    known = calibration.engines.get(engine) if calibration else None
    words += _of_broadcast(load, known.ceiling if known else None)
    words += _over_the_ceiling(load.peak_rate, engine, known, calibration)
    words += _floor_told(load.peak_rate, engine, known, calibration)
    floor_ms = {**known.floor_ms, "lateness": known.lateness_p50_ms} if known and not known.disturbed else {}
    return Settled(replace(study, load=replace(load, engine=engine), floor_ms=floor_ms), tuple(words))


def _of_broadcast(load: Load, ceiling: float | None) -> list[str]:
    """Return a warning where every connection gets every message and that is probably more than the engine takes in.

    It never refuses: to take a message in costs less than to send one and take its answer in, which is calibrated.
    """
    if load.websocket is None or load.websocket.delivery != "broadcast":
        return []
    received = (load.peak_rate or 0.0) * load.connections
    holds = ceiling or USUAL_CEILINGS["websocket"]
    if received <= holds:
        return []
    engine = f"the {holds:,.0f}/s that the websocket engine sends and gets back"
    return [f"{received:,.0f} messages received a second are more than {engine}: windows may become INVALID"]


def _over_the_ceiling(
    rate: float | None, engine: str, known: EngineCalibration | None, calibration: Calibration | None
) -> list[str]:
    """Return a warning for a rate above what the engine holds; MachineError where a quiet calibration knows so."""
    ceiling = known.ceiling if known else USUAL_CEILINGS.get(engine)
    if rate is None or ceiling is None or rate <= ceiling:
        return []
    if known is None:
        usually = f"the {engine} engine usually holds ({ceiling:,.0f}/s)"
        mend = "this host is not calibrated: `harness doctor --calibrate` measures what it holds here"
        return [f"{rate:,.0f} requests/s are more than {usually}, and {mend}"]
    told = _above(rate, engine, known, calibration)
    if not known.disturbed:
        raise MachineError(told)
    return [f"{told} Others used the cores when that was measured, so the run is not refused."]


def _floor_told(
    rate: float | None, engine: str, known: EngineCalibration | None, calibration: Calibration | None
) -> list[str]:
    if known is None or calibration is None:
        lacks = "noise floor of this host: not known; `harness doctor --calibrate` measures it in two minutes"
        return [lacks] if engine in USUAL_CEILINGS else []
    told = ", ".join(f"{name} {known.floor_ms[name]:.2f} ms" for name in ("p50", "p95", "p99"))
    day = time.strftime("%Y-%m-%d", time.gmtime(calibration.at))
    old = "; it is old, calibrate again" if time.time() - calibration.at > OLD_S else ""
    if known.disturbed:
        old = "; others used the cores then, so it is not used: calibrate again in a quiet hour"
    far = rate is not None and rate > FAR_RATE * known.rate
    other = (
        f" This study offers {rate:,.0f}/s: `harness doctor --calibrate --study FILE` measures its own." if far else ""
    )
    return [f"noise floor of this host, {engine} engine: {told} at {known.rate:g}/s (calibrated {day}{old}).{other}"]


def _chosen(load: Load, calibration: Calibration | None) -> tuple[EngineName, str]:
    if load.engine != "auto":
        return load.engine, ""
    if load.model == "closed" and not load.think_s:
        return "native", "engine: native, because a closed load without think time goes as fast as it can"
    rate = load.peak_rate or 0.0
    ceiling = (calibration.ceiling("http") if calibration else None) or USUAL_CEILINGS["http"]
    source = "calibrated" if calibration else "the usual figure, this host is not calibrated"
    if rate > ceiling:
        return "native", f"engine: native, because {rate:,.0f}/s are above the {ceiling:,.0f}/s of http ({source})"
    return "http", f"engine: http, which holds {ceiling:,.0f}/s ({source})"


def _above(rate: float, engine: str, known: EngineCalibration, calibration: Calibration | None) -> str:
    other = calibration.ceiling("native") if calibration and engine != "native" else None
    better = "write `engine: native` (or `engine: auto`), " if other is not None and other >= rate else ""
    return (
        f"the study offers up to {rate:,.0f} requests/s, and the {engine} engine holds {known.ceiling:,.0f}/s on this host: "
        f"{better}lower the rate, or use a machine with faster or more cores. "
        "After a change of the machine run `harness doctor --calibrate` again."
    )


# What is kept


def machine_id() -> str:
    """Return the digest by which a calibration knows its machine again."""
    return provenance.machine_id(provenance.machine())


def file() -> Path:
    """Return where the calibration of this user's machine is kept."""
    return cache.folder() / "calibration.json"


def keep(calibration: Calibration) -> None:
    """Write it; MachineError where the disk refuses."""
    with cache.disk_errors(cache.folder()):
        file().parent.mkdir(parents=True, exist_ok=True)
        partial = file().with_suffix(".partial")
        partial.write_text(json.dumps(to_json(calibration), indent=1) + "\n", encoding="utf-8")
        partial.rename(file())


def kept() -> Calibration | None:
    """Return the calibration of this machine, None where there is none or it is of another one."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = from_json(json.loads(file().read_text(encoding="utf-8")))
        return found if found.machine_id == machine_id() else None
    return None


def to_json(calibration: Calibration) -> dict[str, Any]:
    """Return plain JSON."""
    return asdict(calibration)


def from_json(content: Mapping[str, Any]) -> Calibration:
    """Return what `to_json` wrote."""
    return Calibration(
        at=float(content["at"]),
        machine_id=str(content["machine_id"]),
        harness=str(content["harness"]),
        jitter=None if content["jitter"] is None else Jitter(**content["jitter"]),
        engines={name: EngineCalibration(**row) for name, row in content["engines"].items()},
    )
