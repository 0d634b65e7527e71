"""The table of rules, and the diagnosis that they make together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.diagnose import growth, measuring, pool, workers
from harness.diagnose.facts import Facts
from harness.diagnose.finding import CONFIDENCES, Finding, NotLooked, Outcome


@dataclass(frozen=True)
class Rule:
    """One rule: the columns of series.parquet that it cannot do without, and how it looks.

    `autopsy`: it can look at windows that the service did not survive, because it asks for no figure of a whole window.
    """

    needs: tuple[str, ...]
    look: Callable[[Facts], Outcome]
    autopsy: bool = False


RULES: dict[str, Rule] = {
    "blocking_call": Rule(("busy_share", "cpu"), workers.blocking_call),
    "cpu_bound": Rule(("busy_share", "cpu"), workers.cpu_bound),
    "pool_too_small": Rule(("blocking_queue_depth", "blocking_threads"), pool.too_small),
    "pool_churn": Rule(("blocking_threads",), pool.churn),
    "pool_never_shrinks": Rule(("blocking_threads", "idle_blocking_threads"), pool.never_shrinks),
    "oversubscription": Rule(("cpu",), workers.oversubscription),
    "imbalance": Rule((), workers.imbalance),
    "global_queue": Rule(("global_queue_depth",), workers.global_queue),
    "driver_starvation": Rule(("busy_share", "cpu"), workers.driver_starvation),
    "task_leak": Rule(("alive_tasks",), growth.task_leak, autopsy=True),
    "memory_growth": Rule(("rss_bytes",), growth.memory_growth, autopsy=True),
    "client_limited": Rule((), measuring.client_limited),
    "metrics_missing": Rule((), measuring.metrics_missing),
}
"""Every rule by name; each goes through the same contract test."""


@dataclass(frozen=True)
class Diagnosis:
    """Findings, worst first; the rules that could not look, and why; the rules that looked and found nothing."""

    findings: tuple[Finding, ...]
    not_looked: tuple[NotLooked, ...]
    clear: tuple[str, ...]


def diagnose(facts: Facts) -> Diagnosis:
    """Apply every rule to the facts."""
    outcomes = {name: _outcome(name, rule, facts) for name, rule in RULES.items()}
    return Diagnosis(
        findings=_worst_first([found for found in outcomes.values() if isinstance(found, Finding)]),
        not_looked=tuple(found for found in outcomes.values() if isinstance(found, NotLooked)),
        clear=tuple(name for name, found in outcomes.items() if found is None),
    )


def _outcome(name: str, rule: Rule, facts: Facts) -> Outcome:
    if facts.died and not rule.autopsy:
        return NotLooked(name, "the service did not survive the windows, so their figures are not whole")
    missing = [column for column in rule.needs if not facts.knows(column)]
    if missing:
        return NotLooked(name, f"no {' and no '.join(missing)} in the series")
    return rule.look(facts)


def _worst_first(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    def rank(finding: Finding) -> tuple[bool, int, float]:
        return finding.kind == "caution", CONFIDENCES.index(finding.confidence), -finding.weight

    return tuple(sorted(findings, key=rank))
