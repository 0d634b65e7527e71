"""One window: a fresh start of one variant, load, stop. Owns the order of events; what goes wrong in it becomes a record.

build -> start -> ready -> knobs in force -> verify, connect -> warm-up -> measure -> drain -> stop -> figures -> gates

A fault of the target makes the window FAILED, a disturbed generator or host INVALID. Only a machine that cannot go on
(MachineError) or a person (KeyboardInterrupt) ends it without a record, after everything started was taken away.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness import variant as variants
from harness.load import samples
from harness.load.job import Driven, Generator, Job, TargetRefused
from harness.study.model import Study
from harness.target import inspect
from harness.target.service import Backend, Placement, Program, Service, TargetFailed
from harness.variant import Step, Variant
from harness.window import figures, gates, series
from harness.window.cores import CoreMap
from harness.window.host import share
from harness.window.measurement import Figures, HostFacts, Measurement, StageTimes, Validity
from harness.window.watch import Account, Watch

READY_LIMIT_S = 20.0
LOG_LINES_KEPT = 200


@dataclass(frozen=True)
class Bench:
    """What all windows of a run share. `build` turns a variant into a program (cargo, or a fake in tests)."""

    study: Study
    build: Callable[[Study, Variant], Program]
    backend: Backend
    generator: Generator
    cores: CoreMap


@dataclass(frozen=True)
class Place:
    """What belongs to this window alone: its folder, its variant's folder, the host's median lateness if known (ms)."""

    folder: Path
    variant_folder: Path
    floor_ms: float | None
    new_variant: bool


@dataclass(frozen=True)
class _Run:
    """What happened while the service ran."""

    driven: Driven
    watch: Watch
    facts: HostFacts
    peak_rss_bytes: int | None
    in_force: dict[str, object]
    start_s: float
    connect_s: float
    faults: tuple[str, ...]
    log: str


def run(step: Step, bench: Bench, place: Place) -> Measurement:
    """Carry out `step` and return what came of it; see the module for what may be raised instead."""
    started, clock = time.time(), time.monotonic()
    program: Program | None = None
    try:
        program = bench.build(bench.study, step.variant)
        _keep_sources(bench.study, step.variant, program, place.variant_folder)
        ran = _serve_and_drive(step, bench, place, program)
    except (TargetFailed, TargetRefused) as fault:
        return Measurement(
            validity=Validity.FAILED,
            reasons=(str(fault),),
            started=started,
            ended=time.time(),
            stages=StageTimes(build_s=program.build_s if program else 0.0, total_s=time.monotonic() - clock),
            image=program.digest if program else "",
            new_variant=place.new_variant,
            log=getattr(fault, "log", ""),
        )
    measured = _measured(bench.study, ran, place)
    return replace(
        measured,
        started=started,
        ended=time.time(),
        stages=_stages(ran, program, time.monotonic() - clock),
        image=program.digest,
        new_variant=place.new_variant,
    )


def _serve_and_drive(step: Step, bench: Bench, place: Place, program: Program) -> _Run:
    study = bench.study
    port, admin_port = inspect.free_ports()
    placement = Placement(bench.cores.target, study.target.memory_bytes, port, admin_port, secrets.token_hex(8))
    begun = time.monotonic_ns()
    with bench.backend.serve(program, placement) as service:
        inspect.wait_ready(service, placement, has_admin=study.target.has_admin, limit_s=READY_LIMIT_S)
        ready = time.monotonic_ns()
        in_force = inspect.in_force(service, placement, has_admin=study.target.has_admin)
        faults = inspect.check_in_force(study, step.variant, in_force)
        if faults:
            raise TargetFailed("; ".join(faults), service.log())
        watch = Watch(service.pid, bench.generator.pid, admin_port if study.target.has_admin else None)
        driven = _drive(step, bench, place, service, watch, port)
        return _Run(
            driven=driven,
            watch=watch,
            facts=_facts(bench, driven, watch, service, admin_port),
            peak_rss_bytes=inspect.vm_hwm_bytes(service.pid),
            in_force=in_force,
            start_s=(ready - begun) / 1e9,
            connect_s=(driven.start_ns - ready) / 1e9,
            faults=_death(service),
            log=service.log(LOG_LINES_KEPT),
        )


def _drive(step: Step, bench: Bench, place: Place, service: Service, watch: Watch, port: int) -> Driven:
    job = Job(port, bench.study.load, bench.study.window, step.schedule_seed, place.folder / "samples.parquet")
    try:
        return bench.generator.drive(job, watch.begin)
    except TargetRefused as refused:
        # The exit tells more than the broken connection that it caused.
        raise TargetFailed("; ".join((*_death(service), str(refused))), service.log()) from refused
    finally:
        watch.finish()


def _death(service: Service) -> tuple[str, ...]:
    ended = service.exited()
    return () if ended is None else (f"the service did not survive the window: {ended.words}",)


def _facts(bench: Bench, driven: Driven, watch: Watch, service: Service, admin_port: int) -> HostFacts:
    has_admin = bench.study.target.has_admin
    server_requests = inspect.request_count(inspect.scrape(admin_port)) if has_admin else None
    notes = (bench.cores.shared,) if bench.cores.shared else ()
    facts = HostFacts(
        dispatched_share=driven.dispatched / driven.offered if driven.offered else None,
        server_requests=server_requests,
        sent_requests=driven.sent_total,
        answered_requests=driven.answered_total,
        throttled_s=service.cgroup_cpu_throttled_s(),
        notes=notes,
    )
    if watch.first is None or watch.last is None:
        return facts
    return _with_cpu_shares(facts, watch.first, watch.last, bench.cores)


def _with_cpu_shares(facts: HostFacts, first: Account, last: Account, cores: CoreMap) -> HostFacts:
    wall_ns = last.at_ns - first.at_ns
    target = _used(first.target_ns, last.target_ns, wall_ns)
    generator = _used(first.generator_ns, last.generator_ns, wall_ns)
    harness = (last.harness_ns - first.harness_ns) / wall_ns
    ours_elsewhere = None if generator is None else generator + harness
    foreign = [
        max(0.0, share(first.host.used_ns, last.host.used_ns, group, wall_ns) - ours) / len(group)
        for group, ours in _groups(cores, target, ours_elsewhere)
        if ours is not None
    ]
    mine = tuple(sorted({*cores.target, *cores.generator}))
    return replace(
        facts,
        target_cpu=target,
        generator_cpu=generator,
        harness_cpu=harness,
        foreign_cpu=max(foreign) if foreign else None,
        steal=max(share(first.host.steal_ns, last.host.steal_ns, (core,), wall_ns) for core in mine),
    )


def _groups(cores: CoreMap, target: float | None, rest: float | None) -> list[tuple[tuple[int, ...], float | None]]:
    """Return the groups of cores, each with the share that our own processes used there."""
    if cores.shared:
        return [(cores.generator, None if target is None or rest is None else target + rest)]
    return [(cores.target, target), (tuple(sorted({*cores.generator, *cores.harness})), rest)]


def _used(before: int | None, after: int | None, wall_ns: int) -> float | None:
    return None if before is None or after is None else (after - before) / wall_ns


def _measured(study: Study, ran: _Run, place: Place) -> Measurement:
    taken = samples.read(place.folder / "samples.parquet")
    timeout_ns = int(study.load.timeout_s * 1e9)
    latency = np.where(taken.done_ns > 0, taken.done_ns - taken.intended_ns, timeout_ns)
    measured_s = (ran.driven.t1_ns - ran.driven.t0_ns) / 1e9

    def of(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Figures:
        return figures.figures(figures.Arrivals(latency[mask], taken.outcome[mask]), study.load, measured_s)

    whole = _with_resources(of(np.ones(len(latency), dtype=bool)), ran)
    by_request = {request.name: of(taken.kind == index) for index, request in enumerate(study.load.requests)}
    late = figures.lateness_ms(taken.intended_ns, taken.woken_ns)
    facts = _with_lateness(ran.facts, late, place.floor_ms, _scored_ms(study, whole, by_request))
    table = series.rows(ran.watch.samples, ran.driven.t0_ns)
    series.write(place.folder / "series.parquet", table)
    (place.folder / "container.log").write_text(ran.log, encoding="utf-8")
    validity, reasons = gates.validity(facts)
    if ran.faults:
        validity, reasons = Validity.FAILED, (*ran.faults, *reasons)
    return Measurement(
        validity=validity,
        reasons=reasons,
        started=0.0,
        ended=0.0,
        figures=whole,
        by_request=by_request if len(by_request) > 1 else {},
        host=facts,
        in_force=ran.in_force,
        log=ran.log[-4000:] if ran.faults else "",
    )


def _with_resources(whole: Figures, ran: _Run) -> Figures:
    first, last = ran.watch.first, ran.watch.last
    cpu_us: float | None = None
    if first and last and first.target_ns is not None and last.target_ns is not None and whole.completed:
        cpu_us = (last.target_ns - first.target_ns) / 1000 / whole.completed
    threads = [sample.threads for sample in ran.watch.samples if sample.threads is not None]
    return replace(
        whole,
        cpu_per_request_us=cpu_us,
        peak_rss_bytes=ran.peak_rss_bytes,
        threads=max(threads) if threads else None,
    )


def _with_lateness(
    facts: HostFacts,
    late: np.ndarray[tuple[int], np.dtype[np.float64]],
    floor_ms: float | None,
    scored_ms: float | None,
) -> HostFacts:
    if len(late) == 0:
        return facts
    limit = gates.lateness_limit_ms(floor_ms, scored_ms)
    return replace(
        facts,
        lateness_p50_ms=float(np.quantile(late, 0.5)),
        lateness_p99_ms=float(np.quantile(late, 0.99)),
        late_share=float(np.mean(late > limit)),
        lateness_limit_ms=limit,
    )


def _scored_ms(study: Study, whole: Figures, by_request: dict[str, Figures]) -> float | None:
    """Return the percentile that the objective scores, in ms; the median where the objective is no percentile."""
    of = study.objective.of
    chosen = whole if of is None else by_request[of]
    name = study.objective.metric if study.objective.metric in figures.QUANTILES else "p50"
    value: float | None = getattr(chosen, f"{name}_ms")
    return value


def _stages(ran: _Run, program: Program, total_s: float) -> StageTimes:
    driven = ran.driven
    parts = StageTimes(
        build_s=program.build_s,
        start_s=ran.start_s,
        connect_s=ran.connect_s,
        warmup_s=(driven.t0_ns - driven.start_ns) / 1e9,
        measure_s=(driven.t1_ns - driven.t0_ns) / 1e9,
        drain_s=(driven.end_ns - driven.t1_ns) / 1e9,
        total_s=total_s,
    )
    spent = parts.build_s + parts.start_s + parts.connect_s + parts.warmup_s + parts.measure_s + parts.drain_s
    return replace(parts, stop_s=max(0.0, total_s - spent))


def _keep_sources(study: Study, variant: Variant, program: Program, folder: Path) -> None:
    """Keep what was measured beside the measurements, so that what is recommended is the very same file."""
    (folder / "runtime.rs").write_text(program.runtime_rs, encoding="utf-8")
    build_log = program.binary.with_name("build.log")
    if build_log.is_file():
        (folder / "build.log").write_bytes(build_log.read_bytes())
    description = {
        "id": variant.id,
        "values": dict(variant.values),
        "options": variants.option_values(study, variant),
        "settings": dict(study.target.settings),
        "environment": dict(program.environment),
        "program_sha256": program.digest,
    }
    (folder / "variant.json").write_text(json.dumps(description, indent=1, sort_keys=True) + "\n", encoding="utf-8")
