"""The verdict in sentences: headline, evidence, what may be said beside it, what to do next. Pure.

Says only what the pairs support: never "optimal", never "has no effect", never the best single window as a result.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.judge.attribution import Attribution
from harness.judge.effects import Effect
from harness.judge.verdict import Verdict
from harness.report import formats
from harness.report.read import Run, change_words
from harness.search import notices, restart
from harness.study.model import Objective

FALSE_CLAIMS = (
    "If the winner were no different from the baseline, a claim like this would appear in at most 5 % of studies."
)

UNJUDGED: Mapping[str, str] = {
    "too_few_pairs": "too few usable pairs to judge",
    "winner_unstable": "the winner did not run reliably",
    "no_candidate": "no variant was left to confirm",
    "baseline_failed": "the baseline failed, so nothing can be compared",
    "not_measured": "the objective could not be measured",
    "machine_not_ready": "the machine was too busy to judge anything",
    "windows_fail": "too many windows failed, one after the other",
    "out_of_time": "the time was over before anything could be judged",
}
"""What the headline says where no pairs spoke; the whole reason stands below it."""


NOTHING_LEFT: Mapping[str, str] = {
    "all_inert": "no knob of this study can matter under this load",
    "end_of_scale": "too many windows stand at the end of what can be measured here to compare them",
}
"""What the headline says where there is nothing to compare, if there is more to say."""

WHAT_ELSE: Mapping[str, str] = {
    "all_inert": "Search other knobs, or give a load that brings the work that these knobs act on.",
    "end_of_scale": "Give a longer time-out, a lighter load or load steps that reach further, and run the study again.",
}
"""What to do there instead."""


def headline(run: Run) -> str:
    """Return the verdict as one sentence."""
    verdict = run.verdict
    if verdict is None:
        return _unfinished(run)
    if verdict.call == "better" and not run.recommends_winner:
        return f"No change worth making: {_too_small(run, verdict)}"
    if verdict.call == "better" and verdict.at_least is not None:
        return f"{_metric(run)} at least {_bound(run, verdict.at_least)} {_with(verdict)}"
    if verdict.call == "worse" and verdict.interval[1] is not None:
        return f"Worse: {_metric(run)} at least {_bound(run, verdict.interval[1])} {_with(verdict)}"
    if verdict.reason_code == "effects_only":
        return (
            f"A table of effects on {_metric(run)}: each level alone against the baseline, nothing was to be confirmed"
        )
    return f"No change: {_no_change(run, verdict)}"


def evidence(run: Run) -> tuple[str, ...]:
    """Return the facts behind the headline, each a short phrase; empty where no pair was judged."""
    verdict, last = run.verdict, run.last_look
    if verdict is None or last is None or verdict.estimate is None:
        return ()
    low, high = change_ends(run, verdict.interval)
    width = interval_width(verdict.interval)
    facts = [
        f"best estimate {formats.percent(change(run, verdict.estimate), width, plus=True)}",
        f"90 % interval {formats.change_range(low, high)}",
        f"{verdict.pairs} of {last.planned} pairs usable",
        "" if verdict.call == "worse" else f"exact signed-rank p = {last.p:.2g}, one-sided, limit {last.alpha:g}",
        _guards(verdict),
    ]
    if verdict.smallest_visible is not None and verdict.reason_code in {"judged", "guard_broken"}:
        facts.append(f"changes from {formats.percent(verdict.smallest_visible)} on would very likely have been seen")
    return tuple(fact for fact in facts if fact)


def remarks(run: Run) -> tuple[str, ...]:
    """Return the sentences that must stand beside the headline."""
    verdict = run.verdict
    if verdict is None:
        return ()
    said = []
    if verdict.call == "better":
        said.append(FALSE_CLAIMS)
        if run.recommends_winner and (verdict.at_least or 0.0) < run.study.min_effect:
            least = formats.percent(run.study.min_effect, run.study.min_effect)
            said.append(f"The gain may be less than the {least} that the study asks for (min_effect).")
    elif verdict.reason_code != "judged" and verdict.reason:
        said.append(verdict.reason)
    said += [*notices.said(run.history), *restart.said(run.study, run.history)]
    advice = cores_advice(run)
    return (*said, advice) if advice else tuple(said)


def objectives(run: Run) -> tuple[str, ...]:
    """Return the names of the objectives, the first first."""
    first = run.study.objective
    return tuple(formats.metric(each.metric, each.of) for each in (first, first.second) if each is not None)


def rule(run: Run) -> str:
    """Return which of the trade-offs between two objectives was confirmed, empty where there is one objective."""
    aimed = run.study.objective
    if aimed.second is None:
        return ""
    first, other = objectives(run)
    picked = {
        "first": f"the best {first}",
        "second": f"the best {other} of those that give up at most {formats.percent(aimed.within)} of the best {first}",
        "balanced": f"the least product of {first} and {other} against the baseline",
    }[aimed.pick]
    return f"The study's rule picks {picked}. That variant went into the pairs; the claim is about {first} alone."


def cores_advice(run: Run) -> str:
    """Return the caution that belongs beside any advice on worker_threads, empty where there is none."""
    if run.verdict is None or "worker_threads" not in run.verdict.winner:
        return ""
    return found_on(run)


def found_on(run: Run) -> str:
    """Return the caution itself: worker_threads does not carry over to another number of cores."""
    return f"worker_threads: found on {cores(run)}, re-run on yours."


def cores(run: Run) -> str:
    """Return how many cores the target had, in words."""
    return f"{run.study.target.cpus} core{'s' if run.study.target.cpus > 1 else ''}"


def next_steps(run: Run, effects: tuple[Effect, ...], told: Attribution | None = None) -> tuple[str, ...]:  # noqa: PLR0911 - a case each
    """Return what to do now, in order."""
    verdict = run.verdict
    if verdict is None:
        return (f"Go on with the run: harness optimize {run.study.file} --resume",)
    if run.recommends_winner:
        return (
            "Apply recommended/runtime.rs and the options as runbook.md says, on one instance first.",
            "Check the metrics that the runbook names, under your own load; undo the change if they do not follow.",
            *(_perhaps_not_needed(verdict, effects) if told is None else _not_needed(told)),
            "Run the study again when the service, its load, its machine or Tokio changes.",
        )
    if not verdict.judged:
        return (
            "See below why windows were lost, and mend that first.",
            "The command harness doctor says what this machine lacks; then run the study again.",
        )
    if verdict.call == "better":
        return ("Keep the baseline: the gain is smaller than what this study asks for (min_effect).",)
    if verdict.reason_code == "guard_broken":
        return (
            "Keep the baseline, unless the limit that does not hold matters less to you than the gain.",
            "In that case change the guard in the study and run it again; the claim then rests on fresh pairs.",
        )
    if verdict.reason_code == "effects_only":
        return (
            "Keep the baseline until a change is confirmed: an effect of this table is no claim.",
            "To have one confirmed give the study phases.confirm, or a budget instead of its phases, and run it again.",
        )
    if verdict.reason_code in NOTHING_LEFT:
        return ("Keep the baseline.", WHAT_ELSE[verdict.reason_code])
    if verdict.call == "inconclusive":
        return (
            "Keep the baseline: a change without evidence is a change to look after.",
            "To see smaller effects give the study more windows, longer windows, or fewer knobs.",
        )
    return ("Keep the baseline; nothing in this study needs to be changed under this load.",)


def change(run: Run, gain: float) -> float:
    """Return a gain (positive is better) as the metric's own relative change (negative is lower)."""
    return -gain if run.study.objective.direction == "minimize" else gain


def change_ends(run: Run, gains: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    """Return an interval of gains as (low, high) of the metric's relative change."""
    return ends(run.study.objective, gains)


def ends(objective: Objective, gains: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    """Return an interval of gains in an objective as (low, high) of its metric's relative change."""
    low, high = gains
    if objective.direction == "maximize":
        return low, high
    return (None if high is None else -high), (None if low is None else -low)


def interval_width(ends: tuple[float | None, float | None]) -> float | None:
    """Return how wide an interval is, None where an end is open."""
    low, high = ends
    return None if low is None or high is None else high - low


def _metric(run: Run) -> str:
    return formats.metric(run.study.objective.metric, run.study.objective.of)


def _bound(run: Run, gain: float) -> str:
    """Return the bounding end of an interval as "78 % lower", rounded towards no effect."""
    width = interval_width(run.verdict.interval) if run.verdict else None
    side = "lower" if change(run, gain) < 0 else "higher"
    return f"{formats.at_least(abs(gain), width)} {side}"


def _with(verdict: Verdict) -> str:
    return f"with {change_words(verdict.winner)}"


def _no_change(run: Run, verdict: Verdict) -> str:
    metric, least = _metric(run), run.study.min_effect
    if verdict.reason_code == "guard_broken":
        return f"{metric} gets better {_with(verdict)}, but a guard does not hold"
    if verdict.reason_code == "not_resolvable":
        return f"the difference in {metric} {_with(verdict)} is below the noise floor of this host, so not resolvable"
    if verdict.reason_code != "judged":
        if verdict.call == "same":
            return NOTHING_LEFT.get(verdict.reason_code, "there was nothing to compare")
        return {**NOTHING_LEFT, **UNJUDGED}.get(verdict.reason_code, "the study could not be judged")
    if verdict.call == "same":
        return f"any difference in {metric} {_with(verdict)} lies within {formats.percent(least, least)}"
    return f"{verdict.pairs} fresh pairs neither show a gain in {metric} {_with(verdict)} nor rule one out"


def _too_small(run: Run, verdict: Verdict) -> str:
    """Say a gain that is real, with both ends, and that it is less than what the study asks for."""
    low, high = verdict.interval
    ends = f"{formats.percent(low or 0.0, high)} to {formats.percent(high or 0.0, high)}"
    asked = formats.percent(run.study.min_effect, run.study.min_effect)
    return f"{_metric(run)} is {ends} better {_with(verdict)}, less than the {asked} that the study asks for"


def _unfinished(run: Run) -> str:
    done = len(run.history.windows)
    plan = run.history.decision("plan")
    planned = f" of {plan['windows']}" if plan and "windows" in plan else ""
    return f"Unfinished: {done}{planned} windows are measured, and there is no verdict yet"


def _guards(verdict: Verdict) -> str:
    broken = [row.limit for row in verdict.guards if not row.holds]
    if broken:
        return f"guards that do not hold: {'; '.join(broken)}"
    return "every guard holds" if verdict.guards else ""


def _not_needed(told: Attribution) -> tuple[str, ...]:
    """Name the knobs that add nothing visible to the winner, or cost; only another confirmation may drop them."""
    hurts = [row.knob for row in told.knobs if row.call == "hurts"]
    unseen = [row.knob for row in told.knobs if row.call == "not resolved" and row.interval]
    without = "Leave it out only after confirming again without it."
    return (
        *((f"Better without: {', '.join(hurts)} (it costs inside the winner). {without}",) if hurts else ()),
        *(
            (f"Probably not needed: {', '.join(unseen)} (setting it back cost nothing visible). {without}",)
            if unseen
            else ()
        ),
    )


def _perhaps_not_needed(verdict: Verdict, effects: tuple[Effect, ...]) -> tuple[str, ...]:
    """Name the knobs of a joint change whose own effect was not resolved; only another confirmation may drop them."""
    if len(verdict.winner) < 2:  # noqa: PLR2004 - one knob is the whole change
        return ()
    unresolved = [
        effect.knob
        for effect in effects
        if verdict.winner.get(effect.knob) == effect.level and effect.call == "not resolved" and effect.interval
    ]
    if not unresolved:
        return ()
    names = ", ".join(unresolved)
    return (
        f"Probably not needed: {names} (not resolved by itself). Leave it out only after confirming again without it.",
    )
