"""Known ground: strategies on surfaces whose truth is known, scored as the reference results were scored.

Ours is the shipped search and judge code over a ledger in memory; the others are what people do without it. Each gets
the same windows with the same luck: the i-th window of a seed meets the same noise whatever is measured.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import optuna
from fakes import FAMILIES, SIX_KNOBS, Fake, Noise, fake_study, run_study, surface
from scipy import stats

from harness.judge.effects import screened_levels
from harness.judge.verdict import Verdict
from harness.study.model import UNSET, Budget, Knob, Level

LOWEST_T = math.log(0.97)
"""The guard of the reference: throughput at least 97 % of the baseline's."""

PENALTY = 5.0
NOTHING_TO_GAIN = ("flat", "default_opt")
"""The families in which every claim is false."""

HARM = 0.01
REPEATS = 3
SIGNIFICANT = 0.05

Values = Mapping[str, Level]


@dataclass(frozen=True)
class Case:
    """One simulated study: budget, noise, family of the surface, and the seed of everything drawn."""

    windows: int
    sigma: float
    family: str
    seed: int


@dataclass(frozen=True)
class Chosen:
    """What a strategy ends with: what it deploys (nothing set: the baseline), the gain it claims for that, if any.

    `tested` and `interval` are of the variant that was confirmed, whatever became of it; None without a confirmation.
    """

    deployed: Values
    claimed: float | None
    tested: Values | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Outcome:
    """A choice held against the truth. `regret` in ln units, `over_claim` in gain; None where nothing was claimed."""

    regret: float
    harm: bool
    claim: bool
    true_claim: bool
    over_claim: float | None
    covered: bool | None


@dataclass(frozen=True)
class Score:
    """Many outcomes of one strategy, as fractions of 1; None where there is nothing to take a mean of."""

    studies: int
    regret: float
    harm: float
    false_claims: float | None
    missed: float | None
    over_claim: float | None
    coverage: float | None


def outcome(case: Case, chosen: Chosen) -> Outcome:
    """Return what the choice is truly worth."""
    y_of = surface(case.family, case.seed)
    y, gain = y_of(chosen.deployed)[0], _gain(y_of(chosen.deployed)[0])
    covered = None
    if chosen.tested is not None and chosen.interval is not None:
        covered = chosen.interval[0] <= _gain(y_of(chosen.tested)[0]) <= chosen.interval[1]
    return Outcome(
        regret=float(y - best_y(case.family, case.seed)),
        harm=bool(y > math.log(1 + HARM)),
        claim=chosen.claimed is not None,
        true_claim=chosen.claimed is not None and bool(gain > 0),
        over_claim=None if chosen.claimed is None else float(chosen.claimed - gain),
        covered=None if covered is None else bool(covered),
    )


@cache
def best_y(family: str, seed: int) -> float:
    """Return the lowest y of the grid that keeps the guard.

    Enumerated without the two knobs of the blocking pool: on every surface their baseline is as good as any other
    level, and no y is lowered by them.
    """
    y_of, knobs = surface(family, seed), [knob for knob in SIX_KNOBS if knob.name not in _BLOCKING_POOL]
    points = (_set(knobs, levels) for levels in itertools.product(*(knob.levels for knob in knobs)))
    return min(y for y, t in map(y_of, points) if t >= LOWEST_T)


def score(outcomes: Sequence[tuple[Case, Outcome]]) -> Score:
    """Return the figures of one strategy over the cases."""
    found = [outcome for _, outcome in outcomes]
    vain = [outcome for case, outcome in outcomes if case.family in NOTHING_TO_GAIN]
    gainful = [outcome for case, outcome in outcomes if case.family not in NOTHING_TO_GAIN]
    regret = _mean([one.regret for one in found])
    harm = _mean([one.harm for one in found])
    return Score(
        studies=len(found),
        regret=math.nan if regret is None else regret,
        harm=math.nan if harm is None else harm,
        false_claims=_mean([one.claim for one in vain]),
        missed=_mean([not one.true_claim for one in gainful]),
        over_claim=_mean([one.over_claim for one in found if one.over_claim is not None]),
        coverage=_mean([one.covered for one in found if one.covered is not None]),
    )


def ours(case: Case) -> Chosen:
    """Run the shipped search and judge code to its verdict."""
    study = fake_study(seed=case.seed, budget=Budget(case.windows, None))
    fake = Fake(surface(case.family, case.seed), _noise(case))
    _, history = run_study(study, fake)
    verdict, frozen = Verdict.from_json(history.decision("verdict")), history.decision("freeze")
    low, high = (end if end is not None else side for end, side in zip(verdict.interval, (-math.inf, 1), strict=True))
    tested = frozen["values"] if verdict.pairs else None
    if verdict.call != "better":
        return Chosen({}, None, tested, (low, high))
    return Chosen(frozen["values"], verdict.estimate, tested, (low, high))


def best_trial(case: Case) -> Chosen:
    """Deploy and claim the best trial of a plain TPE study; its first window is the baseline."""
    measure, space = _Meter(case), {knob.name: _distribution(knob) for knob in SIX_KNOBS}
    adviser = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=case.seed))
    defaults = {knob.name: knob.levels.index(knob.baseline) for knob in SIX_KNOBS}
    measure(_set(SIX_KNOBS, _levels(defaults)))
    adviser.add_trial(optuna.trial.create_trial(params=defaults, distributions=space, value=0.0))
    for _ in range(case.windows - 1):
        trial = adviser.ask(fixed_distributions=space)
        adviser.tell(trial, measure(_set(SIX_KNOBS, _levels(trial.params))))
    return _claimed_if_better(_set(SIX_KNOBS, _levels(adviser.best_params)), adviser.best_value)


def best_random(case: Case) -> Chosen:
    """Deploy and claim the best of random variants, each measured once, against one baseline window."""
    measure, rng = _Meter(case), np.random.default_rng([case.seed, 7])
    measure({})
    drawn = (_levels({knob.name: rng.integers(len(knob.levels)) for knob in SIX_KNOBS}) for _ in range(case.windows))
    found = [(measure(values), values) for values in (_set(SIX_KNOBS, next(drawn)) for _ in range(case.windows - 1))]
    value, values = min(found, key=lambda entry: entry[0])
    return _claimed_if_better(values, value)


def one_at_a_time(case: Case) -> Chosen:
    """Do as a textbook says: levels in sequence, three windows each, t-tests against the baseline's three.

    Every other level where the windows allow, else a low and a high one. The best significant level of each knob is
    deployed, all of them together, and the sum of their effects is claimed.
    """
    measure = _Meter(case)
    every = [(knob, level) for knob in SIX_KNOBS for level in knob.levels if level != knob.baseline]
    few = [(knob, level) for knob in SIX_KNOBS for level in screened_levels(knob)]
    base = [measure({}) for _ in range(REPEATS)]
    best: dict[str, tuple[float, Level]] = {}
    for knob, level in every if REPEATS * (1 + len(every)) <= case.windows else few:
        values = [measure(_set([knob], [level])) for _ in range(REPEATS)]
        effect = float(np.mean(values) - np.mean(base))
        if effect < best.get(knob.name, (0.0, UNSET))[0] and stats.ttest_ind(values, base).pvalue <= SIGNIFICANT:
            best[knob.name] = (effect, level)
    return _claimed_if_better(
        {name: level for name, (_, level) in best.items()}, sum(effect for effect, _ in best.values())
    )


STRATEGIES: Mapping[str, Callable[[Case], Chosen]] = {
    "ours": ours,
    "TPE + best trial": best_trial,
    "random + best": best_random,
    "one at a time, t-tests": one_at_a_time,
}
"""What is compared. The first is the shipped code."""


def cases(windows: int, sigma: float, seeds: range, families: Sequence[str] = FAMILIES) -> list[Case]:
    """Return one case for each family and seed, seed by seed."""
    return [Case(windows, sigma, family, seed) for seed in seeds for family in families]


_BLOCKING_POOL = {"max_blocking_threads", "thread_keep_alive"}


class _Meter:
    """Measures one window after another: y less the first window's, plus the penalty for a broken guard."""

    def __init__(self, case: Case) -> None:
        self._surface, self._noise = surface(case.family, case.seed), _noise(case)
        self._first: tuple[float, float] | None = None
        self._n = 0

    def __call__(self, values: Values) -> float:
        self._n += 1
        measured = np.add(self._surface(values), self._noise.of_window(self._n, 0))
        self._first = self._first or (float(measured[0]), float(measured[1]))
        y, t = measured - self._first
        return float(y + PENALTY * max(0.0, LOWEST_T - t))


def _noise(case: Case) -> Noise:
    return Noise(seed=1_000_003 * (1 + FAMILIES.index(case.family)) + case.seed, sigma=case.sigma)


def _claimed_if_better(values: Values, value: float) -> Chosen:
    return Chosen(values, _gain(value)) if value < 0 else Chosen({}, None)


def _gain(y: float) -> float:
    return 1 - math.exp(y)


def _distribution(knob: Knob) -> optuna.distributions.BaseDistribution:
    if knob.ordered:
        return optuna.distributions.IntDistribution(0, len(knob.levels) - 1)
    return optuna.distributions.CategoricalDistribution(list(range(len(knob.levels))))


def _levels(indexes: Mapping[str, int]) -> list[Level]:
    return [knob.levels[int(indexes[knob.name])] for knob in SIX_KNOBS]


def _set(knobs: Sequence[Knob], levels: Sequence[Level]) -> dict[str, Level]:
    """Return the levels by knob, without those that are unset."""
    return {knob.name: level for knob, level in zip(knobs, levels, strict=True) if level != UNSET}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
