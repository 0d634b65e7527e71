"""The searched knobs and the baseline: parsed, merged where two levels make the same runtime, put in order.

Owns what a level means for this target; decides nothing about which levels are tried, or when.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.study import knobs, manifest, quantities, schema
from harness.study.faults import Faults, listed, nearest
from harness.study.model import UNSET, Knob, Level, Target, WindowTimes
from harness.study.schema import RangeFile, StudyFile


@dataclass(frozen=True)
class Levels:
    """Reads the levels of one study for its target; faults and warnings are collected on the way."""

    target: Target
    faults: Faults
    warnings: list[str] = field(default_factory=list)

    def baseline(self, file: StudyFile, own: Mapping[str, Level]) -> dict[str, Level]:
        """Return the baseline: defaults of the options, what an own crate's runtime.rs sets, what the study says."""
        values: dict[str, Level] = {option.name: option.default for option in self.target.options}
        values |= knobs.canonical(own, self.target.cpus)
        for name, level in file.baseline.items():
            if self.target.own_runtime is not None and name in knobs.TABLE:
                words = "an own crate's committed src/runtime.rs is the baseline: set it there, not here"
                self.faults.add(words, "baseline", name)
                continue
            if self._is_known(name, "baseline", name):
                parsed = self._parsed(name, level, "baseline", name)
                values |= {} if parsed is None else {name: parsed}
        return {name: level for name, level in values.items() if level != UNSET}

    def searched(self, file: StudyFile, base: Mapping[str, Level]) -> tuple[Knob, ...]:
        """Return the searched knobs in the study's order."""
        found = [
            self._knob(name, spec, base.get(name, UNSET))
            for name, spec in file.knobs.items()
            if self._is_known(name, "knobs", name)
        ]
        return tuple(knob for knob in found if knob is not None)

    def _knob(self, name: str, spec: list[Level] | RangeFile, own: Level) -> Knob | None:
        levels = self._of_range(name, spec, own) if isinstance(spec, RangeFile) else self._of_list(name, spec, own)
        if levels is None:
            return None
        if len(levels) == 1:
            words = f"has only one level in effect, the baseline's ({_words(own)}): add another one"
            self.faults.add(words, "knobs", name)
            return None
        row = knobs.TABLE.get(name)
        ordered = (
            not isinstance(levels[0], (str, bool)) if row is None else row.kind not in {"flavor", "flag", "version"}
        )
        if ordered:
            levels.sort(key=lambda level: self._order(name, level))
        return Knob(name, "option" if row is None else "runtime", tuple(levels), ordered, own)

    def _of_list(self, name: str, spec: list[Level], own: Level) -> list[Level] | None:
        parsed = [self._parsed(name, level, "knobs", name, index) for index, level in enumerate(spec)]
        found = [level for level in parsed if level is not None]
        return self._distinct(name, [own, *found]) if len(found) == len(parsed) else None

    def _of_range(self, name: str, spec: RangeFile, own: Level) -> list[Level] | None:
        if not self._takes_numbers(name):
            self.faults.add("a range is for whole numbers: give a list of levels instead", "knobs", name)
            return None
        ends = [self._parsed(name, end, "knobs", name, key) for key, end in (("low", spec.low), ("high", spec.high))]
        if None in ends:
            return None
        for most in (schema.MOST_LEVELS, schema.MOST_LEVELS - 1):  # one less where the baseline's own comes on top
            parsed = [self._parsed(name, level, "knobs", name) for level in schema.range_levels(spec, most)]
            levels = self._distinct(name, [own, *(level for level in parsed if level is not None)], quietly=True)
            if len(levels) <= schema.MOST_LEVELS:
                break
        return levels

    def _takes_numbers(self, name: str) -> bool:
        kinds: dict[str, str] = {option.name: option.kind for option in self.target.options}
        return (knobs.TABLE[name].kind if name in knobs.TABLE else kinds[name]) in {"integer", "number"}

    def _is_known(self, name: str, *loc: str) -> bool:
        options = [option.name for option in self.target.options]
        if name == "tokio" and self.target.own_runtime is not None:
            words = "is for the templates: the Tokio of an own crate is what its Cargo.lock says, so measure two copies of it"
            self.faults.add(words, *loc)
            return False
        if name == "enable_io_uring" and knobs.IO_URING not in self.target.features:
            words = (
                f"is for targets that work on files by tokio::fs: the Cargo.toml of {self.target.name} has no feature "
                f'`{knobs.IO_URING} = ["tokio/io-uring"]`. It has no effect on sockets.'
            )
            self.faults.add(words, *loc)
            return False
        if name in knobs.TABLE or name in options:
            return True
        near = nearest(name, [*knobs.TABLE, *options])
        whose = f"is neither a knob of Tokio's runtime nor an option of {self.target.name}"
        words = f"{whose}. {near}Options of {self.target.name}: {listed(options)}. Knobs: {listed(knobs.TABLE)}"
        if name in knobs.NOT_SEARCHED:
            words = f"cannot be searched: {knobs.NOT_SEARCHED[name]}"
        self.faults.add(words, *loc)
        return False

    def _parsed(self, name: str, level: Level, *loc: str | int) -> Level | None:
        """Return a level of a known knob in canonical form; None with a fault where it is none."""
        if (name, level) == ("flavor", knobs.PER_CORE) and self.target.own_runtime is not None:
            words = "is for the templates: build() of an own crate returns one runtime, and its main serves by that one"
            self.faults.add(f"{level} {words}", *loc)
            return None
        option = next((option for option in self.target.options if option.name == name), None)
        try:
            return knobs.TABLE[name].parse(level) if option is None else manifest.parse_level(option, level)
        except ValueError as error:
            self.faults.add(str(error), *loc)
            return None

    def _distinct(self, name: str, levels: list[Level], *, quietly: bool = False) -> list[Level]:
        """Drop levels that make the same runtime as an earlier one; the first is the baseline's."""
        kept: dict[str, Level] = {}
        for level in levels:
            effect = self._effect(name, level)
            if kept.setdefault(effect, level) != level and not quietly:
                words = f"{name}: {_words(level)} is the same as {_words(kept[effect])}, so it is measured once"
                self.warnings.append(words)
        return list(kept.values())

    def _effect(self, name: str, level: Level) -> str:
        """Return what tells two levels apart in effect, on any flavor."""
        if name not in knobs.TABLE:
            return json.dumps(level)
        flavors: list[dict[str, Level]] = [{}] if name == "flavor" else [{"flavor": each} for each in knobs.FLAVORS]
        effects = [knobs.canonical({**flavor, name: level}, self.target.cpus) for flavor in flavors]
        return json.dumps(effects, sort_keys=True)

    def _order(self, name: str, level: Level) -> float:
        if name not in knobs.TABLE:
            return float(level)
        if level == UNSET and name == "worker_threads":
            return float(self.target.cpus)
        return knobs.TABLE[name].magnitude(level)


def idle_warnings(found: tuple[Knob, ...], base: Mapping[str, Level], times: WindowTimes) -> tuple[str, ...]:
    """Return a sentence for each level, searched or of the baseline, that cannot act in the study's windows."""
    flavors = {level for knob in found if knob.name == "flavor" for level in knob.levels} | {base.get("flavor", UNSET)}
    flavors = {"multi_thread" if flavor == UNSET else flavor for flavor in flavors}
    searched = [knob.name for knob in found]
    named = [(name, ": every level is the same") for name in searched]
    named += [(name, ", so the baseline's level says nothing") for name in base if name not in searched]
    words = [
        f"{name} does nothing under {listed(map(str, flavors))}{consequence}"
        for name, consequence in named
        if name in knobs.TABLE and not flavors & set(knobs.TABLE[name].flavors)
    ]
    keep_alive = [level for knob in found if knob.name == "thread_keep_alive" for level in knob.levels]
    return (*words, *_keep_alive_warnings(keep_alive, times))


def _keep_alive_warnings(levels: list[Level], times: WindowTimes) -> list[str]:
    under_load_s = times.warmup_s + times.measure_s
    seconds = {level: quantities.duration_s("10s" if level == UNSET else level) for level in levels}
    return [
        f"thread_keep_alive {_words(level)}{' (10s)' if level == UNSET else ''} cannot act within a window of "
        f"{quantities.duration_text(under_load_s)} under load: no thread can be idle that long"
        for level, length_s in seconds.items()
        if length_s > under_load_s
    ]


def _words(level: Level) -> str:
    return str(level).lower() if isinstance(level, bool) else str(level)
