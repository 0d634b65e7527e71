"""runbook.md: the change, what it gains, how to apply, check and undo it; as finished for "no change" as for a win."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.report import files, formats, places, recommended, tables, words
from harness.report.confirmations import confirmations
from harness.report.read import Run, change_words
from harness.search import inert
from harness.study import knobs

CHECKS: Mapping[str, str] = {
    "worker_threads": "`num_workers` of the runtime's metrics is what you set, and `worker_total_busy_duration` shows "
    "workers that are busy, but not all of the time.",
    "max_blocking_threads": "`num_blocking_threads` stays below the cap and `blocking_queue_depth` near 0; a queue "
    "that grows means that the cap is too low.",
    "thread_keep_alive": "`num_idle_blocking_threads` between bursts is what you are willing to keep.",
    "event_interval": "`worker_poll_count` by second does not fall, and latency under many open sockets does not rise.",
    "global_queue_interval": "`global_queue_depth` stays near 0 under your peak.",
    "flavor": "the process has the number of threads that the flavor means, and one core is enough at your peak; on "
    "thread_per_core no worker is much busier than another, for the kernel spreads connections by chance and never moves one.",
    "tokio": "the exact version in the lock file of what is deployed; a later `cargo update` moves it again.",
    "thread_stack_size": "no crash by stack overflow in a day of real requests.",
}
"""Knob -> what to look at in production after it was changed."""

CHECK_BLOCKING = (
    "`num_blocking_threads` and `blocking_queue_depth`: work that moved to the blocking pool shows there; a queue that "
    "grows means that the pool is too small."
)


def write(run: Run) -> None:
    """Write runbook.md."""
    files.replace(run.folder.path / "runbook.md", text(run))


def text(run: Run) -> str:
    """Return the runbook as Markdown."""
    world = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown; every string of the run goes through `_plain`
        finalize=_plain,
    )
    made = world.get_template("runbook.md.j2").render(_content(run))
    return re.sub(r"\n{3,}", "\n\n", made)


class _Code(str):
    """A line of a code block, in which Markdown takes nothing for markup: it stands there to be pasted."""

    __slots__ = ()


def _plain(value: object) -> object:
    """Return a string that cannot open a tag, a table cell or a new line in Markdown."""
    if not isinstance(value, str) or isinstance(value, _Code):
        return value
    return value.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\r", " ").replace("\n", " ")


def _content(run: Run) -> dict[str, Any]:
    verdict = run.verdict
    chosen = recommended.variant(run)
    rust = None if chosen is None else recommended.runtime_rs(run, chosen)
    pinned = recommended.pinned_tokio(run)
    effects, told = tables.effects(run), tables.attribution(run)
    changed = [row for row in places.settings(run) if verdict is not None and row.name in verdict.winner]
    options = {option.name for option in run.study.target.options}
    return {
        "study": run.study.name,
        "headline": words.headline(run),
        "remarks": words.remarks(run),
        "evidence": words.evidence(run),
        "better": run.recommends_winner,
        "finished": verdict is not None,
        "changed": changed,
        "runtime_changed": any(row.name not in {*options, "tokio"} for row in changed),
        "pinned": pinned,
        "per_core": verdict is not None and verdict.winner.get("flavor") == knobs.PER_CORE,
        "io_uring": verdict is not None and verdict.winner.get("enable_io_uring") is True,
        "options": _options(run, chosen),
        "rust": [_Code(line) for line in (rust or "").splitlines()],
        "checks": _checks(run),
        "effects": effects,
        "knob_effects": tables.knob_effects(run, told),
        "adding_up": tables.adding_up(run, tables.singles_together(run)),
        "interaction": tables.interaction(told),
        "figures": tables.figures(run),
        "steps": words.next_steps(run, tuple(row.effect for row in effects), told),
        "ruled_out": _ruled_out(run),
        "metric": formats.metric(run.study.objective.metric, run.study.objective.of),
        "side": "lower" if run.study.objective.direction == "minimize" else "higher",
        "tokio": pinned or run.versions.get("tokio") or "unknown",
        "cores_words": words.cores(run),
        "run_id": run.id,
        "confirmations": confirmations(run),
        "inert": inert.words(run.history),
        "trade_offs": tables.trade_offs(run),
        "second": tables.second_words(run),
        "rule": words.rule(run),
        "objectives": words.objectives(run),
        "backend": run.backend,
        **_gain(run),
    }


def _gain(run: Run) -> dict[str, Any]:
    verdict = run.verdict
    if verdict is None or verdict.at_least is None:
        return {"at_least": "", "estimate": "", "pairs": 0}
    width = words.interval_width(verdict.interval)
    estimate = "" if verdict.estimate is None else formats.percent(verdict.estimate, width)
    return {"at_least": formats.at_least(verdict.at_least, width), "estimate": estimate, "pairs": verdict.pairs}


def _options(run: Run, chosen: str | None) -> dict[str, str]:
    """Return the environment variables of the changed options only: settings belong to the test, not to production."""
    if chosen is None or run.verdict is None:
        return {}
    changed = {f"OPT_{name.upper()}" for name in run.verdict.winner}
    return {name: value for name, value in recommended.environment(run, chosen).items() if name in changed}


def _checks(run: Run) -> tuple[str, ...]:
    verdict = run.verdict
    if verdict is None:
        return ()
    metric = formats.metric(run.study.objective.metric, run.study.objective.of)
    own = [CHECKS[name] for name in verdict.winner if name in CHECKS]
    if any(str(level) == "spawn_blocking" for level in verdict.winner.values()):
        own.append(CHECK_BLOCKING)
    return (
        f"{metric} at the same rate of requests, the same hours compared: it should move as the table above says.",
        "The ratio of errors and the completed requests: no worse than before.",
        *own,
        "CPU and memory of the process: the table above says what to expect.",
    )


def _ruled_out(run: Run) -> str:
    verdict = run.verdict
    if verdict is None or verdict.interval[1] is None:
        return ""
    most = formats.at_most(max(0.0, verdict.interval[1]), words.interval_width(verdict.interval))
    return f"For {change_words(verdict.winner)}, gains above {most} are ruled out (95 % confidence)."
