"""From a study file to a `Study`: every fault at once, each with its line, and nothing validated again afterwards."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.errors import StudyError
from harness.study import levels, places, quantities, schema, targets
from harness.study.faults import Faults, Loc, listed, nearest
from harness.study.model import Budget, Guard, Knob, Load, Objective, Phases, Request, Study, WindowTimes
from harness.study.schema import StudyFile

MOST_BYTES = 2**20


def load(path: Path) -> Study:
    """Read and check one study file. StudyError carries every fault, a line each, sorted by place."""
    text = _read(path)
    root, content = _parse(path, text)
    faults = Faults(root)
    file = _shaped(content, faults)
    study = None if file is None else _resolved(path, text, file, faults)
    if study is None or faults:
        raise faults.error(path)
    return study


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the study file, for editors."""
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A study of harness"}
    return {**title, **StudyFile.model_json_schema(by_alias=True)}


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise StudyError(f"{path}: is a folder; name the study file in it")
        if path.stat().st_size > MOST_BYTES:
            raise StudyError(f"{path}: is {path.stat().st_size:,} bytes large; a study is at most {MOST_BYTES:,}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        there = path.parent.glob("*.yaml") if path.parent.is_dir() else ()
        raise StudyError(f"{path}: there is no such file. {nearest(str(path), map(str, there))}".rstrip()) from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(path: Path, text: str) -> tuple[yaml.Node | None, Mapping[Any, Any]]:
    try:
        root = places.compose(text)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise StudyError(f"{path}{place}: is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path}:1:1 a study is a mapping of keys (study, target, load, objective, knobs ...)")
    return root, content


def _shaped(content: Mapping[Any, Any], faults: Faults) -> StudyFile | None:
    """Return the file as a model. Where parts of it are wrong, the rest is still looked at, to name every fault at once."""
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
    "knobs": {"event_interval": [61, 62]},
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


def _allowed_at(loc: Loc) -> list[str]:
    """Return the keys that the schema knows at a place."""
    whole = node = json_schema()
    for part in loc:
        node = _resolve(node, whole)
        node = node.get("items", {}) if isinstance(part, int) else _below(node, part)
    return sorted(_resolve(node, whole).get("properties", {}))


def _below(node: dict[str, Any], part: str) -> dict[str, Any]:
    found: dict[str, Any] = node.get("properties", {}).get(part) or node.get("additionalProperties", {})
    return found


def _resolve(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    for option in (*node.get("anyOf", []), *node.get("oneOf", [])):
        if "$ref" in option:
            node = option
    while "$ref" in node:
        node = whole["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _resolved(path: Path, text: str, file: StudyFile, faults: Faults) -> Study | None:
    target, (own, lost) = targets.resolve(file.target, path.parent, faults)
    if target is None:
        return None
    baseline = levels.baseline(file, target, own, faults)
    searched, warnings = levels.searched(file, target, baseline, faults)
    phases = Phases(**file.phases.model_dump()) if file.phases else None
    times = _times(file, faults)
    return Study(
        name=file.study,
        file=path,
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        target=target,
        load=_load(file, faults),
        window=times,
        objective=_objective(file, faults),
        guards=tuple(_guard(guard) for guard in file.guards),
        knobs=searched,
        baseline=baseline,
        budget=_budget(file, searched, phases, faults),
        phases=phases,
        min_effect=file.min_effect,
        seed=file.seed,
        warnings=(*warnings, *levels.idle_warnings(searched, baseline, times), *_lost(lost)),
    )


def _lost(calls: tuple[str, ...]) -> tuple[str, ...]:
    words = "the crate's runtime.rs sets what a rendered variant cannot keep, so variants differ from it in this too"
    return (f"{words}: {listed(calls)}",) if calls else ()


def _load(file: StudyFile, faults: Faults) -> Load:
    names = [request.name for request in file.load.requests]
    for index, name in enumerate(names):
        if name in names[:index]:
            faults.add(f"the name {name} stands twice: each kind of request needs its own", "load", "requests", index)
    return Load(
        model=file.load.model,
        rate=file.load.rate,
        arrivals=(file.load.arrivals or "poisson") if file.load.model == "open" else None,
        connections=file.load.connections,
        timeout_s=file.load.timeout,
        requests=tuple(_request(request) for request in file.load.requests),
    )


def _request(file: schema.RequestFile) -> Request:
    headers = dict(file.headers)
    body = (file.body or "").encode()
    if file.json_ is not None:
        body = json.dumps(file.json_, separators=(",", ":"), ensure_ascii=False).encode()
        if all(name.lower() != "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
    return Request(
        name=file.name,
        method=file.method,
        path=file.path,
        headers=tuple(headers.items()),
        body=body,
        weight=file.weight,
        expect_status=file.expect.status,
    )


def _times(file: StudyFile, faults: Faults) -> WindowTimes:
    timeout_s = file.load.timeout
    drain_s = timeout_s if file.window.drain is None else file.window.drain
    if drain_s < timeout_s:
        timeout, drain = quantities.duration_text(timeout_s), quantities.duration_text(drain_s)
        words = f"{drain} is shorter than load.timeout ({timeout}), so requests in flight could not end"
        faults.add(f"{words}: give {timeout} or more", "window", "drain")
    return WindowTimes(file.window.warmup, file.window.measure, drain_s)


def _objective(file: StudyFile, faults: Faults) -> Objective:
    asked, names = file.objective, [request.name for request in file.load.requests]
    if asked.of is not None and asked.of not in names:
        faults.add(f"there is no request named {asked.of}; there are: {listed(names)}", "objective", "of")
    metric = asked.minimize or asked.maximize
    if asked.of is not None and metric not in {*schema.LATENCIES, "throughput"}:
        words = f"{metric} belongs to the whole service, not to one kind of request: leave `of` out"
        faults.add(words, "objective", "of")
    return Objective("minimize" if asked.minimize else "maximize", metric, asked.of)  # type: ignore[arg-type]  # by schema


def _guard(file: schema.GuardFile) -> Guard:
    return Guard(
        metric=file.metric,  # type: ignore[arg-type]  # the schema checked it
        side="at_most" if file.at_most is not None else "at_least",
        limit=file.limit(),
        relative=file.of == "baseline",
    )


def _budget(file: StudyFile, searched: tuple[Knob, ...], phases: Phases | None, faults: Faults) -> Budget:
    asked = file.budget
    if phases is None:
        return Budget(asked.windows or 60, asked.time)
    labels = 1 + sum(min(2, len(knob.levels) - 1) for knob in searched)
    total = phases.calibrate + phases.screen * labels + phases.search + phases.race + 2 * phases.confirm
    if asked.windows is not None and asked.windows != total:
        words = f"the phases take {total} windows, not {asked.windows}: leave budget.windows out or make them agree"
        faults.add(words, "budget", "windows")
    return Budget(total, asked.time)
