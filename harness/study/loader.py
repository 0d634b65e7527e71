"""From a study file to a `Study`: every fault at once, each with its line, and nothing validated again afterwards.

Owns the order of the checks and those between parts of the file; changes nothing on disk and measures nothing.
"""

from __future__ import annotations

import copy
import hashlib
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from harness.errors import StudyError
from harness.study import aims, levels, loads, places, quantities, schema, targets, versions
from harness.study.faults import Faults, Loc, listed, nearest
from harness.study.levels import Levels
from harness.study.loads import Loads
from harness.study.model import Budget, Knob, Level, Phases, Study, Target, WindowTimes
from harness.study.schema import StudyFile

MOST_BYTES = 2**20
AUTO = schema.AUTO


def load(path: Path, found: Mapping[str, Sequence[Level]] | None = None) -> Study:
    """Read and check one study file. StudyError carries every fault, a line each, sorted by place.

    A study of `knobs: auto` gets the knobs `found`, each with its levels; without them it has none yet.
    """
    text = _read(path)
    try:
        root = places.compose(text)
    except places.Unreadable as error:
        raise StudyError(error.fault.text(str(path))) from error
    content = places.value(root)
    if not isinstance(content, dict):
        raise StudyError(f"{path}:1:1 a study is a mapping of keys: {listed(_allowed_at(()))}")
    faults = Faults(root)
    is_auto = content.get("knobs") == AUTO
    if is_auto:
        content = {**content, "knobs": dict(found or _STAND_INS["knobs"])}
        _check_auto(content, faults)
    file = _shaped(content, faults)
    study = None if file is None else _resolved(path, text, file, faults)
    if study is None or faults:
        raise faults.error(path)
    return replace(study, knobs=study.knobs if found else (), knobs_auto=True) if is_auto else study


def _check_auto(content: Mapping[Any, Any], faults: Faults) -> None:
    """Refuse sizes of phases beside knobs that are not known yet."""
    if content.get("phases") is not None:
        words = "sizes of phases go by the knobs: with knobs: auto give budget.windows instead, or name the knobs"
        faults.add(words, "phases")


def _read(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "a folder; name the study file in it" if path.is_dir() else "no regular file"
            raise StudyError(f"{path}: is {what}")
        if status.st_size > MOST_BYTES:
            raise StudyError(f"{path}: is {status.st_size:,} bytes large; a study is at most {MOST_BYTES:,}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        there = path.parent.glob("*.yaml") if path.parent.is_dir() else ()
        raise StudyError(f"{path}: there is no such file. {nearest(str(path), map(str, there))}".rstrip()) from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from error


def _shaped(content: Mapping[Any, Any], faults: Faults) -> StudyFile | None:
    """Return the file as a model. Where parts are wrong the rest is still looked at, to name every fault at once."""
    try:
        return StudyFile.model_validate(content)
    except ValidationError as error:
        faults.add_all(error, _allowed_at)
        return _remaining(copy.deepcopy(dict(content)), error)


def _remaining(content: dict[Any, Any], error: ValidationError) -> StudyFile | None:
    """Return what is left of a file without its faulty keys, with stand-ins for needed ones; None where that fails."""
    for _ in range(_ROUNDS):
        for found in error.errors(include_url=False):
            _remove(content, found["loc"])
        try:
            return StudyFile.model_validate({**_STAND_INS, **content})
        except ValidationError as next_error:
            error = next_error
    return None


_ROUNDS = 4
_STAND_INS: dict[str, Any] = {
    "study": "unnamed",
    "load": {"rate": 1, "requests": [{"name": "any", "path": "/"}]},
    "objective": {"minimize": "p50"},
    "knobs": {"event_interval": [62, 63]},
}
"""In place of faulty keys, only to look at the rest; a file that needed one is always refused."""


def _remove(content: Any, loc: Loc) -> None:  # noqa: ANN401 - raw YAML
    """Remove the innermost key that `loc` leads to; a key that is not there (it is missing) removes nothing."""
    owner: Any = None
    for part in loc:
        if isinstance(content, dict) and part in content:
            owner, key, content = content, part, content[part]
        elif isinstance(content, list):
            break
    if owner is not None:
        del owner[key]


def _allowed_at(loc: Loc) -> tuple[str, ...]:
    """Return the keys that the models know at a place."""
    model: Any = StudyFile
    for part in loc:
        if isinstance(part, str) and _is_model(model):
            model = _fields(model)[part]
        model = next((inner for inner in _inside(model) if _is_model(inner)), model)
    return tuple(sorted(_fields(model))) if _is_model(model) else ()


def _is_model(annotation: Any) -> bool:  # noqa: ANN401 - a type
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _inside(annotation: Any) -> list[Any]:  # noqa: ANN401 - a type
    """Return a type and all types that it is put together from."""
    return [annotation, *(inner for part in get_args(annotation) for inner in _inside(part))]


def _resolved(path: Path, text: str, file: StudyFile, faults: Faults) -> Study | None:
    target, (own, lost) = targets.resolve(file.target, path.parent, faults)
    if target is None:
        return None
    reader = Levels(target, faults)
    _check_cores(file, faults)
    baseline = reader.baseline(file, own)
    searched = reader.searched(file, baseline)
    phases = Phases(**file.phases.model_dump()) if file.phases else None
    times = WindowTimes(file.window.warmup, file.window.measure, loads.drain_s(file, faults))
    offered = Loads(path.parent, faults)
    load = offered.profile(file.load, times)
    aimed, limits = aims.objective(file, faults), aims.guards(file, faults)
    newer = versions.newer(file, baseline, faults)
    thin = aims.thin(load, times, aimed, limits, faults)
    return Study(
        name=file.study,
        file=path,
        text=text,
        digest=hashlib.sha256("".join([text, *offered.digests]).encode()).hexdigest(),
        target=target,
        load=load,
        window=times,
        objective=aimed,
        guards=limits,
        knobs=searched,
        baseline=baseline,
        budget=_budget(file, searched, phases, faults),
        phases=phases,
        min_effect=file.min_effect,
        seed=file.seed,
        constraints=(*aims.rules(file, target, baseline, faults), *(one.constraint for one in newer)),
        warnings=(
            *reader.warnings,
            *levels.idle_warnings(searched, baseline, times),
            *_lost(lost),
            *_without_probe(target),
            *(one.words for one in newer),
            *thin,
            *_histogram(file, target, faults),
        ),
        poll_histogram=file.window.poll_histogram,
        needs_cores=file.needs_cores,
    )


def _check_cores(file: StudyFile, faults: Faults) -> None:
    """Refuse a need that is smaller than what the target alone is given."""
    if "needs_cores" in file.model_fields_set and file.needs_cores < file.target.cpus:
        words = f"must be at least target.cpus ({file.target.cpus}), and one more for the generator to be apart"
        faults.add(words, "needs_cores", rests_on=[("needs_cores",), ("target", "cpus")])


def _histogram(file: StudyFile, target: Target, faults: Faults) -> tuple[str, ...]:
    """Return what has to be said of a histogram of poll times; its faults are added."""
    if not file.window.poll_histogram:
        return ()
    if target.own_runtime is not None:
        words = "is for the templates; in a crate of your own call enable_metrics_poll_time_histogram in src/runtime.rs"
        faults.add(words, "window", "poll_histogram")
    return ("every variant counts its poll times, which costs 60 to 90 ns a poll; what is recommended does so too",)


def _without_probe(target: Target) -> tuple[str, ...]:
    """Return what is not known of a service that does not tell it."""
    if target.has_admin:
        return ()
    words = (
        f"{target.name} has no probe (no `admin = true` in target.toml): its settings are not read back, nothing is told of its "
        "runtime, and every window is DEGRADED because hidden retries cannot be ruled out. How to add one: docs/metrics.md"
    )
    return (words,)


def _lost(calls: tuple[str, ...]) -> tuple[str, ...]:
    words = "the crate's runtime.rs sets what a rendered variant cannot keep, so variants differ from it in this too"
    return (f"{words}: {listed(calls)}",) if calls else ()


def _budget(file: StudyFile, searched: tuple[Knob, ...], phases: Phases | None, faults: Faults) -> Budget:
    asked = file.budget
    _check_time(file, faults)
    if phases is None:
        return Budget(asked.windows or schema.DEFAULT_WINDOWS, asked.time)
    total = _windows_of(phases, searched)
    counted = len(searched) == len(file.knobs)  # a knob at fault has no levels to count
    if counted and asked.windows is not None and asked.windows != total:
        words = f"the phases take {total} windows, not {asked.windows}: leave budget.windows out or make them agree"
        faults.add(words, "budget", "windows", rests_on=[("phases",), ("knobs",), ("budget", "windows")])
    return Budget(total, asked.time)


def _windows_of(phases: Phases, searched: tuple[Knob, ...]) -> int:
    """Return the windows of explicit phases: a screen block has one for each level that is screened, and a baseline.

    Of ordered levels two are screened, of others all; a block that is the only one has a second baseline.
    """
    one_offs = sum(min(2, len(knob.levels) - 1) if knob.ordered else len(knob.levels) - 1 for knob in searched)
    screen = phases.screen * (one_offs + 1) + (phases.screen == 1)
    together = phases.interaction * (len(searched) + 2) if len(searched) > 1 else 0
    return phases.calibrate + screen + phases.search + phases.race + 2 * phases.confirm + together


def _check_time(file: StudyFile, faults: Faults) -> None:
    """Refuse a time that ends before the fewest windows that allow a claim."""
    needed_s = schema.LEAST_WINDOWS * (file.window.warmup + file.window.measure)
    if file.budget.time is not None and file.phases is None and file.budget.time < needed_s:
        words = (
            f"{quantities.duration_text(file.budget.time)} is too short: {schema.LEAST_WINDOWS} windows, the fewest "
            f"that allow a claim, are under load for {quantities.duration_text(needed_s)}; give more, or shorten the "
            "window"
        )
        faults.add(words, "budget", "time", rests_on=[("budget", "time"), ("window",)])
