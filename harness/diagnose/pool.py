"""Rules about the blocking pool: too small, started over and over, or large for nothing. Pure functions.

Ten samples a second see only what lasts: each figure here is a lower bound.
"""

from __future__ import annotations

import numpy as np

from harness.diagnose.facts import Facts, Floats, Window
from harness.diagnose.finding import Figure, Finding, NotLooked, Outcome, Proposal, lowered
from harness.diagnose.limits import limit
from harness.study.knobs import TABLE
from harness.study.model import UNSET

LARGEST_CAP = int(TABLE["max_blocking_threads"].high)


def too_small(facts: Facts) -> Outcome:
    """Jobs wait for a blocking thread, and there are as many threads as may be."""
    waiting, largest = facts.median(_waiting_share), facts.median(_peak_threads)
    if waiting is None or largest is None:
        return NotLooked("pool_too_small", "no blocking_queue_depth or no blocking_threads in the series")
    cap = facts.blocking_cap
    if waiting < limit("queue_sustained") or largest < limit("at_cap") * cap:
        return None
    depth = facts.median_mean("blocking_queue_depth") or 0.0
    return Finding(
        rule="pool_too_small",
        symptom=f"{depth:.3g} jobs wait for a blocking thread on average, with all {cap} threads in use",
        figures=(
            Figure("samples with jobs waiting", waiting, "of the samples", limit("queue_sustained")),
            Figure("mean queue", depth, "jobs"),
            Figure("blocking threads", largest, "threads", float(cap)),
        ),
        cause=f"max_blocking_threads = {cap} is too few for the blocking calls of this load.",
        confidence=lowered("high") if facts.brief else "high",
        against=(
            "Where the jobs compute instead of waiting, more threads than cores only take turns.",
            *facts.brief,
        ),
        change=("Let jobs be fewer or shorter: batch them, cache what they fetch, use an async client.",),
        weight=min(1.0, depth / cap),
        columns=("blocking_queue_depth", "blocking_threads"),
        window=facts.typical(lambda window: window.mean("blocking_queue_depth")),
        proposals=(Proposal("max_blocking_threads", _larger(cap), "more threads take the waiting jobs"),),
    )


def _larger(cap: int) -> tuple[str | int, ...]:
    return tuple(sorted({cap, *(min(LARGEST_CAP, cap * factor) for factor in (2, 4, 16))}))


def churn(facts: Facts) -> Outcome:
    """Blocking threads end and are started again, over and over."""
    again = facts.median(_started_again)
    if again is None:
        return NotLooked("pool_churn", "no blocking_threads in the series")
    per_s = again / facts.study.window.measure_s
    if again < limit("churned_threads") or per_s < limit("churn_per_s"):
        return None
    longer = "30s" if facts.keep_alive_s < 10 else "60s"  # noqa: PLR2004 - Tokio's own
    return Finding(
        rule="pool_churn",
        symptom=f"At least {per_s:.2g} blocking threads a second are started that had been there before",
        figures=(
            Figure("threads started again", again, "threads a window", limit("churned_threads")),
            Figure("starts", per_s, "threads a second", limit("churn_per_s")),
            Figure("thread_keep_alive", facts.keep_alive_s, "s"),
        ),
        cause="Blocking work comes in bursts that lie further apart than thread_keep_alive: threads end between them.",
        confidence="medium" if facts.brief else "high",
        against=(
            *facts.brief,
            "A thread starts in tens of microseconds: it shows only in latencies of that size.",
        ),
        change=("Spread the bursts, or give the calls a pool of their own that stays.",),
        weight=min(1.0, per_s / 20),
        columns=("blocking_threads", "threads"),
        window=facts.typical(_started_again),
        proposals=(Proposal("thread_keep_alive", (_seconds(facts.keep_alive_s), UNSET, longer), "threads live on"),),
    )


def never_shrinks(facts: Facts) -> Outcome:
    """The pool grew to a peak and stays there, mostly idle."""
    if facts.under_load_s < 2 * facts.keep_alive_s:
        why = (
            f"a window of {facts.under_load_s:g} s is too short to see threads end that live {facts.keep_alive_s:g} s "
            "idle: use --long"
        )
        return NotLooked("pool_never_shrinks", why)
    idle, peak, kept = facts.median(_idle_share), facts.median(_peak_threads), facts.median(_kept_share)
    if idle is None or peak is None or kept is None:
        return NotLooked("pool_never_shrinks", "no blocking_threads or no idle_blocking_threads in the series")
    if peak < limit("kept_threads") or idle < limit("kept_idle") or kept < limit("kept_of_peak"):
        return None
    return Finding(
        rule="pool_never_shrinks",
        symptom=f"{peak:.0f} blocking threads stay although {idle:.0%} of them are idle",
        figures=(
            Figure("blocking threads", peak, "threads", limit("kept_threads")),
            Figure("idle", idle, "of the pool", limit("kept_idle")),
            Figure("still there at the end", kept, "of the peak", limit("kept_of_peak")),
        ),
        cause="Idle threads are woken in turn, so that under steady work none is idle for thread_keep_alive: the pool "
        "keeps min(peak, job rate x keep-alive) threads.",
        confidence="medium",
        against=("Idle threads cost their stacks, a little memory, and nothing else.",),
        change=("Bound the burst that made the peak: a semaphore before spawn_blocking.",),
        weight=min(1.0, peak / 512) / 2,
        columns=("blocking_threads", "idle_blocking_threads"),
        window=facts.typical(_peak_threads),
        proposals=(
            Proposal("thread_keep_alive", ("100ms", "1s", UNSET), "idle threads end sooner"),
            Proposal("max_blocking_threads", (max(4, int(peak * (1 - idle)) * 2), UNSET), "the peak stays lower"),
        ),
    )


def _seconds(keep_alive_s: float) -> str:
    from harness.study import quantities

    return quantities.duration_text(keep_alive_s)


def _known(window: Window, column: str) -> Floats | None:
    values = window.column(column)
    return None if values is None else values[~np.isnan(values)]


def _waiting_share(window: Window) -> float | None:
    depth = _known(window, "blocking_queue_depth")
    return None if depth is None else float(np.mean(depth > 0))


def _peak_threads(window: Window) -> float | None:
    threads = _known(window, "blocking_threads")
    return None if threads is None else float(threads.max())


def _started_again(window: Window) -> float | None:
    """Return how many threads were started beyond the first growth to the peak."""
    threads = _known(window, "blocking_threads")
    if threads is None:
        return None
    grown = float(np.maximum(np.diff(threads), 0).sum())
    return max(0.0, grown - float(threads.max() - threads[0]))


def _idle_share(window: Window) -> float | None:
    idle, threads = window.mean("idle_blocking_threads"), window.mean("blocking_threads")
    return None if idle is None or not threads else idle / threads


def _kept_share(window: Window) -> float | None:
    threads = _known(window, "blocking_threads")
    return None if threads is None or not threads.max() else float(threads[-1] / threads.max())
