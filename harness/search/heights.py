"""The score of a variant, measured or not: how high it stands on the surface through all windows, guards included.

It ranks variants for the search; nothing here may enter the claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness import variant
from harness.judge import guards, noise, score, surface
from harness.judge.surface import Place, Seen
from harness.ledger.record import WindowRecord
from harness.study.model import UNSET, Guard, Knob, Level, Study
from harness.variant import Variant

SLOW = 3.0
"""How much worse than the baseline a window reads in full, in units of its noise; beyond, it reads as its logarithm."""


def scores(study: Study, records: Sequence[WindowRecord], asked: Sequence[Variant]) -> list[float]:
    """Return each variant's score, lower is better, the baseline's is 0: its height less the baseline's, plus penalties.

    A limit that is relative to the baseline is held against a surface of its own metric, an absolute one against the
    variant's own windows: what was not measured yet does not break it.
    """
    usable = [record for record in records if record.validity.usable]
    places = {made.id: _place(study, made) for made in (variant.baseline(study), *asked, *map(_variant, usable))}
    ground = _Ground(study, usable, asked, places)
    heights = ground.above_baseline(_not_too_slow(study, usable))
    missed = [_shortfalls(ground, guard) for guard in study.guards]
    return [height + score.PENALTY * sum(of_guards) for height, *of_guards in zip(heights, *missed, strict=True)]


@dataclass(frozen=True)
class _Ground:
    """What is asked of which windows: usable ones, variants, and where every variant lies."""

    study: Study
    usable: Sequence[WindowRecord]
    asked: Sequence[Variant]
    places: Mapping[str, Place]

    def above_baseline(self, known: Sequence[tuple[WindowRecord, float]]) -> list[float]:
        """Return how high each variant asked for lies above the baseline on the surface through (window, its value)."""
        seen = tuple(Seen(self.places[one.variant], one.n, one.schedule_seed, value) for one, value in known)
        names = (variant.baseline(self.study).id, *(made.id for made in self.asked))
        base, *heights = surface.through(seen).heights([self.places[name] for name in names])
        return [height - base for height in heights]


def _shortfalls(ground: _Ground, guard: Guard) -> list[float]:
    """Return by how much each variant asked for misses the limit (ln units)."""
    if not guard.relative:
        own = ([record for record in ground.usable if record.variant == made.id] for made in ground.asked)
        return [guards.shortfall(ground.study, guard, windows, []) for windows in own]
    logs = [(record, score.log_metric(ground.study, guard.metric, record.metrics)) for record in ground.usable]
    known = [(record, value) for record, value in logs if value is not None]
    if not any(record.role == "baseline" for record, _ in known):
        return [0.0] * len(ground.asked)
    return [guards.beyond_ratio(guard, ratio) for ratio in ground.above_baseline(known)]


def _variant(record: WindowRecord) -> Variant:
    return Variant(record.variant, record.values)


def _not_too_slow(study: Study, usable: Sequence[WindowRecord]) -> list[tuple[WindowRecord, float]]:
    """Return (window, y), where far above the baseline compressed: how bad the bad ones are tells nothing of the good.

    Only windows with the first arrivals, which most baselines met; elsewhere the arrivals may be what is bad.
    """
    known = [(record, y) for record in usable if (y := score.y(study, record)) is not None]
    first = known[0][0].schedule_seed if known else 0
    base = [y for record, y in known if (record.role, record.schedule_seed) == ("baseline", first)]
    spread = SLOW * (noise.sigma(base) or 0.0)
    if not spread:
        return known
    top = float(np.median(base)) + spread
    return [(record, _compressed(y, top, spread) if record.schedule_seed == first else y) for record, y in known]


def _compressed(y: float, top: float, spread: float) -> float:
    return y if y <= top else top + spread * math.log1p((y - top) / spread)


def _place(study: Study, made: Variant) -> Place:
    return tuple(_coordinates(study, knob, made) for knob in study.knobs)


def _coordinates(study: Study, knob: Knob, made: Variant) -> tuple[float, ...]:
    at = knob.levels.index(_level(study, knob, made))
    return (surface.ordered if knob.ordered else surface.unordered)(at, len(knob.levels))


def _level(study: Study, knob: Knob, made: Variant) -> Level:
    """Return the level that a canonical variant has of a knob: of those that act as if it were unset, the baseline's first."""
    value = made.values.get(knob.name, UNSET)
    if value in knob.levels:
        return value
    alike = (level for level in (knob.baseline, *knob.levels) if _acts_as_unset(study, knob, level, made))
    return next(alike, knob.baseline)


def _acts_as_unset(study: Study, knob: Knob, level: Level, made: Variant) -> bool:
    return knob.name not in variant.canonical(study, {**made.values, knob.name: level})
