"""Rules about what climbs while the load stands still: tasks and memory. Pure functions."""

from __future__ import annotations

from harness.diagnose.climbs import Climb, climb
from harness.diagnose.facts import Facts, Window, middle, requests_per_s
from harness.diagnose.finding import Confidence, Figure, Finding, NotLooked, Outcome, lowered
from harness.diagnose.limits import limit

MIB = 2**20


def task_leak(facts: Facts) -> Outcome:
    """The number of live tasks climbs all through the window."""
    climbs = _climbs(facts, "alive_tasks")
    if not climbs:
        return NotLooked("task_leak", "no alive_tasks in the series, or too few samples")
    seen = _typical(climbs)
    least = max(limit("task_rise_least"), limit("task_rise") * seen.first)
    if seen.rise < least or not _most_steady(climbs):
        return None
    per_s = middle([requests_per_s(window, facts.study.window.measure_s) for window in facts.windows]) or 0.0
    per_request = seen.per_s / per_s if per_s else 0.0
    behind = _falls_behind(facts)
    against = [
        *(("The service does not keep up with its load: the tasks may be requests that wait.",) if behind else ()),
        *facts.brief,
        "Connections or sessions that are opened during the window live on rightly.",
    ]
    confidence: Confidence = "medium" if behind or facts.brief else "high"
    return Finding(
        rule="task_leak",
        symptom=f"Live tasks climb from {seen.first:,.0f} to {seen.last:,.0f} in one window",
        figures=(
            Figure("rise", seen.rise, "tasks", least),
            Figure("slope", seen.per_s, "tasks a second"),
            Figure("for each request", per_request, "tasks"),
            Figure("steadiness", seen.rank, "rank correlation", limit("climb_rank")),
        ),
        cause="Tasks are spawned that never end: a loop that waits for ever, a receiver whose sender is kept alive, a "
        "connection without a time-out.",
        confidence=confidence,
        against=tuple(against),
        change=(
            (
                "Give every spawned task an end: a CancellationToken or select! with the connection's own future, a "
                "time-out on each wait, a JoinSet that is emptied."
            ),
        ),
        weight=min(1.0, max(per_request, seen.rise / max(seen.last, 1.0))),
        columns=("alive_tasks", "rss_bytes"),
        window=facts.typical(lambda window: _rise(window, "alive_tasks")),
    )


def memory_growth(facts: Facts) -> Outcome:
    """Resident memory climbs all through the window and does not level off."""
    climbs = _climbs(facts, "rss_bytes")
    if not climbs:
        return NotLooked("memory_growth", "no rss_bytes in the series, or too few samples")
    seen = _typical(climbs)
    least = max(limit("memory_rise_least"), limit("memory_rise") * seen.first)
    if seen.rise < least or not _most_steady(climbs):
        return None
    short = facts.study.window.measure_s < limit("climb_sure_s")
    return Finding(
        rule="memory_growth",
        symptom=f"Memory climbs from {seen.first / MIB:,.0f} to {seen.last / MIB:,.0f} MiB in one window",
        figures=(
            Figure("rise", seen.rise / MIB, "MiB", least / MIB),
            Figure("slope", seen.per_s / MIB, "MiB a second"),
            Figure("steadiness", seen.rank, "rank correlation", limit("climb_rank")),
            *_until_full(facts, seen),
        ),
        cause=("It died of it, or soon after. " if facts.died else "")
        + "Something is taken in faster than it is let go: an unbounded channel, a list or a cache without limit, a "
        "queue before a slow consumer.",
        confidence=lowered("high") if short else "high",
        against=(
            "A cache that fills, or an allocator that keeps what was freed, levels off later: --long tells.",
            *(("The windows are short.",) if short else ()),
        ),
        change=(
            (
                "Bound it: mpsc::channel(n) instead of unbounded_channel, a semaphore before the work, and a 503 when it is "
                "full."
            ),
        ),
        weight=min(1.0, seen.rise / max(seen.last, 1.0)),
        columns=("rss_bytes", "alive_tasks"),
        window=facts.typical(lambda window: _rise(window, "rss_bytes")),
    )


def _until_full(facts: Facts, seen: Climb) -> tuple[Figure, ...]:
    limit_bytes = facts.study.target.memory_bytes
    if limit_bytes is None:
        return ()
    return (Figure("time to the memory limit", max(0.0, (limit_bytes - seen.last) / seen.per_s), "s"),)


def _climbs(facts: Facts, column: str) -> list[Climb]:
    return [found for window in facts.windows if (found := _climb(window, column)) is not None]


def _climb(window: Window, column: str) -> Climb | None:
    times, values = window.column("t_s"), window.column(column)
    return None if times is None or values is None else climb(times, values)


def _rise(window: Window, column: str) -> float | None:
    found = _climb(window, column)
    return None if found is None else found.rise


def _typical(climbs: list[Climb]) -> Climb:
    return sorted(climbs, key=lambda found: found.rise)[len(climbs) // 2]


def _most_steady(climbs: list[Climb]) -> bool:
    return sum(found.steady for found in climbs) * 2 > len(climbs)


def _falls_behind(facts: Facts) -> bool:
    return sum(bool(window.host.overloaded) for window in facts.windows) * 2 > len(facts.windows)
