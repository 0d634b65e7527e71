"""From a study file to a `Study`: every fault at once, each with its line, and nothing validated again afterwards."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.errors import StudyError
from harness.study import knobs, manifest, places, quantities, schema
from harness.study.model import (
    UNSET,
    Budget,
    Guard,
    Knob,
    Level,
    Load,
    Objective,
    Phases,
    Request,
    Study,
    Target,
    WindowTimes,
)
from harness.study.places import Fault
from harness.study.schema import RangeFile, StudyFile

MOST_BYTES = 2**20
SAMPLES_BEYOND = 100
"""Requests wanted beyond the scored percentile in one window: 95 % of the rank error is then within 20 %."""


def load(path: Path) -> Study:
    """Read and check one study file. StudyError carries every fault, a line each, sorted by place."""
    text = _read(path)
    root, content = _parse(path, text)
    faults = places.equal_keys(root)
    file = _shape(content, root, faults)
    if file is None:
        raise _refused(path, faults)
    study = _Resolver(path, text, root, file, faults).study()
    if study is None or faults:
        raise _refused(path, faults)
    return study


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the study file, for editors."""
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A study of harness"}
    return {**title, **StudyFile.model_json_schema(by_alias=True)}


def _refused(path: Path, faults: list[Fault]) -> StudyError:
    return StudyError("\n".join(fault.text(str(path)) for fault in sorted(set(faults))))


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise StudyError(f"{path}: is a folder; name the study file in it")
        if path.stat().st_size > MOST_BYTES:
            raise StudyError(f"{path}: is {path.stat().st_size:,} bytes large; a study is at most {MOST_BYTES:,}")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StudyError(f"{path}: there is no such file{_similar_file(path)}") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from error


def _similar_file(path: Path) -> str:
    names = [str(file) for file in sorted((path.parent if path.parent.is_dir() else Path()).glob("*.yaml"))]
    near = difflib.get_close_matches(str(path), names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _parse(path: Path, text: str) -> tuple[yaml.Node | None, Mapping[Any, Any]]:
    try:
        root = places.compose(text)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise StudyError(f"{path}{place}: is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: cannot be read as YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path}:1:1 a study is a mapping of keys (study, target, load, objective, knobs ...)")
    return root, content


def _shape(content: Mapping[Any, Any], root: yaml.Node | None, faults: list[Fault]) -> StudyFile | None:
    try:
        return StudyFile.model_validate(content)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            loc = _without_union_tags(found["loc"])
            faults.append(places.fault_at(root, loc, _words(found, loc)))
        return None


def _without_union_tags(loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Drop what pydantic adds to a place for the members of a union."""
    return tuple(part for part in loc if part not in _TAGS and not str(part).startswith(("list[", "json_")))


_TAGS = {"RangeFile", "str", "bool", "int", "float", "lax-or-strict", "function-before[_numbers_may_be_whole(), GuardFile]"}
_TYPES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "int_from_float": "must be a whole number",
}


def _words(found: Any, loc: tuple[str | int, ...]) -> str:  # noqa: ANN401 - pydantic's error record
    kind, context = found["type"], found.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(str(loc[-1]), _allowed_at(loc[:-1]))
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind in _TYPES:
        return f"{_TYPES[kind]}, not {_short(found['input'])}"
    if kind == "string_pattern_mismatch":
        return f"{_short(found['input'])} is not of the form {context['pattern']}"
    if kind == "literal_error":
        return f"must be {context['expected']}, not {_short(found['input'])}"
    return f"{found['msg'][0].lower()}{found['msg'][1:]} (is {_short(found['input'])})"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - one line of a terminal


def _unknown(name: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"is no known key; {hint}Allowed: {', '.join(allowed)}"


def _allowed_at(loc: tuple[str | int, ...]) -> list[str]:
    node = json_schema()
    whole = node
    for part in loc:
        node = _resolve(node, whole)
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
    return sorted(_resolve(node, whole).get("properties", {}))


def _resolve(node: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    while "$ref" in node:
        node = whole["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


class _Resolver:
    """Checks what needs the target's declarations, and makes the study; faults go to the shared list."""

    def __init__(self, path: Path, text: str, root: yaml.Node | None, file: StudyFile, faults: list[Fault]) -> None:
        self.path, self.text, self.root, self.file, self.faults = path, text, root, file, faults
        self.warnings: list[str] = []
        self.own_values: dict[str, Level] = {}

    def fault(self, words: str, *loc: str | int) -> None:
        self.faults.append(places.fault_at(self.root, loc, words))

    def study(self) -> Study | None:
        target = self._target()
        if target is None:
            return None
        file = self.file
        baseline = self._baseline(target)
        searched = tuple(
            knob for name, spec in file.knobs.items() if (knob := self._knob(name, spec, target, baseline)) is not None
        )
        load, times = self._load(), self._times()
        objective = self._objective()
        phases = Phases(**file.phases.model_dump()) if file.phases else None
        budget = self._budget(searched, phases)
        self._warn(searched, baseline, load, times, objective)
        return Study(
            name=file.study,
            file=self.path,
            text=self.text,
            digest=hashlib.sha256(self.text.encode()).hexdigest(),
            target=target,
            load=load,
            window=times,
            objective=objective,
            guards=tuple(
                Guard(
                    metric=guard.metric,  # type: ignore[arg-type]  # the schema checked it
                    side="at_most" if guard.at_most is not None else "at_least",
                    limit=guard.limit(),
                    relative=guard.of == "baseline",
                )
                for guard in file.guards
            ),
            knobs=searched,
            baseline=baseline,
            budget=budget,
            phases=phases,
            min_effect=file.min_effect,
            seed=file.seed,
            warnings=tuple(self.warnings),
        )

    # The target ------------------------------------------------------------------------------------------------

    def _target(self) -> Target | None:
        file = self.file.target
        if file.template is not None:
            return self._template(file.template)
        return self._own_crate((self.path.parent / str(file.path)).resolve())

    def _template(self, name: str) -> Target | None:
        names = manifest.template_names()
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            self.fault(f"there is no template {name!r}; {hint}There are: {', '.join(names)}", "target", "template")
            return None
        file = manifest.TEMPLATES / name / "target.toml"
        content = manifest.read_toml(file)
        return self._described(
            content,
            file,
            name=name,
            form="template",
            workspace=manifest.TEMPLATES,
            crate=file.parent,
            package=str(content.get("package", name)),
            ground=manifest.template_ground(name),
            has_admin=True,
            own_runtime=None,
        )

    def _own_crate(self, crate: Path) -> Target | None:
        runtime, cargo_file = crate / "src" / "runtime.rs", crate / "Cargo.toml"
        for needed in (cargo_file, runtime):
            if not needed.is_file():
                self.fault(f"{needed} is missing: an own crate has Cargo.toml and src/runtime.rs", "target", "path")
                return None
        cargo, rust = manifest.read_toml(cargo_file), runtime.read_text(encoding="utf-8", errors="replace")
        if "pub fn build()" not in rust:
            words = f"{runtime} must have `pub fn build() -> std::io::Result<tokio::runtime::Runtime>`"
            self.fault(words, "target", "path")
        outside = manifest.outside_dependencies(cargo, crate)
        if outside:
            words = f"{cargo_file}: path dependencies outside the folder are not copied: {', '.join(outside)}"
            self.fault(f"{words}. Move them inside, or name the folder that holds them all.", "target", "path")
        package = cargo.get("package", {}).get("name")
        if not isinstance(package, str):
            self.fault(f"{cargo_file} has no [package] name: name the folder of the binary's crate", "target", "path")
            return None
        self._read_own_runtime(runtime, rust)
        file = crate / "target.toml"
        content = manifest.read_toml(file) if file.is_file() else {}
        return self._described(
            content,
            file,
            name=package,
            form="path",
            workspace=crate,
            crate=crate,
            package=package,
            ground=manifest.crate_ground(crate),
            has_admin=bool(content.get("admin", False)),
            own_runtime=rust,
        )

    def _read_own_runtime(self, runtime: Path, rust: str) -> None:
        self.own_values, lost = knobs.read_builder_calls(rust)
        if lost:
            self.warnings.append(
                f"{runtime.name} of the crate sets what a rendered variant cannot keep: {', '.join(lost)}; variants that "
                "change the runtime differ from the baseline in this too"
            )

    def _described(self, content: Mapping[str, Any], file: Path, **fields: Any) -> Target:  # noqa: ANN401
        settings = manifest.declared(content, "settings", file)
        own = self.file.target
        return Target(
            cpus=own.cpus,
            memory_bytes=own.memory,
            options=manifest.declared(content, "options", file),
            declared_settings=settings,
            settings=self._settings(settings, fields["name"]),
            **fields,
        )

    def _settings(self, declared: tuple[Any, ...], target: str) -> dict[str, Level]:
        values: dict[str, Level] = {row.name: row.default for row in declared}
        by_name = {row.name: row for row in declared}
        for name, level in self.file.target.set.items():
            if name not in by_name:
                self.fault(f"{target} declares no setting {name}; it has: {_listed(by_name)}", "target", "set", name)
                continue
            self._try(lambda name=name, level=level: values.update({name: manifest.parse_level(by_name[name], level)}),
                      "target", "set", name)
        return values

    def _try(self, act: Any, *loc: str | int) -> Any:  # noqa: ANN401 - returns what `act` returns
        try:
            return act()
        except ValueError as error:
            self.fault(str(error), *loc)
            return None

    # Knobs -----------------------------------------------------------------------------------------------------

    def _baseline(self, target: Target) -> dict[str, Level]:
        values: dict[str, Level] = {option.name: option.default for option in target.options}
        values |= knobs.canonical(self.own_values, target.cpus)
        for name, level in self.file.baseline.items():
            if target.own_runtime is not None and name in knobs.TABLE:
                words = "an own crate's committed src/runtime.rs is the baseline: set it there, not here"
                self.fault(words, "baseline", name)
                continue
            parsed = self._level(name, level, target, "baseline", name)
            if parsed is not None:
                values[name] = parsed
        return {name: level for name, level in values.items() if level != UNSET}

    def _level(self, name: str, level: object, target: Target, *loc: str | int) -> Level | None:
        option = next((option for option in target.options if option.name == name), None)
        if option is not None:
            parsed: Level | None = self._try(lambda: manifest.parse_level(option, level), *loc)
            return parsed
        if name in knobs.TABLE:
            parsed = self._try(lambda: knobs.TABLE[name].parse(level), *loc)
            return parsed
        self.fault(self._no_such_knob(name, target), *loc)
        return None

    def _no_such_knob(self, name: str, target: Target) -> str:
        options = [option.name for option in target.options]
        near = difflib.get_close_matches(name, [*knobs.TABLE, *options], n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return (
            f"is neither a knob of Tokio's runtime nor an option of {target.name}; {hint}"
            f"Options of {target.name}: {_listed(options)}. Knobs: {', '.join(knobs.TABLE)}"
        )

    def _knob(
        self, name: str, spec: list[Any] | RangeFile, target: Target, baseline: Mapping[str, Level]
    ) -> Knob | None:
        runtime = name in knobs.TABLE
        if not runtime and all(option.name != name for option in target.options):
            self.fault(self._no_such_knob(name, target), "knobs", name)
            return None
        if isinstance(spec, RangeFile) and runtime and knobs.TABLE[name].kind != "integer":
            self.fault("a range {low, high} is for whole numbers; list the levels instead", "knobs", name)
            return None
        raw = schema.range_levels(spec) if isinstance(spec, RangeFile) else spec
        parsed = [self._level(name, level, target, "knobs", name) for level in raw]
        if None in parsed:
            return None
        own = baseline.get(name, UNSET)
        levels = self._distinct(name, [own, *(level for level in parsed if level is not None)], target)
        if len(levels) == 1:
            self.fault(f"has only one level in effect, the baseline's ({own}): add another one", "knobs", name)
            return None
        ordered = knobs.TABLE[name].kind not in {"flavor", "flag"} if runtime else not isinstance(levels[0], (str, bool))
        if ordered:
            levels.sort(key=lambda level: self._order(name, level, target))
        return Knob(name, "runtime" if runtime else "option", tuple(levels), ordered, own)

    def _distinct(self, name: str, levels: list[Level], target: Target) -> list[Level]:
        """Drop levels that make the same runtime as an earlier one; the first is the baseline's."""
        kept: dict[str, Level] = {}
        for level in levels:
            effect = knobs.canonical({name: level}, target.cpus) if name in knobs.TABLE else {name: level}
            # Knobs of one flavor have their effect there; alone they would look like nothing.
            key = json.dumps(effect, sort_keys=True)
            if key in kept and kept[key] != level:
                self.warnings.append(f"{name}: {level} is the same as {kept[key]}, so it is measured once")
            kept.setdefault(key, level)
        return list(kept.values())

    def _order(self, name: str, level: Level, target: Target) -> float:
        if name not in knobs.TABLE:
            return float(level)
        if level == UNSET and name == "worker_threads":
            return float(target.cpus)
        return knobs.TABLE[name].magnitude(level)

    # Load, window, objective, budget ---------------------------------------------------------------------------

    def _load(self) -> Load:
        file = self.file.load
        names = [request.name for request in file.requests]
        for index, name in enumerate(names):
            if name in names[:index]:
                self.fault(f"the name {name} stands twice: each kind of request needs its own", "load", "requests", index)
        return Load(
            model=file.model,
            rate=file.rate,
            arrivals=(file.arrivals or "poisson") if file.model == "open" else None,
            connections=file.connections,
            timeout_s=file.timeout,
            requests=tuple(_request(request) for request in file.requests),
        )

    def _times(self) -> WindowTimes:
        file, timeout_s = self.file.window, self.file.load.timeout
        drain_s = timeout_s if file.drain is None else file.drain
        if drain_s < timeout_s:
            timeout, drain = quantities.duration_text(timeout_s), quantities.duration_text(drain_s)
            words = f"{drain} is shorter than load.timeout ({timeout}): requests in flight could not end; give {timeout} or more"
            self.fault(words, "window", "drain")
        return WindowTimes(file.warmup, file.measure, drain_s)

    def _objective(self) -> Objective:
        file = self.file.objective
        names = [request.name for request in self.file.load.requests]
        if file.of is not None and file.of not in names:
            self.fault(f"there is no request named {file.of}; there are: {_listed(names)}", "objective", "of")
        direction = "minimize" if file.minimize is not None else "maximize"
        metric = file.minimize or file.maximize
        if file.of is not None and metric not in {*schema.LATENCIES, "throughput"}:
            self.fault(f"{metric} belongs to the whole service, not to one kind of request: leave `of` out", "objective", "of")
        return Objective(direction, metric, file.of)  # type: ignore[arg-type]  # the schema checked both

    def _budget(self, searched: tuple[Knob, ...], phases: Phases | None) -> Budget:
        asked = self.file.budget
        if phases is None:
            return Budget(asked.windows or 60, asked.time)
        labels = 1 + sum(min(2, len(knob.levels) - 1) for knob in searched)
        total = phases.calibrate + phases.screen * labels + phases.search + phases.race + 2 * phases.confirm
        if asked.windows is not None and asked.windows != total:
            words = f"the phases take {total} windows, not {asked.windows}: leave budget.windows out or make them agree"
            self.fault(words, "budget", "windows")
        return Budget(total, asked.time)

    # Warnings --------------------------------------------------------------------------------------------------

    def _warn(
        self,
        searched: tuple[Knob, ...],
        baseline: Mapping[str, Level],
        load: Load,
        times: WindowTimes,
        objective: Objective,
    ) -> None:
        flavor = next((knob for knob in searched if knob.name == "flavor"), None)
        for knob in searched:
            if knob.name == "thread_keep_alive":
                self._warn_keep_alive(knob, times)
            row = knobs.TABLE.get(knob.name)
            if row and flavor is None and baseline.get("flavor", "multi_thread") not in row.flavors:
                self.warnings.append(f"{knob.name} does nothing under {baseline['flavor']}: every level is the same")
        share = _share_beyond(objective.metric)
        if share is not None and load.rate is not None:
            self._warn_few_samples(load, times, objective, share)

    def _warn_keep_alive(self, knob: Knob, times: WindowTimes) -> None:
        under_load_s = times.warmup_s + times.measure_s
        for level in knob.levels:
            seconds = quantities.duration_s("10s" if level == UNSET else level)
            if seconds > under_load_s:
                self.warnings.append(
                    f"thread_keep_alive {'unset (10s)' if level == UNSET else level} cannot act within a window of "
                    f"{quantities.duration_text(under_load_s)} under load: no thread is idle that long"
                )

    def _warn_few_samples(self, load: Load, times: WindowTimes, objective: Objective, share: float) -> None:
        weights = {request.name: request.weight for request in load.requests}
        part = 1.0 if objective.of is None else weights.get(objective.of, 0.0) / sum(weights.values())
        rate = (load.rate or 0.0) * part
        beyond = rate * times.measure_s * share
        if 0 < beyond < SAMPLES_BEYOND:
            needed = math.ceil(SAMPLES_BEYOND / (rate * share))
            self.warnings.append(
                f"only about {beyond:.0f} requests of a window lie beyond its {objective.metric}; its noise will be large. "
                f"measure: {needed}s gives {SAMPLES_BEYOND}, or take a lower percentile"
            )


def _share_beyond(metric: str) -> float | None:
    return {"p50": 0.5, "p90": 0.1, "p95": 0.05, "p99": 0.01, "p999": 0.001}.get(metric)


def _listed(names: Any) -> str:  # noqa: ANN401 - any iterable of names
    return ", ".join(names) or "none"


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
