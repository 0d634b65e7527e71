"""One window: a fresh start of one variant, load, stop. Owns the order of events; what goes wrong in it becomes a record.

build -> start -> ready -> knobs in force -> verify, connect -> warm-up -> measure -> drain -> stop -> figures -> gates

A fault of the target makes the window FAILED, a disturbed generator, upstream or host INVALID. Only a machine that cannot go on
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
from harness.load.null_servers import NullServer
from harness.study.model import Study
from harness.target import inspect
from harness.target.service import Backend, Placement, Program, Service, TargetFailed
from harness.variant import Step, Variant
from harness.window import capacity, facts, figures, gates, series, server, upstream
from harness.window.cores import CoreMap
from harness.window.inside import InsideLook
from harness.window.jitter import Jitter, JitterProbe
from harness.window.measurement import Figures, HostFacts, Measurement, StageTimes, Validity
from harness.window.upstream import Upstream, UpstreamEnded
from harness.window.watch import Watch

READY_LIMIT_S = 20.0
LOG_LINES_KEPT = 200
SCRAPES = 3


@dataclass(frozen=True)
class Bench:
    """What all windows of a run share. `build` turns a variant into a program (cargo, or a fake in tests).

    `upstream` is there exactly where the target needs one. `inside` asks a diagnostic build what it does while it is
    measured; None in every window that counts.
    """

    study: Study
    build: Callable[[Study, Variant], Program]
    backend: Backend
    generator: Generator
    cores: CoreMap
    jitter: JitterProbe | None = None
    upstream: Upstream | None = None
    inside: InsideLook | None = None


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

    job: Job
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
    except (TargetFailed, TargetRefused, UpstreamEnded) as fault:
        return Measurement(
            validity=Validity.INVALID if isinstance(fault, UpstreamEnded) else Validity.FAILED,
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
    with upstream.served(bench.upstream, bench.cores.generator) as behind:
        return _with_upstream(step, bench, place, program, behind)


def _with_upstream(step: Step, bench: Bench, place: Place, program: Program, behind: NullServer | None) -> _Run:
    study = bench.study
    placement = _placement(bench, behind)
    port, admin_port = placement.port, placement.admin_port
    begun = time.monotonic_ns()
    with bench.backend.serve(program, placement) as service:
        inspect.wait_ready(service, placement, has_admin=study.target.has_admin, limit_s=READY_LIMIT_S)
        ready = time.monotonic_ns()
        in_force = inspect.in_force(service, placement, has_admin=study.target.has_admin)
        faults = inspect.check_in_force(study, step.variant, in_force)
        if faults:
            raise TargetFailed("; ".join(faults), service.log())
        _require_files(service, study.load.open_connections)
        job = Job(port, study.load, study.window, step.schedule_seed, place.folder / "samples.parquet")
        watch = Watch(
            service.pid,
            lambda: bench.generator.pids,
            admin_port if study.target.has_admin else None,
            () if bench.jitter is None else (bench.jitter.pid,),
            None if behind is None else behind.pid,
        )
        driven, jitter = _drive(job, bench, service, watch, admin_port)
        return _Run(
            job=job,
            driven=driven,
            watch=watch,
            facts=replace(_facts(bench, driven, watch, admin_port, jitter), upstream_ended=upstream.ended(behind)),
            peak_rss_bytes=inspect.vm_hwm_bytes(service.pid),
            in_force={**in_force, **_shown_by_load(step.variant, placement)} if study.target.has_admin else in_force,
            start_s=(ready - begun) / 1e9,
            connect_s=(driven.start_ns - ready) / 1e9,
            faults=_death(service),
            log=service.log(LOG_LINES_KEPT),
        )


def _placement(bench: Bench, behind: NullServer | None) -> Placement:
    port, admin_port = inspect.free_ports()
    memory, nonce = bench.study.target.memory_bytes, secrets.token_hex(8)
    return Placement(bench.cores.target, memory, port, admin_port, nonce, None if behind is None else behind.port)


def _require_files(service: Service, connections: int) -> None:
    """Raise TargetFailed where the service may not have so many connections; otherwise those beyond would just hang."""
    most = inspect.most_files(service.pid)
    if most is not None and most <= connections:
        raise TargetFailed(
            f"the load holds {connections:,} connections open, and the service may have {most:,} files: it was started with a "
            "lower limit than the harness has (`ulimit -Hn`), or lowers it itself",
            service.log(),
        )


def _drive(job: Job, bench: Bench, service: Service, watch: Watch, admin_port: int) -> tuple[Driven, Jitter | None]:
    def began(start_ns: int, t0_ns: int, t1_ns: int) -> None:
        watch.begin(start_ns, t0_ns, t1_ns)
        if bench.jitter is not None:
            bench.jitter.begin(t0_ns, t1_ns)
        if bench.inside is not None:
            bench.inside.begin(admin_port, t0_ns, t1_ns)

    driven = None
    try:
        driven = bench.generator.drive(job, began)
    except TargetRefused as refused:
        # The exit tells more than the broken connection that it caused.
        raise TargetFailed("; ".join((*_death(service), str(refused))), service.log()) from refused
    finally:
        watch.finish()
        jitter = None if bench.jitter is None else bench.jitter.finish()
        if bench.inside is not None:
            bench.inside.finish()
    return driven, jitter


def _last_metrics(admin_port: int) -> str:
    """Return what the probe tells after the window, empty if it does not answer: its counts decide, so it is asked again."""
    return next((text for _ in range(SCRAPES) if (text := inspect.scrape(admin_port))), "")


def _shown_by_load(variant: Variant, placement: Placement) -> dict[str, object]:
    """Return what shows only after requests: Tokio opens its io_uring at the first use of a file, if it may."""
    if variant.values.get("enable_io_uring") is not True:
        return {}
    return {"io_uring": inspect.read_runtime(placement).get("io_uring")}


def _death(service: Service) -> tuple[str, ...]:
    ended = service.exited()
    return () if ended is None else (f"the service did not survive the window: {ended.words}",)


def _facts(bench: Bench, driven: Driven, watch: Watch, admin_port: int, jitter: Jitter | None) -> HostFacts:
    metrics = _last_metrics(admin_port) if bench.study.target.has_admin else None
    counted = facts.of_service(bench.study, bench.cores, driven, metrics)
    return facts.with_watch(counted, watch, bench.cores, jitter)


def _measured(study: Study, ran: _Run, place: Place) -> Measurement:
    taken = samples.read(place.folder / "samples.parquet")
    timeout_ns = int(study.load.timeout_s * 1e9)
    latency = np.where(taken.done_ns > 0, taken.done_ns - taken.intended_ns, timeout_ns)
    measured_s = (ran.driven.t1_ns - ran.driven.t0_ns) / 1e9

    from_send = np.where(taken.done_ns > 0, taken.done_ns - taken.sent_ns, timeout_ns)

    def of(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Figures:
        requests = figures.Requests(latency[mask], from_send[mask], taken.outcome[mask])
        made = figures.figures(requests, study.load, measured_s)
        offsets_s = (taken.intended_ns[mask] - ran.driven.t0_ns) / 1e9
        return replace(made, capacity=capacity.of_window(study, requests, offsets_s))

    whole = _with_resources(of(np.ones(len(latency), dtype=bool)), ran)
    by_request = {request.name: of(taken.kind == index) for index, request in enumerate(study.load.requests)}
    seen = facts.with_samples(ran.facts, ran.job, ran.driven, taken, latency)
    seen = facts.with_overload(seen, whole, study.load)
    scored_ms = facts.scored_ms(study, whole, by_request)
    seen = facts.with_lateness(seen, taken, study.load, place.floor_ms, scored_ms)
    table = series.rows(ran.watch.samples, ran.driven.t0_ns)
    series.write(place.folder / "series.parquet", table)
    (place.folder / "container.log").write_text(ran.log, encoding="utf-8")
    validity, reasons = gates.validity(seen)
    if ran.faults:
        validity, reasons = Validity.FAILED, (*ran.faults, *reasons)
    return Measurement(
        validity=validity,
        reasons=reasons,
        started=0.0,
        ended=0.0,
        figures=whole,
        by_request=by_request if len(by_request) > 1 else {},
        host=seen,
        server=server.facts(ran.watch.samples, table),
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
    if "tokio" in variants.difference(variant, variants.baseline(study)) and program.cargo_lock is not None:
        (folder / "Cargo.lock").write_text(program.cargo_lock, encoding="utf-8")
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
