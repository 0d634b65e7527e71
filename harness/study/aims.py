"""What a study aims at: its objectives, the limits that it sets, the constraints between its knobs.

Owns the checks that need other parts of the file (the load's requests, the target's options, the baseline).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.study import constraints, knobs, percentiles, schema
from harness.study.constraints import Constraint, Kind
from harness.study.faults import Faults, listed, nearest
from harness.study.model import Guard, Keep, Level, Load, Objective, Target, WindowTimes
from harness.study.schema import StudyFile

OF_ONE_KIND = (*schema.LATENCIES, *schema.MAXIMIZED, schema.CAPACITY)
"""What one kind of request has a figure of; the others belong to the whole service."""


def objective(file: StudyFile, faults: Faults) -> Objective:
    """Return what is made better; a second objective hangs on the first."""
    asked, names = file.objective, [request.name for request in file.load.requests]
    if asked.of is not None and asked.of not in names:
        words = (
            f"there is no request named {asked.of}. {nearest(asked.of, names)}There are: {listed(dict.fromkeys(names))}"
        )
        faults.add(words, "objective", "of", rests_on=[("load", "requests")])
    wanted = asked.wanted
    metrics = [metric for _, metric in wanted]
    if asked.of is not None and not set(metrics) & set(OF_ONE_KIND):
        words = f"{listed(metrics)} belongs to the whole service, not to one kind of request: leave `of` out"
        faults.add(words, "objective", "of", rests_on=[("objective", "minimize")])
    if asked.keep is not None and not _rises(file):
        words = "needs a load whose rate goes up: `arrivals: {steps: {to: ..., count: ...}}`, with `to` above the load's rate"
        faults.add(words, "objective", "keep", rests_on=[("load", "arrivals"), ("load", "rate")])
    keep = Keep(asked.keep.metric, asked.keep.at_most * 1e3) if asked.keep else None
    first, *others = (
        Objective(
            direction,  # type: ignore[arg-type]  # by schema
            metric,  # type: ignore[arg-type]  # by schema
            asked.of if metric in OF_ONE_KIND else None,
            keep=keep if metric == schema.CAPACITY else None,
        )
        for direction, metric in wanted
    )
    second = others[0] if others else None
    return replace(first, second=second, pick=asked.pick, within=asked.within or 0.0)


def _rises(file: StudyFile) -> bool:
    law = file.load.arrivals
    steps = law.steps if isinstance(law, schema.ArrivalsFile) else None
    return steps is not None and file.load.rate is not None and steps.to > file.load.rate


def thin(
    load: Load, times: WindowTimes, aimed: Objective, limits: tuple[Guard, ...], faults: Faults
) -> tuple[str, ...]:
    """Return a sentence for each percentile with too few requests beyond it; a fault where there is less than one."""
    if not load.requests:
        return ()
    objectives = [aimed, aimed.second] if aimed.second else [aimed]
    named: list[tuple[tuple[str, ...], str, str | None]] = [
        (("objective",), each.metric, each.of) for each in objectives
    ]
    times = _a_step(load, times) if any(each.keep for each in objectives) else times
    named += [(("objective", "keep"), each.keep.metric, each.of) for each in objectives if each.keep]
    said: dict[str, None] = {}
    for place, metric, of in (*named, *((("guards", at), guard.metric, None) for at, guard in enumerate(limits))):
        beyond = percentiles.beyond(load, times, metric, of)
        words = percentiles.words(load, times, metric, of)
        if beyond is not None and beyond < 1 and words:
            rests_on = [("load",), ("window",), ("objective",), ("guards",)]
            faults.add(f"{words} {metric} would be the slowest request of a window", *place, rests_on=rests_on)
        elif words:
            said[words] = None
    return tuple(said)


def _a_step(load: Load, times: WindowTimes) -> WindowTimes:
    """Return the times of the shortest step of a load in steps: what has to have requests enough for its percentile."""
    return replace(times, measure_s=min(piece.length_s for piece in load.pieces[1:])) if load.pieces else times


def guards(file: StudyFile, faults: Faults) -> tuple[Guard, ...]:
    """Return the limits that a recommendation must not break."""
    for index, guard in enumerate(file.guards):
        a_share = guard.metric == "error_ratio" or (guard.metric == "throughput" and file.load.model == "open")
        if a_share and guard.of is None and guard.limit() > 1:
            words = f"is a share of the offered requests, so its limit is at most 1 (or 100%), not {guard.limit():g}"
            faults.add(words, "guards", index, guard.side, rests_on=[("guards",), ("load", "model")])
    return tuple(
        Guard(
            metric=guard.metric,  # type: ignore[arg-type]  # the schema checked it
            side=guard.side,
            limit=guard.limit(),
            relative=guard.of == "baseline",
            may_rise=guard.may_rise,
        )
        for guard in file.guards
    )


def rules(file: StudyFile, target: Target, baseline: Mapping[str, Level], faults: Faults) -> tuple[Constraint, ...]:
    """Return the constraints between knobs; each is one that the baseline meets."""
    found = []
    for index, text in enumerate(file.constraints):
        try:
            made = constraints.parse(text)
            constraints.check(made, _kinds(target))
        except constraints.Wrong as error:
            faults.add(str(error), "constraints", index)
            continue
        words = _unfit(made, file, target, baseline)
        if words:
            faults.add(words, "constraints", index, rests_on=[("knobs",), ("baseline",)])
        found.append(made)
    return tuple(found)


def _kinds(target: Target) -> dict[str, Kind]:
    """Return what a constraint may do with each knob and option: count, compare as text, take as yes or no."""
    kinds: Mapping[str, Kind] = {"flavor": "text", "version": "text", "choice": "text", "flag": "truth"}
    named = {name: str(row.kind) for name, row in knobs.TABLE.items()}
    named |= {option.name: str(option.kind) for option in target.options}
    return {name: kinds.get(kind, "number") for name, kind in named.items()}


def _unfit(made: Constraint, file: StudyFile, target: Target, baseline: Mapping[str, Level]) -> str:
    """Return why a constraint cannot be used in this study, empty where it can."""
    names = tuple(dict.fromkeys(made.meaning.names()))
    if not set(names) & set(file.knobs):
        return f"names no searched knob, so it decides nothing. Searched are: {listed(file.knobs)}"
    runtime = knobs.canonical({name: level for name, level in baseline.items() if name in knobs.TABLE}, target.cpus)
    values = {**{name: level for name, level in baseline.items() if name not in knobs.TABLE}, **runtime}
    if made.holds(values, target.cpus):
        return ""
    now = constraints.InForce(values, target.cpus)
    told = ", ".join(f"{name} is {now.of(name)}" for name in names)
    return f"the baseline breaks it ({told}): every effect is measured against the baseline, so change one of them"
