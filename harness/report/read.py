"""Reads a run folder into one frozen record. The only file of the report that knows what run.json looks like.

Never writes, and never needs more than run.json: a ledger that is not there yet is an empty one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import harness
from harness import variant as variants
from harness.errors import StudyError
from harness.judge import rank, verdict
from harness.judge.guards import Pairs
from harness.judge.verdict import Look, Verdict
from harness.ledger.folder import RunFolder
from harness.ledger.ledger import read_history
from harness.ledger.record import SCHEMA, History, WindowRecord
from harness.search import confirm
from harness.study import constraints, knobs
from harness.study.model import (
    UNSET,
    Budget,
    Declared,
    Guard,
    Keep,
    Knob,
    Level,
    Load,
    Objective,
    Study,
    Target,
    WindowTimes,
)
from harness.variant import Variant


@dataclass(frozen=True)
class Run:
    """One run as its folder tells it.

    `study` is what was asked, as far as run.json keeps it: enough for everything that `judge` asks of a study. `about`
    says what each searched knob does; `requests` the mix in words; `host`, `versions` and `cores` are facts for
    display. `verdict` is None while the run is unfinished. `confirms` says what a later confirmation confirms: run, variant,
    number; None for a run of its own.
    """

    folder: RunFolder
    id: str
    backend: str
    harness: str
    started: float
    commit: str | None
    study: Study
    about: Mapping[str, str]
    requests: tuple[str, ...]
    resolved: Mapping[str, Level]
    host: Mapping[str, Any]
    versions: Mapping[str, Any]
    cores: Mapping[str, Any]
    generator_priority: int | None
    notices: tuple[str, ...]
    baseline: Variant
    history: History
    verdict: Verdict | None
    confirms: Mapping[str, Any] | None = None

    @property
    def tested(self) -> Variant | None:
        """The variant that went into the confirmation pairs, None before the freeze."""
        frozen = confirm.frozen(self.history)
        return None if frozen is None else frozen.winner

    @property
    def pairs(self) -> Pairs:
        """The usable (tested, baseline) pairs, which a claim rests on."""
        return confirm.usable_pairs(self.history)

    @property
    def last_look(self) -> Look | None:
        """The look that the verdict rests on, None where the run ended without one."""
        looks = confirm.looks_taken(self.history)
        return looks[-1] if looks else None

    @property
    def recommends_winner(self) -> bool:
        """Whether the tested variant is recommended: it is better, and not surely by less than min_effect.

        A difference that is real but lies wholly below what the study asks for is not worth a change.
        """
        verdict = self.verdict
        if verdict is None or verdict.call != "better":
            return False
        most = verdict.interval[1]
        return most is None or most >= self.study.min_effect

    def change(self, values: Mapping[str, Level]) -> dict[str, Level]:
        """Return what `values` sets otherwise than the baseline, as {knob: level}."""
        return variants.difference(Variant("", values), self.baseline)

    def label(self, record: WindowRecord) -> str:
        """Return the window's variant as people say it: what it changes, or "baseline"."""
        return change_words(self.change(record.values)) or "baseline"


def run(folder: Path) -> Run:
    """Read the run in `folder`.

    StudyError when it is no run folder, when run.json or a line of the ledger was damaged, or when a newer harness
    wrote it.
    """
    place = RunFolder(folder)
    facts = _facts(place)
    history = read_history(place)
    try:
        made = _run(place, facts, history)
        changed = _changed_look(made)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(
            f"{place.run_json} or a decision beside it cannot be read ({type(error).__name__}: {error}). "
            "It was changed by hand; put it back as it was."
        ) from error
    if changed is not None:
        raise StudyError(
            f"{place.decisions_jsonl}: look {changed} does not follow from the pairs in {place.windows_jsonl}: one of the two "
            "was changed by hand, so nothing can be claimed. Put them back as they were, or run the study again."
        )
    return made


def _changed_look(made: Run) -> int | None:
    """Return the number of the first look that its own pairs contradict; None where all follow from them.

    Only looks of this version are checked: another may have had another rule.
    """
    if made.harness != harness.__version__:
        return None
    for record in made.history.decisions:
        if record.kind == "look":
            seen = made.history.model_copy(update={"windows": made.history.windows[: record.after]})
            d = verdict.differences(made.study, confirm.usable_pairs(seen))
            look = Look.from_json(record.content)
            if look.pairs != len(d) or not math.isclose(look.p, rank.signed_rank_p(d), rel_tol=1e-6):
                return look.number
    return None


def change_words(change: Mapping[str, Level]) -> str:
    """Return a difference from the baseline as people say it: "worker_threads = 4, flavor = unset"."""
    return ", ".join(f"{name} = {level_words(level)}" for name, level in change.items())


def level_words(level: Level) -> str:
    """Return a level as a study writes it."""
    return str(level).lower() if isinstance(level, bool) else str(level)


def _facts(place: RunFolder) -> dict[str, Any]:
    try:
        facts = json.loads(place.run_json.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(
            f"{place.path} is not a run folder: there is no run.json in it. Give one such as results/STUDY/STAMP."
        ) from None
    except (OSError, ValueError) as error:
        raise StudyError(f"{place.run_json} cannot be read ({error}); put it back as it was") from error
    schema = facts.get("schema") if isinstance(facts, dict) else None
    if not isinstance(schema, int):
        raise StudyError(f"{place.run_json} does not describe a run: it names no schema version")
    if schema > SCHEMA:
        raise StudyError(
            f"{place.run_json} has format {schema}, this harness reads up to {SCHEMA}: "
            f"use harness {facts.get('harness', 'of that run')} or newer"
        )
    return dict(facts)


def _run(place: RunFolder, facts: Mapping[str, Any], history: History) -> Run:
    baseline = facts["baseline"]
    return Run(
        folder=place,
        id=str(facts["run"]),
        backend=str(facts["backend"]),
        harness=str(facts["harness"]),
        started=float(facts["started"]),
        commit=facts.get("commit"),
        study=_study(facts),
        about={knob["name"]: str(knob.get("about", "")) for knob in facts["knobs"]},
        requests=tuple(str(request) for request in facts["load"].get("requests", ())),
        resolved=dict(baseline.get("resolved", {})),
        host=dict(facts.get("host", {})),
        versions=dict(facts.get("versions", {})),
        cores=dict(facts.get("core_map", {})),
        generator_priority=facts.get("generator_priority"),
        notices=tuple(str(notice) for notice in facts.get("notices", ())),
        baseline=Variant(str(baseline["id"]), dict(baseline["values"])),
        history=history,
        verdict=_verdict(history),
        confirms=facts.get("confirms"),
    )


def _verdict(history: History) -> Verdict | None:
    """Return the verdict in the ledger; keys that a later search adds beside it are passed over."""
    content = history.decision("verdict")
    if content is None:
        return None
    return Verdict.from_json({field.name: content[field.name] for field in fields(Verdict)})


def _study(facts: Mapping[str, Any]) -> Study:
    """Return the study; what run.json does not keep and judge never asks for (sources, bodies, budget) is empty."""
    return Study(
        name=str(facts["study"]),
        file=Path(str(facts.get("study_file", ""))),
        text=str(facts.get("study_text", "")),
        digest=str(facts.get("study_digest", "")),
        target=_target(facts),
        load=_load(facts["load"]),
        window=WindowTimes(**{name: float(facts["window"][name]) for name in ("warmup_s", "measure_s", "drain_s")}),
        objective=_objective(facts["objective"]),
        guards=tuple(Guard(**guard) for guard in facts["guards"]),
        knobs=tuple(_knob(knob, facts["baseline"]["values"]) for knob in facts["knobs"]),
        baseline=dict(facts["baseline"]["values"]),
        budget=Budget(windows=0, time_s=None),
        phases=None,
        min_effect=float(facts["min_effect"]),
        seed=int(facts.get("seed", 0)),
        warnings=tuple(str(warning) for warning in facts.get("warnings", ())),
        constraints=tuple(constraints.parse(str(text)) for text in facts.get("constraints") or ()),
        floor_ms={str(name): float(value) for name, value in (facts.get("floor_ms") or {}).items()},
    )


def _objective(content: Mapping[str, Any]) -> Objective:
    second, keep = content.get("second"), content.get("keep")
    made = {"second": None if second is None else _objective(second), "keep": None if keep is None else Keep(**keep)}
    return Objective(**{**content, **made})


def _target(facts: Mapping[str, Any]) -> Target:
    target, values = facts["target"], facts["baseline"]["values"]
    # A runtime knob that this version no longer knows is kept like an option: named, and never made canonical.
    named = {**{str(knob["name"]): UNSET for knob in facts["knobs"]}, **values}
    declared = {str(option["name"]): option for option in target.get("options", ())}
    options = (_option(name, level, declared.get(name, {})) for name, level in named.items() if name not in knobs.TABLE)
    return Target(
        name=str(target["name"]),
        form=target["form"],
        workspace=Path(),
        crate=Path(),
        package=str(target["name"]),
        cpus=int(target["cpus"]),
        memory_bytes=target.get("memory_bytes"),
        options=tuple(options),
        declared_settings=(),
        settings=dict(target.get("settings", {})),
        ground=str(facts.get("ground", "")),
        has_admin=bool(target.get("has_admin", True)),
    )


def _option(name: str, level: Level, declared: Mapping[str, Any]) -> Declared:
    """Return an option with the baseline's level as its default; runs of older versions keep no more than that."""
    choices = tuple(str(choice) for choice in declared.get("choices", ()))
    kind = declared.get("kind", "choice")
    return Declared(
        name, kind, level, str(declared.get("about", "")), choices, declared.get("low"), declared.get("high")
    )


def _load(load: Mapping[str, Any]) -> Load:
    return Load(
        model=load["model"],
        rate=load.get("rate"),
        arrivals=load.get("arrivals"),
        connections=int(load["connections"]),
        timeout_s=float(load["timeout_s"]),
        requests=(),
        engine=load.get("engine", "http"),
        think_s=float(load.get("think_s", 0.0)),
        keep_alive=bool(load.get("keep_alive", True)),
    )


def _knob(knob: Mapping[str, Any], baseline: Mapping[str, Level]) -> Knob:
    return Knob(
        name=str(knob["name"]),
        kind=knob["kind"],
        levels=tuple(knob["levels"]),
        ordered=bool(knob.get("ordered", False)),
        baseline=knob.get("baseline", baseline.get(knob["name"], UNSET)),
    )
