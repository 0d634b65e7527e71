"""The limits of the rules: one table, each with where it comes from. Nothing else in this room holds a threshold.

*Judgement* says that no source gives the number: it was chosen so that the healthy targets of `target_templates` stay
clear of it and the faulty ones are beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """One limit: its value in `unit` and its source."""

    value: float
    unit: str
    source: str


_STALL = "Tokio's rule of thumb: more than 10 to 100 us without an await stalls others (claim 44)"
_JUDGED = "judgement"

LIMITS: dict[str, Limit] = {
    "blocked_share": Limit(
        0.3,
        "of busy time",
        "measured: 0 for echo and for payments on the blocking pool, 0.83 to 0.87 for payments inline",
    ),
    "blocked_share_sure": Limit(0.6, "of busy time", "the same; beyond it the CPU explains the smaller part only"),
    "blocked_per_request_us": Limit(100.0, "us", _STALL),
    "blocked_workers": Limit(0.05, "workers", f"{_JUDGED}: less than a twentieth of one worker moves no percentile"),
    "cpu_full": Limit(0.95, "of the cores", "facts on load generation, point 10: a target without room"),
    "cpu_near_full": Limit(0.8, "of the cores", f"{_JUDGED}: beyond it busy time is partly waiting for a core"),
    "cpu_bound_us": Limit(500.0, "us of CPU a request", f"five times the rule of thumb of claim 4; {_JUDGED}"),
    "cpu_bound_us_sure": Limit(
        1000.0, "us of CPU a request", f"{_JUDGED}: what waits behind it for less is hard to see"
    ),
    "cpu_bound_poll_us": Limit(
        100.0, "us of CPU a poll", f"the end of it: {_STALL}; measured: 290 and more for what computes, 0.6 for feed"
    ),
    "cpu_bound_busy": Limit(0.3, "of worker time", "measured: signing at 0.39 with light hashes, 0.67 with real ones"),
    "cpu_bound_sure": Limit(0.5, "of worker time", f"{_JUDGED}: an M/M/1 queue waits as long as it serves at 0.5"),
    "cpu_explains": Limit(0.7, "of busy time", f"{_JUDGED}: the complement of blocked_share"),
    "queue_sustained": Limit(0.1, "of the samples", f"{_JUDGED}: what lasts a tenth of the window decides p95"),
    "at_cap": Limit(1.0, "of the cap", "blocking threads are counted without workers, so the cap is reached at 1"),
    "churned_threads": Limit(5.0, "threads", f"{_JUDGED}: started again after the pool had already been that large"),
    "churn_per_s": Limit(0.5, "threads a second", f"{_JUDGED}: one thread start costs tens of microseconds"),
    "kept_threads": Limit(16.0, "threads", f"{_JUDGED}: below it the stacks cost next to nothing"),
    "kept_idle": Limit(0.75, "of the pool", "facts 6: a pool settles at min(peak, job rate x keep-alive), not at need"),
    "kept_of_peak": Limit(0.9, "of the peak", "the same"),
    "switches_per_core_s": Limit(
        100.0, "involuntary switches a core and second", f"{_JUDGED}: a third of what the kernel's 3 ms slices allow"
    ),
    "throttled_share": Limit(0.01, "of the window", f"{_JUDGED}: 1 % of stops by a quota lies beyond p99"),
    "runnable_per_core": Limit(1.5, "busy workers a core", f"{_JUDGED}: every second thread waits for a core"),
    "imbalance": Limit(0.3, "of worker time", f"{_JUDGED}: between the busiest and the idlest worker"),
    "imbalance_busy": Limit(0.6, "of worker time", f"{_JUDGED}: the busiest worker queues, the others idle"),
    "global_queue_per_worker": Limit(1.0, "tasks a worker", f"{_JUDGED}: on average a task waits for each worker"),
    "overflows_s": Limit(1.0, "overflows a second", f"{_JUDGED}: healthy targets never fill a queue of 256"),
    "always_busy": Limit(0.95, "of worker time", "a worker that parks looks for I/O then (facts 3.6)"),
    "look_gap_ms": Limit(10.0, "ms", "event_interval x time a poll; 10 timer ticks of 1 ms (facts 6)"),
    "task_rise": Limit(0.2, "of the first tasks", f"{_JUDGED}: in the length of one window"),
    "task_rise_least": Limit(20.0, "tasks", f"{_JUDGED}: connections that come and go are fewer"),
    "memory_rise": Limit(0.1, "of the first memory", f"{_JUDGED}: in the length of one window"),
    "memory_rise_least": Limit(8 * 2**20, "bytes", f"{_JUDGED}: allocators take arenas of some MiB at a time"),
    "climb_rank": Limit(0.8, "rank correlation with time", f"{_JUDGED}: 60 samples of noise stay below 0.4"),
    "climb_late": Limit(0.5, "of the first half's rise", f"{_JUDGED}: what levels off is a cache that fills"),
    "climb_sure_s": Limit(60.0, "s", f"{_JUDGED}: allocators and caches settle within a minute"),
    "client_wait": Limit(0.2, "of the median", f"{_JUDGED}: a fifth of the latency lies in the client's own queue"),
    "client_wait_ms": Limit(0.5, "ms", "the Python engine's own noise is 0.2 ms (docs/measured.md)"),
    "together": Limit(0.7, "rank correlation", f"{_JUDGED}: half of the order of the windows is shared"),
    "together_windows": Limit(8.0, "windows", f"{_JUDGED}: 0.7 over 8 windows comes by chance in one of 20"),
    "windows_sure": Limit(2.0, "windows", f"{_JUDGED}: one alone cannot show that a symptom repeats"),
    "length_sure_s": Limit(300.0, "s", f"{_JUDGED}: a single window this long has repeated itself"),
}
"""Every limit by name. A test sees to it that each has a source and is used."""


def limit(name: str) -> float:
    """Return the value of a limit."""
    return LIMITS[name].value
