"""Which knobs a diagnosis makes worth screening, in which order, with which levels; and the study's lines for them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from harness import variant
from harness.diagnose.facts import Facts
from harness.diagnose.finding import Proposal
from harness.diagnose.rules import Diagnosis
from harness.study.knobs import TABLE, built_with, lacking
from harness.study.model import UNSET, Level

PLAIN = re.compile(r"[a-zA-Z][\w-]*|\d+[a-zA-Z]+")
NOT_WORDS = frozenset({"on", "off", "yes", "no", "y", "n", "true", "false", "null"})
"""What YAML 1.1 reads as something else than a word."""


def knob_order(facts: Facts, diagnosis: Diagnosis) -> tuple[Proposal, ...]:
    """Return the knobs worth screening, the worst finding's first, each with the levels of all findings that name it.

    What this service cannot take is left out: knobs of the other flavor, knobs that need `tokio_unstable` where its
    metrics show that it is compiled without, levels that make the same runtime.
    """
    order: dict[str, list[Proposal]] = {}
    for finding in diagnosis.findings:
        for proposal in finding.proposals:
            order.setdefault(proposal.knob, []).append(proposal)
    merged = (_merged(facts, knob, proposals) for knob, proposals in order.items() if _applies(facts, knob))
    return tuple(proposal for proposal in merged if len(proposal.levels) > 1)


def lines(order: Sequence[Proposal]) -> tuple[str, ...]:
    """Return the `knobs:` block of a study that screens these knobs, in their order."""
    if not order:
        return ("# knobs: nothing was found that a knob could mend",)
    return ("knobs:", *(f"  {one.knob}: [{', '.join(map(_yaml, one.levels))}]  # {one.why}" for one in order))


def _applies(facts: Facts, knob: str) -> bool:
    if knob not in TABLE:
        return True
    row = TABLE[knob]
    flavor = str(facts.values.get("flavor", "multi_thread"))
    lacks = knob in lacking(built_with(facts.values))
    return flavor in row.flavors and not lacks and (row.stable or facts.knows("blocking_queue_depth"))


def _merged(facts: Facts, knob: str, proposals: Sequence[Proposal]) -> Proposal:
    now = facts.values.get(knob, UNSET)
    asked = dict.fromkeys([now, *(level for proposal in proposals for level in proposal.levels)])
    different: dict[str, Level] = {}
    for level in asked:
        made = variant.canonical(facts.study, {**facts.values, knob: level})
        different.setdefault(json.dumps(made, sort_keys=True), level)
    return Proposal(
        knob, _in_order(knob, [*different.values()]), "; ".join(dict.fromkeys(one.why for one in proposals))
    )


def _in_order(knob: str, levels: list[Level]) -> tuple[Level, ...]:
    return tuple(sorted(levels, key=TABLE[knob].magnitude)) if knob in TABLE else tuple(levels)


def _yaml(level: Level) -> str:
    """Return a level as YAML reads it back; a word that YAML takes for something else is quoted."""
    if not isinstance(level, str):
        return json.dumps(level)
    return level if PLAIN.fullmatch(level) and level.lower() not in NOT_WORDS else json.dumps(level)
