"""The joint search: which combination of levels to measure next. The only file that knows Optuna.

Optuna is an adviser, re-made from the ledger for every proposal and seeded by the number of asks, so an interrupted run
proposes what an uninterrupted one would. It never sees confirmation windows, and its best trial is never used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness import variant
from harness.judge import second
from harness.judge.effects import OneOff, one_offs
from harness.ledger.record import History, WindowRecord
from harness.search import cells, heights, seeds, standing, suggest
from harness.search.cells import Cell
from harness.search.sizes import Plan
from harness.study.model import Level, Study
from harness.variant import Step, Variant

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

BASELINE_EVERY = 12
"""Each 12th window of the search is a baseline: it feeds the drift chart, not the sampler."""

MOST_STARTS = 2 + suggest.MOST
"""The most variants that are tried before the sampler is asked."""

PROPOSALS = 8
"""How many proposals the sampler makes for one window; the one that scores best on the surface is measured.

Simulated (100 windows, sigma 10 %): 25 % missed instead of 36; with 4 of them half of that. One costs about 4 ms."""

MOST_ASKS = 16
"""How often one window asks in all, since a proposal may be a variant that cannot run or breaks a constraint."""

MOST_DRAWS = 1000
"""How often levels are drawn at random where the sampler knows none that the constraints permit."""


@dataclass(frozen=True)
class Told:
    """One row for the sampler: a level index for each knob, y less the baseline's, constraints (feasible when <= 0).

    `second` is y by the second objective, None in a study with one.
    """

    params: Mapping[str, int]
    value: float
    constraints: Mapping[str, float]
    second: float | None = None

    @property
    def values(self) -> list[float]:
        """One value for each objective."""
        return [self.value] if self.second is None else [self.value, self.second]


def next_step(study: Study, plan: Plan, history: History) -> Step | None:
    """Return the next window of the search, None when all are measured."""
    records = history.of_phase("search")
    places = cells.by_place(records)
    for position in range(plan.search):
        made = places.get((0, position), [])
        if cells.settled(made):
            continue
        cell = _again(made[0]) if made else _cell(study, history, position)
        return cell.attempt(len(made))
    return None


def told(study: Study, history: History) -> list[Told]:
    """Return every row for the sampler in the order of the ledger: the baseline once, then each candidate window.

    A variant that FAILED twice is told as infeasible with the worst values so far; INVALID windows are not told, nor
    those that do not give every objective.
    """
    explored = [record for record in standing.explored(history) if record.phase != "race"]
    baseline = [record for record in explored if record.role == "baseline" and record.validity.usable]
    values = _values(study, explored)
    tried = {one_off.variant.id: {one_off.knob: one_off.level} for one_off in one_offs(study)}
    holds = dict.fromkeys(standing.shortfalls(study, [], []), 0.0)
    level = 0.0 if study.objective.second else None
    rows = [Told(_indexes(study, {}), 0.0, {**holds, "failed": 0.0}, level)] if baseline else []
    failing = _failing_for_good(explored)
    for record in explored:
        params = _indexes(study, record.proposed or tried.get(record.variant, {}))
        if record.n in values:
            missed = standing.shortfalls(study, [record], baseline)
            first, second_y = values[record.n]
            rows.append(Told(params, first, {**missed, "failed": 0.0}, second_y))
        elif record.n in failing:
            first, second_y = _worst(rows, level)
            rows.append(Told(params, first, {**holds, "failed": 1.0}, second_y))
    return rows


def _values(study: Study, records: Sequence[WindowRecord]) -> dict[int, tuple[float, float | None]]:
    """Return y against the baseline by each objective, by the window's number, where all of them were measured."""
    first = {entry.record.n: entry.y for entry in standing.relative(study, records)}
    other = second.seen_from(study)
    if other is None:
        return {n: (y, None) for n, y in first.items()}
    beside = {entry.record.n: entry.y for entry in standing.relative(other, records)}
    return {n: (y, beside[n]) for n, y in first.items() if n in beside}


def _worst(rows: Sequence[Told], level: float | None) -> tuple[float, float | None]:
    first = max((row.value for row in rows), default=0.0)
    return first, level if level is None else max((row.second or 0.0 for row in rows), default=level)


def proposals(study: Study, rows: Sequence[Told], number: int) -> Iterator[dict[str, Level]]:
    """Yield what the sampler says, as the `number`-th adviser of the run, a level of every knob each time.

    What it said before counts as a bad trial to it (its constant liar), so it says something else.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = _space(study)
    sampler = optuna.samplers.TPESampler(seed=(study.seed + number) % 2**32)
    adviser = optuna.create_study(sampler=sampler, directions=["minimize"] * (2 if study.objective.second else 1))
    for row in rows:
        adviser.add_trial(
            optuna.trial.create_trial(
                params=dict(row.params),
                distributions=space,
                values=row.values,
                constraints=dict(row.constraints),
            )
        )
    while True:
        chosen = adviser.ask(fixed_distributions=space).params
        yield {knob.name: knob.levels[int(chosen[knob.name])] for knob in study.knobs}


def _space(study: Study) -> dict[str, BaseDistribution]:
    """Return one distribution over level indexes for each knob; the same in every trial, or TPE drops the knob."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    return {
        knob.name: IntDistribution(0, len(knob.levels) - 1)
        if knob.ordered
        else CategoricalDistribution(list(range(len(knob.levels))))
        for knob in study.knobs
    }


def _cell(study: Study, history: History, position: int) -> Cell:
    arrivals = seeds.exploring_arrivals(study, 0)
    base = variant.baseline(study)
    if position % BASELINE_EVERY == BASELINE_EVERY - 1:
        return Cell("search", "baseline", 0, position, base, arrivals)
    proposed = _proposal(study, history, position)
    made = variant.of(study, proposed)
    return Cell("search", "baseline" if made.id == base.id else "candidate", 0, position, made, arrivals, proposed)


def _again(record: WindowRecord) -> Cell:
    made = Variant(id=record.variant, values=dict(record.values))
    place = (record.block, record.position)
    return Cell("search", record.role, *place, made, record.schedule_seed, dict(record.proposed))


def _proposal(study: Study, history: History, position: int) -> dict[str, Level]:
    """Return what to try: the start, then the best by the surface of what the sampler proposes.

    Of two objectives the surface knows one, so there the sampler's first word stands.
    """
    start = _start(study, history) if position < MOST_STARTS else []
    if position < len(start):
        return start[position]
    explored = standing.explored(history)
    asked = itertools.islice(proposals(study, told(study, history), position), MOST_ASKS)
    unable = cells.infeasible(explored)
    able = (levels for levels in asked if _is_able(study, variant.of(study, levels), unable))
    found = list(itertools.islice(able, 1 if study.objective.second else PROPOSALS))
    if not found:
        return _any_permitted(study, position)
    ranked = heights.scores(study, explored, [variant.of(study, levels) for levels in found])
    return found[int(np.argmin(ranked))]


def _is_able(study: Study, made: Variant, unable: frozenset[str]) -> bool:
    return made.id not in unable and variant.permitted(study, made)


def _any_permitted(study: Study, position: int) -> dict[str, Level]:
    """Return levels drawn at random until the constraints permit them; the baseline's where hardly any are."""
    random = seeds.generator(study, "permitted", position)
    for _ in range(MOST_DRAWS):
        drawn = {knob.name: knob.levels[int(random.integers(len(knob.levels)))] for knob in study.knobs}
        if variant.permitted(study, variant.of(study, drawn)):
            return drawn
    return {knob.name: knob.baseline for knob in study.knobs}


def _start(study: Study, history: History) -> list[dict[str, Level]]:
    """Return what is tried first: the best one-off again, the two best together, then what earlier runs suggest."""
    wanted = [*_from_screen(study, history), *suggest.assignments(study, history)]
    different = {variant.of(study, levels).id: levels for levels in reversed(wanted)}
    return [levels for levels in wanted if different.pop(variant.of(study, levels).id, None) is not None]


def _from_screen(study: Study, history: History) -> list[dict[str, Level]]:
    """Return full assignments: the best one-off of the screen, and it together with the best one of another knob."""
    tried: dict[str, OneOff] = {one_off.variant.id: one_off for one_off in one_offs(study)}
    records = [*history.of_phase("calibrate"), *history.of_phase("screen")]
    ranked = [tried[entry.variant.id] for entry in standing.ranking(study, records) if entry.variant.id in tried]
    if not ranked:
        return []
    best = ranked[0]
    others = [one_off for one_off in ranked if one_off.knob != best.knob]
    together = ({best.knob: best.level, other.knob: other.level} for other in others)
    combined = [levels for levels in together if variant.permitted(study, variant.of(study, levels))][:1]
    defaults = {knob.name: knob.baseline for knob in study.knobs}
    return [{**defaults, **levels} for levels in ({best.knob: best.level}, *combined)]


def _indexes(study: Study, levels: Mapping[str, Level]) -> dict[str, int]:
    return {knob.name: knob.levels.index(levels.get(knob.name, knob.baseline)) for knob in study.knobs}


def _failing_for_good(records: Sequence[WindowRecord]) -> set[int]:
    """Return the numbers of the windows with which a candidate FAILED for the second time at one place."""
    last: dict[tuple[str, int, int], list[WindowRecord]] = {}
    for record in records:
        last.setdefault((record.phase, record.block, record.position), []).append(record)
    groups = (group for group in last.values() if group[0].role == "candidate")
    return {group[-1].n for group in groups if cells.failed_for_good(group)}
