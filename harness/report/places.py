"""What was run, and where: settings with how they are known, machine, versions. Pure functions of the run."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass

from harness.report import formats, words
from harness.report.read import Run, level_words
from harness.study import knobs
from harness.study.model import Level, Load

LENGTH = 600

NOT_TOLD = {
    "runtime": "as rendered: the runtime has no getter for it",
    "option": "as given: the service does not tell it",
}
"""Why a setting is known only from what was rendered, by the kind of its knob."""


@dataclass(frozen=True)
class KnobRow:
    """One setting of baseline and tested variant, and how it is known to have been in force."""

    name: str
    baseline: str
    tested: str
    known: str
    about: str


def settings(run: Run) -> tuple[KnobRow, ...]:
    """Return every searched knob with its value on both sides and whether the running service told it."""
    tested = run.tested
    told = _told(run)
    return tuple(
        KnobRow(
            name=knob.name,
            baseline=_value(run, run.baseline.values, knob.name),
            tested=formats.NOTHING if tested is None else _value(run, tested.values, knob.name),
            known="read back from the service" if knob.name in told else NOT_TOLD[knob.kind],
            about=run.about.get(knob.name, ""),
        )
        for knob in run.study.knobs
    )


def places(run: Run) -> tuple[tuple[str, str], ...]:
    """Return what ran where, as (what, value)."""
    host, target, times, load = run.host, run.study.target, run.study.window, run.study.load
    rows = [
        ("machine", f"{host.get('cpu_model') or 'unknown CPU'}, {host.get('cores')} cores, {_memory(host)}"),
        ("system", f"{host.get('os') or 'Linux'}, kernel {host.get('kernel')}, cgroup {host.get('cgroup')}"),
        (
            "clock",
            f"{host.get('clocksource') or 'unknown'}; governor {host.get('governor') or 'not told by this host'}",
        ),
        ("virtual machine", {True: "yes", False: "no"}.get(bool(host.get("virtual")), "no")),
        ("generator's Python", str(host.get("python_build") or "build not recorded")),
        ("open files allowed", _open_files(host)),
        ("cores", ", ".join(f"{role} {_cores(run.cores.get(role))}" for role in ("target", "generator", "harness"))),
        ("generator priority", _priority(run.generator_priority)),
        ("backend", run.backend),
        ("target", f"{target.name}, {words.cores(run)}, memory {formats.size(target.memory_bytes)}"),
        ("settings", ", ".join(f"{name} = {level_words(value)}" for name, value in target.settings.items()) or "none"),
        ("load", f"{load.model} model, {_offered(load)}, {_connections(load)}, time-out {load.timeout_s:g} s"),
        ("load engine", load.engine),
        ("noise floor", _floor(run)),
        ("requests", ", ".join(run.requests) or formats.NOTHING),
        ("window", f"{times.warmup_s:g} s warm-up, {times.measure_s:g} s measured, up to {times.drain_s:g} s drain"),
        ("versions", ", ".join(_versions(run))),
        ("commit", run.commit or "none"),
        ("run", run.id),
    ]
    return tuple((name, formats.bounded(value, LENGTH)) for name, value in rows)


def _offered(load: Load) -> str:
    """Return what is offered, with the mean rate of a law whose rate changes."""
    if load.rate is None:
        return "as fast as answers come"
    mean = f"{load.rate:g} requests/s"
    if load.arrivals in {"bursts", "trace"}:
        return f"{mean} on average, {load.arrivals}"
    if load.pieces:
        return f"{mean} to {load.pieces[-1].to_rate:g} requests/s, {load.arrivals}"
    return f"{mean}, {load.arrivals}"


def _connections(load: Load) -> str:
    kept = "connections" if load.keep_alive else "connections at most, a new one for each request"
    thinking = f", thinking {load.think_s:g} s on average" if load.think_s else ""
    return f"{load.connections} {kept}{thinking}"


def _floor(run: Run) -> str:
    known = run.study.floor_ms
    if not known:
        return "not known: this host was not calibrated (harness doctor --calibrate)"
    return ", ".join(f"{name} {known[name]:.2f} ms" for name in ("p50", "p95", "p99") if name in known)


def _priority(nice: int | None) -> str:
    if nice is None:
        return "not recorded"
    return f"nice {nice}" + (", raised" if nice < 0 else ", the machine does not permit a higher one")


def _open_files(host: Mapping[str, object]) -> str:
    limits = host.get("open_files")
    if not isinstance(limits, list):
        return "not recorded"
    soft, hard = ("no limit" if limit == resource.RLIM_INFINITY else f"{limit:,}" for limit in limits)
    return f"{soft} (at most {hard})"


def _told(run: Run) -> frozenset[str]:
    """Return the knobs that `/runtime` reported in the last window that it answered in."""
    answers = [record.in_force for record in run.history.windows if record.in_force]
    if not answers:
        return frozenset()
    last = answers[-1]
    options = last.get("options")
    named = set(options) if isinstance(options, Mapping) else set()
    reported = {"flavor": "flavor", "workers": "worker_threads"}
    return frozenset(named | {knob for key, knob in reported.items() if key in last})


def _value(run: Run, values: Mapping[str, Level], name: str) -> str:
    """Return a knob's value; one that is not set reads as what Tokio makes of it."""
    if name in values:
        return level_words(values[name])
    runtime = {key: level for key, level in values.items() if key in knobs.TABLE}
    fallback = run.resolved.get(name) if values is run.baseline.values else None
    resolved = fallback or knobs.resolved(runtime, run.study.target.cpus).get(name)
    return "unset" if resolved is None else f"unset ({level_words(resolved)})"


def _versions(run: Run) -> list[str]:
    """Return "name version" of each; what names itself ("rustc 1.96.0") is not named twice."""
    told = {name: str(version) for name, version in run.versions.items() if version}
    return [version if version.startswith(f"{name} ") else f"{name} {version}" for name, version in told.items()]


def _memory(host: Mapping[str, object]) -> str:
    size = host.get("memory_bytes")
    return f"{formats.size(size)} memory" if isinstance(size, int) else "unknown memory"


def _cores(group: object) -> str:
    return ",".join(str(core) for core in group) if isinstance(group, list | tuple) else formats.NOTHING
