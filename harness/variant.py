"""Which settings: canonical assignments, their identity, and the step that asks for one window. Pure.

Two assignments that make the same runtime are one variant: inert knobs are dropped, an explicit default is "unset".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.study import knobs
from harness.study.model import UNSET, Level, Study

Phase = Literal["calibrate", "screen", "interaction", "search", "race", "confirm", "attribute"]
Role = Literal["baseline", "candidate"]


@dataclass(frozen=True)
class Variant:
    """One full assignment in canonical form.

    `values` holds every runtime knob that is set and every option of the target, by name in sorted order; a runtime
    knob that is absent is unset. `id` is the first 12 hexadecimal digits of the hash of all that the variant changes
    or rests on: Builder calls, options, settings, and the ground (sources, lock file, flags, template).
    """

    id: str
    values: Mapping[str, Level]


@dataclass(frozen=True)
class Step:
    """One window that the search asks for.

    `block` and `position` place it inside its phase (a pair is a block of two), `attempt` counts retries from 0.
    Windows that share `schedule_seed` get the same arrivals. `proposed` is what the sampler proposed, before it was
    made canonical, as {knob: level}; empty outside the joint search.
    """

    phase: Phase
    role: Role
    block: int
    position: int
    attempt: int
    variant: Variant
    schedule_seed: int
    proposed: Mapping[str, Level] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """Something decided, not measured: from suggestions and plan to the winner's freeze and the verdict. Plain JSON inside."""

    kind: Literal["suggest", "plan", "notice", "inert", "restart", "freeze", "look", "verdict"]
    content: Mapping[str, Any]


def of(study: Study, assignment: Mapping[str, Level]) -> Variant:
    """Return the canonical variant of the baseline with `assignment` laid over it."""
    values = canonical(study, {**study.baseline, **assignment})
    return Variant(id=_identity(study, values), values=values)


def baseline(study: Study) -> Variant:
    """Return the variant that every effect is measured against."""
    return of(study, {})


def canonical(study: Study, assignment: Mapping[str, Level]) -> dict[str, Level]:
    """Return `assignment` without what cannot act: unset knobs, explicit defaults, knobs of the other flavor."""
    options = {option.name: assignment.get(option.name, option.default) for option in study.target.options}
    runtime = {name: level for name, level in assignment.items() if name not in options}
    return dict(sorted({**options, **knobs.canonical(runtime, default_workers=study.target.cpus)}.items()))


def permitted(study: Study, variant: Variant) -> bool:
    """Whether the variant meets every constraint of the study."""
    return all(rule.holds(variant.values, study.target.cpus) for rule in study.constraints)


def difference(variant: Variant, other: Variant) -> dict[str, Level]:
    """Return what `variant` sets otherwise than `other`, as {knob: level}; a knob it leaves unset reads "unset"."""
    names = sorted({*variant.values, *other.values})
    return {
        name: variant.values.get(name, UNSET)
        for name in names
        if variant.values.get(name, UNSET) != other.values.get(name, UNSET)
    }


def runtime_values(study: Study, variant: Variant) -> dict[str, Level]:
    """Return only the runtime knobs that the variant sets."""
    options = {option.name for option in study.target.options}
    return {name: level for name, level in variant.values.items() if name not in options}


def option_values(study: Study, variant: Variant) -> dict[str, Level]:
    """Return the target's options as the variant sets them, complete."""
    return {option.name: variant.values[option.name] for option in study.target.options}


def is_verbatim(study: Study, variant: Variant) -> bool:
    """Whether the variant builds the committed runtime.rs of an own crate as it stands, because nothing of it changes."""
    if study.target.own_runtime is None:
        return False
    return runtime_values(study, variant) == runtime_values(study, baseline(study))


def _identity(study: Study, values: Mapping[str, Level]) -> str:
    options = {option.name for option in study.target.options}
    runtime = {name: level for name, level in values.items() if name not in options}
    unchanged = runtime == {n: v for n, v in canonical(study, study.baseline).items() if n not in options}
    whole = {
        "ground": study.target.ground,
        "runtime": study.target.own_runtime if unchanged and study.target.own_runtime else knobs.builder_calls(runtime),
        "runtimes": knobs.runtimes(runtime),
        "tokio": knobs.built_with(runtime),
        "options": {name: level for name, level in values.items() if name in options},
        "settings": dict(study.target.settings),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]
