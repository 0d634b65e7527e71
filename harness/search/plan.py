"""The plan: how many windows each phase gets, what that costs, and the smallest gain it can see.

A pure function of the study, made before the first window. Nothing measured changes it, except that windows which the
race has no entrants for are added to the pairs when the winner is frozen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from harness import variant
from harness.judge import noise, rank
from harness.judge.attribution import FEWEST_KNOBS
from harness.judge.effects import one_offs
from harness.judge.rank import Interval
from harness.search import restart, sizes
from harness.search.earlier import Known
from harness.search.sizes import ALPHA, Plan, Space
from harness.study import percentiles
from harness.study.model import Study
from harness.study.percentiles import QUANTILE

SMALL_SPACE = 64
"""Up to this many combinations of levels we count the truly different variants, to not search longer than there are."""

MOST_COUNTED = 4096
"""Up to this many combinations we look for the few that constraints leave."""

MOST_PAIRS = 1000
"""More pairs than this are no advice that anybody could follow."""

OVERHEAD_S, DRAIN_S, FIRST_BUILD_S, NEW_VARIANT_S = 1.0, 0.5, 40.0, 1.0
"""Estimated seconds: a window's start and stop, its drain when nothing is stuck, the first build, a further one."""


def plan(study: Study) -> Plan:
    """Return the plan of the study's phases, else of its budget's row, made smaller until it fits the budget's time."""
    space = _space(study)
    ever_smaller = (
        sizes.of_phases(study.phases, space) if study.phases else sizes.of_budget(study.budget.windows, space)
    )
    first = made = next(ever_smaller)
    while study.budget.time_s is not None and cost_seconds(study, made) > study.budget.time_s:
        smaller = next(ever_smaller, None)
        if smaller is None:
            break
        made = smaller
    return replace(made, notes=_notes(study, first, made))


def can_claim(study: Study, plan: Plan) -> bool:
    """Whether the plan's pairs can show anything; true where none are asked for, or no level makes another program."""
    return plan.pairs >= rank.fewest_pairs(ALPHA) or tells_effects_only(study) or _space(study).variants == 0


def tells_effects_only(study: Study) -> bool:
    """Whether the study asks for the effect of each level and for no confirmation."""
    return study.phases is not None and study.phases.confirm == 0


def seconds_per_window(study: Study) -> float:
    """Return how long one window of a variant seen before takes, as an estimate."""
    times = study.window
    return times.warmup_s + times.measure_s + min(times.drain_s, DRAIN_S) + OVERHEAD_S


def cost_seconds(study: Study, plan: Plan) -> float:
    """Return how long the plan takes, builds included, as an estimate."""
    return plan.windows * seconds_per_window(study) + FIRST_BUILD_S + plan.new_variants * NEW_VARIANT_S


def smallest_visible(plan: Plan, sigma: Interval = noise.TYPICAL_SIGMA) -> Interval | None:
    """Return the gains that the pairs see with 80 % power at both ends of the noise `sigma`; None without pairs."""
    low, high = (noise.smallest_visible(end, plan.pairs, len(plan.looks)) for end in (sigma.low, sigma.high))
    return None if low is None or high is None else Interval(low, high)


def to_json(study: Study, plan: Plan) -> dict[str, Any]:
    """Return the plan as the ledger keeps it: its sizes, with cost, smallest visible gain and warnings for people."""
    visible = smallest_visible(plan)
    return {
        **asdict(plan),
        "notes": list(plan.notes),
        "windows": plan.windows,
        "looks": list(plan.looks),
        "alphas": list(plan.alphas),
        "cost_s": cost_seconds(study, plan),
        "assumed_sigma": [noise.TYPICAL_SIGMA.low, noise.TYPICAL_SIGMA.high],
        "sampling_floor": _sampling_floor(study),
        "smallest_visible": None if visible is None else [visible.low, visible.high],
        "warnings": list(study.warnings),
    }


def from_json(content: Mapping[str, Any]) -> Plan:
    """Return the plan that `to_json` wrote."""
    known = {field.name: content[field.name] for field in fields(Plan) if field.name in content}
    return Plan(**{**known, "notes": tuple(content["notes"])})


def in_words(study: Study, plan: Plan, known: Known | None = None) -> tuple[str, ...]:
    """Return the plan as lines for people: windows, minutes, phases, the smallest gain, notes.

    The smallest gain is that of the noise that earlier runs are `known` to have had, else that of a usual range.
    """
    blocks = f"{plan.screen_blocks} x ({plan.one_offs} levels + {plan.screen_baselines} baseline)"
    phases = {
        "calibrate": plan.calibrate,
        f"screen {blocks}": plan.screen,
        f"single winners together {plan.interaction} x at most {plan.together}": plan.at_most_together,
        "search": plan.search,
        "race": plan.race,
        f"{plan.pairs} pairs": 2 * plan.pairs,
    }
    sizes = ", ".join(f"{name}: {size}" for name, size in phases.items() if size)
    declared = " and ".join(str(look) for look in plan.looks)
    return (
        f"plan: {plan.windows} windows, about {math.ceil(cost_seconds(study, plan) / 60)} minutes ({sizes})",
        *((f"looks at {declared} pairs; {_visible_words(plan, known)}",) if plan.pairs else ()),
        *_attribution_words(study, plan),
        *_restart_words(plan),
        *_notes_by(study, plan, known),
    )


def _notes_by(study: Study, plan: Plan, known: Known | None) -> tuple[str, ...]:
    """Return the notes, what is said of the smallest gain being by the noise that is known, where it is."""
    if known is None:
        return plan.notes
    supposed, told = _visible_note(study, plan), _visible_note(study, plan, known)
    return (*(note for note in plan.notes if note != supposed), *((told,) if told else ()))


def _attribution_words(study: Study, plan: Plan) -> tuple[str, ...]:
    """Return what explaining a confirmed gain costs besides, as one line, or none."""
    if plan.attribute:
        most = plan.attribute * (len(study.knobs) + 2)
        return (f"what each knob of a confirmed winner does: {plan.attribute} blocks more, at most {most} windows",)
    if plan.pairs == 0 or len(study.knobs) < FEWEST_KNOBS:
        return ()
    if study.phases is None and len(plan.looks) > 1:
        early = "pairs that an early look saves tell what each knob of the winner does"
        last = "a gain that only the last look shows is not explained: ask for phases.attribute where it has to be"
        return (f"{early}; {last}",)
    return ("what each knob of a confirmed winner does is not measured: ask for it by phases.attribute",)


def _restart_words(plan: Plan) -> tuple[str, ...]:
    """Return what a host that moves may cost besides, as one line, or none where no step could be seen in time."""
    most = restart.most_windows(plan)
    again = "the running block of calibration or screen is measured again"
    return (f"should the host move, {again}: at most {most} windows more",) if most else ()


def _visible_words(plan: Plan, known: Known | None) -> str:
    sigma = noise.TYPICAL_SIGMA if known is None else known.range
    visible = smallest_visible(plan, sigma)
    assert visible is not None  # noqa: S101 - asked only where there are pairs
    if known is None:
        return (
            f"the smallest gain likely to be seen is {visible.low:.1%} where windows vary by {sigma.low:.0%}, "
            f"{visible.high:.1%} where they vary by {sigma.high:.0%}"
        )
    likely = _visible_at(plan, known.sigma)
    runs = f"{len(known.runs)} earlier runs" if len(known.runs) > 1 else f"run {known.runs[0]}"
    return (
        f"the smallest gain likely to be seen is {likely:.1%} ({visible.low:.1%} to {visible.high:.1%}): windows vary by "
        f"{known.sigma:.1%} ({sigma.low:.1%} to {sigma.high:.1%}) in {known.windows} A/A windows of {runs} here"
    )


def _visible_at(plan: Plan, sigma: float) -> float:
    visible = noise.smallest_visible(sigma, plan.pairs, len(plan.looks))
    return 0.0 if visible is None else visible


def _space(study: Study) -> Space:
    """Count the different variants that are permitted, as long as they are few."""
    levels = [knob.levels for knob in study.knobs]
    tried, combinations = one_offs(study), math.prod(len(of_knob) for of_knob in levels)
    single, searched = len(tried), len({one_off.knob for one_off in tried})
    if combinations > (MOST_COUNTED if study.constraints else SMALL_SPACE):
        return Space(single, None, searched)
    base, different = variant.baseline(study).id, set()
    for levels_of in itertools.product(*levels):
        made = variant.of(study, dict(zip(study.knob_names, levels_of, strict=True)))
        if made.id != base and variant.permitted(study, made):
            different.add(made.id)
        if len(different) >= max(SMALL_SPACE, single):
            return Space(single, None, searched)
    return Space(single, len(different), searched)


def _notes(study: Study, first: Plan, made: Plan) -> tuple[str, ...]:
    notes = [
        _time_note(study, first, made),
        _claim_note(study, made),
        _constraints_note(study),
        _visible_note(study, made),
    ]
    return tuple(note for note in notes if note)


def _time_note(study: Study, first: Plan, made: Plan) -> str:
    if made.windows == first.windows:
        return ""
    minutes = (study.budget.time_s or 0.0) / 60
    return f"The plan is cut from {first.windows} to {made.windows} windows to fit {minutes:.0f} minutes."


def _claim_note(study: Study, made: Plan) -> str:
    if made.pairs == 0 and made.search == 0 and made.screen_blocks == 0:
        permitted = " that its constraints permit" if study.constraints else ""
        return f"No level of this study makes another program than the baseline{permitted}: nothing can be compared."
    return "" if can_claim(study, made) else f"{made.pairs} pairs are too few for any claim. {_sufficient(study)}"


def _sufficient(study: Study) -> str:
    """Return what the smallest budget that allows a claim would be."""
    space, enough = _space(study), rank.fewest_pairs(ALPHA)
    larger = reversed(list(sizes.of_phases(study.phases, space))) if study.phases else sizes.growing(space)
    least = next(made for made in larger if made.pairs >= enough)
    minutes = math.ceil(cost_seconds(study, least) / 60)
    return (
        f"{least.windows} windows, about {minutes} minutes, are the fewest that allow one: give budget.windows at least "
        f"{least.windows} and budget.time {minutes}m, or shorten the window."
    )


def _constraints_note(study: Study) -> str:
    free = {one_off.variant.id for one_off in one_offs(replace(study, constraints=()))}
    left_out = len(free) - len(one_offs(study))
    if left_out == 0:
        return ""
    return f"The constraints leave {left_out} of {len(free)} single levels out; the search may still combine them."


def _visible_note(study: Study, made: Plan, known: Known | None = None) -> str:
    """Return what to change where the pairs cannot see `min_effect`: by the known noise, else on a quiet machine."""
    sigma = noise.TYPICAL_SIGMA.low if known is None else known.sigma
    visible = _visible_at(made, sigma)
    if visible <= study.min_effect:
        return ""
    where = "even on a quiet machine " if known is None else "with the noise seen here "
    return (
        f"min_effect is {study.min_effect:.1%}, but {where}only gains above {visible:.1%} are likely to be confirmed. "
        f"{_more_pairs(study, sigma)} {_longer_windows(study, sigma, visible)}"
    )


def _more_pairs(study: Study, sigma: float) -> str:
    """Return how many pairs see `min_effect`, and the budget that has them."""
    enough = next((n for n in range(1, MOST_PAIRS + 1) if _sees(study, sigma, n)), None)
    if enough is None:
        return f"Not even {MOST_PAIRS} pairs would see that: raise min_effect."
    if study.phases is not None:
        return f"{enough} pairs would see that (phases.confirm: {enough})."
    least = next(made for made in sizes.growing(_space(study)) if made.pairs >= enough)
    minutes = math.ceil(cost_seconds(study, least) / 60)
    return f"{enough} pairs would see that: {least.windows} windows, about {minutes} minutes."


def _sees(study: Study, sigma: float, pairs: int) -> bool:
    visible = noise.smallest_visible(sigma, pairs, len(sizes.looks(pairs)[0]))
    return visible is not None and visible <= study.min_effect


def _longer_windows(study: Study, sigma: float, visible: float) -> str:
    """Return what else helps: where counting too few requests makes most of the noise, windows that count more."""
    metric, floor = study.objective.metric, _sampling_floor(study)
    lower = [name for name, quantile in QUANTILE.items() if quantile < QUANTILE.get(metric, 0.0)]
    if floor is None or floor**2 < sigma**2 / 2:
        other = f", a lower percentile than {metric}" if lower else ""
        return (
            f"Or give fewer knobs{other}, or a larger min_effect; a quieter machine helps more than longer windows do."
        )
    longer = study.window.measure_s * (math.log1p(-visible) / math.log1p(-study.min_effect)) ** 2
    other = f" {lower[-1]} instead of {metric}," if lower else ""
    return (
        f"Most of the noise is that of {metric} from so few requests (at least {floor:.1%}), so longer windows help "
        f"(window.measure: {longer:.0f}s), or{other} or a larger min_effect."
    )


def _sampling_floor(study: Study) -> float | None:
    quantile, requests = QUANTILE.get(study.objective.metric), percentiles.scored(study, study.objective)
    return None if quantile is None or requests is None else noise.sampling_floor(requests, quantile)
