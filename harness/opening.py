"""Opens a run: fresh or resumed, on which backend, on which cores, with what it was made with written down first.

The rules of resuming are here and nowhere else: a run goes on only when study, harness, target sources, backend and
machine are what they were, and a run never changes its backend.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import harness
from harness import calibration
from harness import variant as variants
from harness.errors import MachineError, StudyError
from harness.ledger import folder as folders
from harness.ledger import provenance
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import Ledger, read_history, write_json
from harness.ledger.record import SCHEMA, History
from harness.load import native_program
from harness.load.generator import LocustGenerator
from harness.search import earlier
from harness.search.earlier import Known
from harness.study import knobs, load, manifest
from harness.study.model import Load, Study
from harness.target import build, leftovers, process
from harness.target.docker import DockerBackend
from harness.target.process import ProcessBackend
from harness.target.service import Backend
from harness.window import quiet
from harness.window.cores import CoreMap, available, core_map, siblings
from harness.window.jitter import JitterProbe
from harness.window.run import Bench
from harness.window.upstream import Upstream

FILES_BESIDE = 128
"""Open files of the generator beside its connections: Python's own, the loop's, logs and samples."""


@dataclass(frozen=True)
class Opened:
    """A run that can go on: the study as it is carried out here, ledger, bench, and words for before the first window."""

    study: Study
    ledger: Ledger
    bench: Bench
    words: tuple[str, ...]


@dataclass(frozen=True)
class Unfinished:
    """An earlier run of the same study without a report, and why it cannot go on (empty: it can)."""

    folder: RunFolder
    backend: str
    windows: int
    obstacles: tuple[str, ...]


@dataclass(frozen=True)
class _Begun:
    """What a run begins with, or goes on with; `about` is laid over run.json of a new one, None where it is written."""

    study: Study
    folder: RunFolder
    backend: str
    words: str
    notices: tuple[str, ...]
    about: Mapping[str, Any] | None


def unfinished(study: Study, results: Path, backend: str | None) -> Unfinished | None:
    """Return the newest run of `study` if it has not reached its report; None otherwise."""
    found = folders.runs(results, study.name)
    return _unfinished(study, found[-1], backend) if found and not _is_finished(found[-1]) else None


def unfinished_confirmation(study: Study, run: RunFolder, variant: str) -> Unfinished | None:
    """Return the newest confirmation of `variant` in `run` that has not reached its report; None otherwise."""
    found = [
        folder
        for folder in folders.confirmations(run)
        if not _is_finished(folder) and read_run(folder).get("confirms", {}).get("variant") == variant
    ]
    return _unfinished(study, found[-1], None) if found else None


def _unfinished(study: Study, folder: RunFolder, backend: str | None) -> Unfinished:
    facts = read_run(folder)
    return Unfinished(
        folder=folder,
        backend=str(facts.get("backend")),
        windows=len(read_history(folder).windows),
        obstacles=obstacles(study, facts, backend),
    )


def _is_finished(folder: RunFolder) -> bool:
    return (folder.path / "summary.json").exists()


def obstacles(study: Study, facts: Mapping[str, Any], backend: str | None) -> tuple[str, ...]:
    """Return why windows taken here and now do not belong to the run that `facts` describe; empty where they do."""
    machine_id = provenance.machine_id(provenance.machine())
    compared = [
        ("the study file has changed", facts.get("study_digest"), study.digest),
        ("the target's sources have changed", facts.get("ground"), study.target.ground),
        ("it was made by another version of harness", facts.get("harness"), harness.__version__),
        ("it was made on another machine", facts.get("machine_id"), machine_id),
        ("its format is another one", facts.get("schema"), SCHEMA),
    ]
    if backend is not None:
        compared.append((f"it ran on {facts.get('backend')}", facts.get("backend"), backend))
    return tuple(words for words, then, now in compared if then != now)


@contextmanager
def opened(
    study: Study, results: Path, backend: str | None, resumed: Unfinished | None, *, diagnosis: bool = False
) -> Iterator[Opened]:
    """Yield the run to carry out, new or `resumed`; on leaving, end the generator and remove what the backend made.

    A `diagnosis` gets a folder beside the study's runs, is always new and is never resumed.
    """
    require_cores(study)
    quiet.patience_s()  # a wrong one is said before anything is spent
    swept = leftovers.sweep(results)
    _require_files(study.load)
    begun = _fresh(study, results, backend, diagnosis=diagnosis) if resumed is None else _resumed(study, resumed)
    with _carried_out(begun, swept) as run:
        yield run


@contextmanager
def opened_again(
    study: Study, run: RunFolder, confirms: Mapping[str, Any], notice: str, resumed: Unfinished | None
) -> Iterator[Opened]:
    """Yield a confirmation of the finished `run`, new or `resumed`: a run folder of its own inside the run's.

    It takes the backend, the engine and the noise floor of `run`; `confirms` goes into its run.json.
    """
    require_cores(study)
    quiet.patience_s()  # a wrong one is said before anything is spent
    swept = leftovers.sweep(run.path.parent.parent)
    _require_files(study.load)
    if resumed is None:
        facts = read_run(run)
        backend = str(facts.get("backend"))
        _require(backend)
        folder = folders.create(run.path, folders.CONFIRMATIONS, time.time())
        words = f"fresh confirmation in {folder.path}"
        about = {"confirms": dict(confirms), "calibration": facts.get("calibration")}
        begun = _Begun(as_begun(study, facts), folder, backend, words, (notice,), about)
    else:
        begun = _resumed(study, resumed)
    with _carried_out(begun, swept) as again:
        yield again


def _fresh(study: Study, results: Path, backend: str | None, *, diagnosis: bool) -> _Begun:
    found = calibration.kept()
    settled, told = _settled(study, found)
    name, notice = chosen_backend(backend)
    folder = folders.create(results, study.name, time.time(), diagnosis=diagnosis)
    notices = (*((notice,) if notice else ()), *told)
    about = {"calibration": None if found is None else calibration.to_json(found)}
    return _Begun(settled, folder, name, f"fresh run in {folder.path}", notices, about)


def _resumed(study: Study, found: Unfinished) -> _Begun:
    facts = read_run(found.folder)
    _require(found.backend)
    words = f"resuming {found.folder.path}: {found.windows} windows are in its ledger"
    return _Begun(
        as_begun(study, facts), found.folder, found.backend, words, tuple(facts.get("notices", ())), about=None
    )


@contextmanager
def _carried_out(begun: _Begun, swept: tuple[str, ...]) -> Iterator[Opened]:
    study, folder = begun.study, begun.folder
    spread = study.load.engine == "native"
    cores = core_map(available(), study.target.cpus, siblings(available()), spread=spread)
    words = (*swept, begun.words, *begun.notices, *study.warnings, _cores_in_words(cores), *_upstream_in_words(study))
    ledger = Ledger(folder)
    with (
        _kept_to(cores.harness),
        closing(_generator(study, cores, folder)) as generator,
        closing(JitterProbe()) as jitter,
        closing(BACKENDS[begun.backend](folder)) as serving,
    ):
        if begun.about is not None:
            about = described(study, folder, begun.backend, cores, begun.notices)
            write_json(folder.run_json, {**about, "generator_priority": generator.priority, **begun.about})
        bench = Bench(study, build.build, serving, generator, cores, jitter, _upstream(study))
        yield Opened(study, ledger, bench, words)


def _settled(study: Study, found: calibration.Calibration | None) -> tuple[Study, tuple[str, ...]]:
    made = calibration.settled(study, found)
    return made.study, made.words


def as_begun(study: Study, facts: Mapping[str, Any]) -> Study:
    """Return the study with the engine and the floor that the run began with, whatever was calibrated since."""
    engine = facts["load"].get("engine", "http")
    return replace(study, load=replace(study.load, engine=engine), floor_ms=facts.get("floor_ms") or {})


def with_knobs_as_begun(file: Path, resumed: Unfinished) -> Study:
    """Return the study of `knobs: auto` in `file` with the knobs and the warnings that the unfinished run began with."""
    facts = read_run(resumed.folder)
    found = {str(knob["name"]): list(knob["levels"]) for knob in facts["knobs"]}
    return replace(load(file, found), warnings=tuple(facts.get("warnings", ())))


def with_told_knobs(study: Study, diagnosis: Path) -> Study:
    """Return the study with a sentence on where its knobs come from: run.json, the plan in the ledger and the page say it."""
    told = f"knobs: auto took {', '.join(study.knob_names)} from the diagnosis {diagnosis}"
    return replace(study, warnings=(*study.warnings, told))


def _generator(study: Study, cores: CoreMap, folder: RunFolder) -> LocustGenerator:
    native = native_program.built() if study.load.engine == "native" else None
    return LocustGenerator(cores.generator, folder.generator_log, native, study.load.locustfile)


def _upstream(study: Study) -> Upstream | None:
    """Return what the target forwards to, None where it needs nothing; MachineError where it cannot be built here."""
    delay_ms = study.target.upstream_ms
    return None if delay_ms is None else Upstream(native_program.null_server(), delay_ms)


@contextmanager
def _kept_to(cores: tuple[int, ...]) -> Iterator[None]:
    """Keep the harness itself to its cores, away from the target's."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def chosen_backend(asked: str | None) -> tuple[str, str]:
    """Return (backend, notice): the one asked for if it is ready, else docker, else process with what is lost."""
    if asked is not None:
        _require(asked)
        return asked, ""
    reason = DockerBackend.available()
    if reason is None:
        return "docker", ""
    return "process", f"Docker does not answer ({reason}); the process backend is taken. {process.LOST}"


def _require(backend: str) -> None:
    reason = DockerBackend.available() if backend == "docker" else None
    if reason is not None:
        raise MachineError(
            f"this run needs Docker, which does not answer: {reason}. Start it (`systemctl start docker`, or look with "
            "`harness doctor`), or start a new run with --fresh --backend process."
        )


def require_cores(study: Study) -> None:
    """Refuse a study that needs more cores than this process may use; MachineError says what it needs and what there is."""
    there = len(available())
    if study.needs_cores > there:
        cores = "1 core" if there == 1 else f"{there} cores"
        raise MachineError(
            f"{study.name} needs {study.needs_cores} cores to tell what it asks, and this process may use {cores}: "
            "run it on a larger machine"
        )


def _require_files(load: Load) -> None:
    """Refuse more connections than one process may have files; MachineError. The generator may raise its soft limit only."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = load.open_connections + FILES_BESIDE
    if hard != resource.RLIM_INFINITY and wanted > hard:
        lower = "load.websocket.idle" if load.websocket and load.websocket.idle else "load.connections"
        raise MachineError(
            f"the study holds {load.open_connections:,} connections open, and no process may have more than {hard:,} files "
            f"here: raise the limit (`ulimit -Hn {wanted}` as root), or lower {lower}"
        )


def _docker(folder: RunFolder) -> Backend:
    return DockerBackend(folder.run_id)


def _process(folder: RunFolder) -> Backend:
    return ProcessBackend(folder.children_json)


BACKENDS: dict[str, Callable[[RunFolder], Backend]] = {"docker": _docker, "process": _process}
"""Every backend by name; each goes through the same contract suite."""


def _lock_file(study: Study) -> Path:
    """Return the lock file that the baseline is built by."""
    if study.target.form == "path":
        return study.target.workspace / "Cargo.lock"
    return manifest.lock_file(knobs.built_with(study.baseline))


def described(
    study: Study, folder: RunFolder, backend: str, cores: CoreMap, notices: tuple[str, ...]
) -> dict[str, Any]:
    """Return run.json: what was asked, where, and with what it runs."""
    facts = provenance.machine()
    baseline = variants.baseline(study)
    target = study.target
    measured = _measured(study)
    return {
        "schema": SCHEMA,
        "run": folder.run_id,
        "study": study.name,
        "study_file": str(study.file),
        "study_text": study.text,
        "study_digest": study.digest,
        "ground": target.ground,
        "harness": harness.__version__,
        "backend": backend,
        "seed": study.seed,
        "started": time.time(),
        "host": facts,
        "machine_id": provenance.machine_id(facts),
        "versions": {
            **provenance.versions(),
            "tokio": provenance.locked_version(_lock_file(study), "tokio"),
        },
        "commit": provenance.commit(target.workspace),
        "core_map": asdict(cores),
        "baseline": {
            "id": baseline.id,
            "values": dict(baseline.values),
            "resolved": knobs.resolved(variants.runtime_values(study, baseline), default_workers=target.cpus),
        },
        "min_effect": study.min_effect,
        "floor_ms": dict(study.floor_ms),
        "guards": [asdict(guard) for guard in study.guards],
        "constraints": [rule.text for rule in study.constraints],
        "knobs": [{**asdict(knob), "about": knobs.about(knob, target)} for knob in study.knobs],
        **measured,
        "target": {**measured["target"], "options": [asdict(option) for option in target.options]},
        "warnings": list(study.warnings),
        "notices": list(notices),
    }


def _measured(study: Study) -> dict[str, Any]:
    """Return what a window of the study measures, as run.json keeps it: two runs that agree in it have the same noise."""
    target = study.target
    return {
        "objective": asdict(study.objective),
        "load": {
            "model": study.load.model,
            "rate": study.load.rate,
            "arrivals": study.load.arrivals,
            "engine": study.load.engine,
            "keep_alive": study.load.keep_alive,
            "think_s": study.load.think_s,
            "websocket": None if study.load.websocket is None else asdict(study.load.websocket),
            "connections": study.load.connections,
            "timeout_s": study.load.timeout_s,
            "requests": [f"{request.method} {request.path}" for request in study.load.requests],
        },
        "window": asdict(study.window),
        "target": {
            "name": target.name,
            "form": target.form,
            "cpus": target.cpus,
            "memory_bytes": target.memory_bytes,
            "settings": dict(target.settings),
            "has_admin": target.has_admin,
        },
    }


def known_noise(study: Study, results: Path) -> Known | None:
    """Return the noise that earlier runs under `results` saw where they measured the same on this host; None: unknown."""
    newest = sorted(
        (file.parent for file in results.glob("*/*/run.json")), key=lambda folder: folder.name, reverse=True
    )
    return earlier.noise_of(study, _on_the_same_ground(study, map(RunFolder, newest)))


def _on_the_same_ground(study: Study, found: Iterable[RunFolder]) -> Iterator[tuple[str, History]]:
    """Yield (run, its ledger) of each run that can be read and measured the same; what cannot be read tells nothing."""
    machine_id = provenance.machine_id(provenance.machine())
    asked = {**_measured(study), "baseline": variants.baseline(study).id}
    for folder in found:
        try:
            facts = read_run(folder)
            facts["baseline"] = facts["baseline"]["id"]
            facts["target"] = {key: facts["target"][key] for key in asked["target"]}
            if earlier.same_ground(study, machine_id, facts, asked):
                yield folder.run_id, read_history(folder)
        except (StudyError, KeyError, TypeError):
            continue


def read_run(folder: RunFolder) -> dict[str, Any]:
    """Return run.json of a run; StudyError where it cannot be read."""
    try:
        content = json.loads(folder.run_json.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"{folder.run_json} cannot be read ({error}); start a new run with --fresh") from error
    if not isinstance(content, dict):
        raise StudyError(f"{folder.run_json} is no description of a run; start a new run with --fresh")
    return content


def _upstream_in_words(study: Study) -> tuple[str, ...]:
    delay_ms = study.target.upstream_ms
    return () if delay_ms is None else (f"upstream: answers after {delay_ms:g} ms, on the generator's cores",)


def _cores_in_words(cores: CoreMap) -> str:
    def listed(group: tuple[int, ...]) -> str:
        return ",".join(str(core) for core in group)

    shared = f" ({'; '.join(cores.notes)}: windows are DEGRADED)" if cores.notes else ""
    return (
        f"cores: target {listed(cores.target)}, generator {listed(cores.generator)}, "
        f"harness {listed(cores.harness)}{shared}"
    )
