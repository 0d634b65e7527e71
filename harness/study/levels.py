"""The searched knobs and the baseline: parsed, merged where two levels make the same runtime, put in order."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.study import knobs, manifest, quantities, schema
from harness.study.faults import Faults, listed, nearest
from harness.study.model import UNSET, Knob, Level, Target, WindowTimes
from harness.study.schema import RangeFile, StudyFile


def baseline(file: StudyFile, target: Target, own: Mapping[str, Level], faults: Faults) -> dict[str, Level]:
    """Return the baseline: defaults of the options, what an own crate's runtime.rs sets, what the study says."""
    values: dict[str, Level] = {option.name: option.default for option in target.options}
    values |= knobs.canonical(own, target.cpus)
    for name, level in file.baseline.items():
        if target.own_runtime is not None and name in knobs.TABLE:
            words = "an own crate's committed src/runtime.rs is the baseline: set it there, not here"
            faults.add(words, "baseline", name)
            continue
        parsed = _level(name, level, target, faults, "baseline", name)
        if parsed is not None:
            values[name] = parsed
    return {name: level for name, level in values.items() if level != UNSET}


def searched(
    file: StudyFile, target: Target, base: Mapping[str, Level], faults: Faults
) -> tuple[tuple[Knob, ...], tuple[str, ...]]:
    """Return the searched knobs in the study's order, and warnings about levels that are the same."""
    warnings: list[str] = []
    found = [_knob(name, spec, target, base, faults, warnings) for name, spec in file.knobs.items()]
    return tuple(knob for knob in found if knob is not None), tuple(warnings)


def idle_warnings(found: tuple[Knob, ...], base: Mapping[str, Level], times: WindowTimes) -> tuple[str, ...]:
    """Return a sentence for each level that cannot act in the study's windows."""
    warnings = []
    flavors = [level for knob in found if knob.name == "flavor" for level in knob.levels]
    flavors = flavors or [base.get("flavor", "multi_thread")]
    for knob in found:
        row = knobs.TABLE.get(knob.name)
        if row is not None and not set(row.flavors) & {"multi_thread" if f == UNSET else f for f in flavors}:
            warnings.append(f"{knob.name} does nothing under {listed(map(str, flavors))}: every level is the same")
        if knob.name == "thread_keep_alive":
            warnings += _keep_alive_warnings(knob, times)
    return tuple(warnings)


def _keep_alive_warnings(knob: Knob, times: WindowTimes) -> list[str]:
    under_load_s = times.warmup_s + times.measure_s
    written = {level: "10s" if level == UNSET else str(level) for level in knob.levels}
    return [
        f"thread_keep_alive {level}{' (10s)' if level == UNSET else ''} cannot act within a window of "
        f"{quantities.duration_text(under_load_s)} under load: no thread can be idle that long"
        for level, text in written.items()
        if quantities.duration_s(text) > under_load_s
    ]


def _knob(
    name: str,
    spec: list[Level] | RangeFile,
    target: Target,
    base: Mapping[str, Level],
    faults: Faults,
    warnings: list[str],
) -> Knob | None:
    row = knobs.TABLE.get(name)
    if row is None and all(option.name != name for option in target.options):
        faults.add(_no_such_knob(name, target), "knobs", name)
        return None
    if isinstance(spec, RangeFile) and row is not None and row.kind != "integer":
        faults.add("a range {low, high} is for whole numbers; list the levels instead", "knobs", name)
        return None
    raw = schema.range_levels(spec) if isinstance(spec, RangeFile) else spec
    parsed = [_level(name, level, target, faults, "knobs", name) for level in raw]
    own = base.get(name, UNSET)
    levels = _distinct(name, [own, *(level for level in parsed if level is not None)], target, warnings)
    if None in parsed:
        return None
    if len(levels) == 1:
        faults.add(f"has only one level in effect, the baseline's ({own}): add another one", "knobs", name)
        return None
    ordered = not isinstance(levels[0], (str, bool)) if row is None else row.kind not in {"flavor", "flag"}
    if ordered:
        levels.sort(key=lambda level: _order(name, level, target))
    return Knob(name, "option" if row is None else "runtime", tuple(levels), ordered, own)


def _level(name: str, level: Level, target: Target, faults: Faults, *loc: str | int) -> Level | None:
    option = next((option for option in target.options if option.name == name), None)
    if option is not None:
        return faults.attempt(lambda: manifest.parse_level(option, level), *loc)
    if name in knobs.TABLE:
        return faults.attempt(lambda: knobs.TABLE[name].parse(level), *loc)
    faults.add(_no_such_knob(name, target), *loc)
    return None


def _no_such_knob(name: str, target: Target) -> str:
    if name in knobs.NOT_SEARCHED:
        return f"cannot be searched: {knobs.NOT_SEARCHED[name]}"
    options = [option.name for option in target.options]
    return (
        f"is neither a knob of Tokio's runtime nor an option of {target.name}. "
        f"{nearest(name, [*knobs.TABLE, *options])}"
        f"Options of {target.name}: {listed(options)}. Knobs: {listed(knobs.TABLE)}"
    )


def _distinct(name: str, levels: list[Level], target: Target, warnings: list[str]) -> list[Level]:
    """Drop levels that make the same runtime as an earlier one; the first is the baseline's."""
    kept: dict[str, Level] = {}
    for level in levels:
        effect = _effect(name, level, target)
        if effect in kept and kept[effect] != level:
            warnings.append(f"{name}: {level} is the same as {kept[effect]}, so it is measured once")
        kept.setdefault(effect, level)
    return list(kept.values())


def _effect(name: str, level: Level, target: Target) -> str:
    """Return what tells two levels apart in effect, on any flavor."""
    if name not in knobs.TABLE:
        return json.dumps(level)
    effects = [knobs.canonical({"flavor": flavor, name: level}, target.cpus) for flavor in knobs.FLAVORS]
    return json.dumps(effects if name != "flavor" else knobs.canonical({name: level}, target.cpus), sort_keys=True)


def _order(name: str, level: Level, target: Target) -> float:
    if name not in knobs.TABLE:
        return float(level)
    if level == UNSET and name == "worker_threads":
        return float(target.cpus)
    return knobs.TABLE[name].magnitude(level)
