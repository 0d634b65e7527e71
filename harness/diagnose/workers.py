"""Rules about the worker threads: what holds them, what they wait for, how work is spread over them. Pure functions.

Busy time is what Tokio publishes: neither parked nor searching. It contains preemption and throttling, so it is held
against the CPU time of the whole process, which can only make the blocked part look smaller than it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.diagnose.facts import Facts, Window, requests_per_s
from harness.diagnose.finding import Confidence, Figure, Finding, NotLooked, Outcome, Proposal, lowered
from harness.diagnose.limits import limit
from harness.diagnose.options import moving_work
from harness.study.model import UNSET


@dataclass(frozen=True)
class Use:
    """How the workers spent the typical window: busy and CPU in threads and cores, requests answered a second.

    `turns` is how many workers the CPU time accounts for, those that wait for their turn on a core included;
    `explained` the same where foreign processes take their share of the cores as well.
    """

    busy: float
    cpu: float
    requests: float
    turns: float
    explained: float

    @property
    def blocked(self) -> float:
        """Workers that were busy neither using a core nor waiting for one."""
        return max(0.0, self.busy - self.explained)

    @property
    def blocked_share(self) -> float:
        """The same as a share of busy time."""
        return self.blocked / self.busy if self.busy > 0 else 0.0

    def per_request_us(self, workers: float) -> float:
        """Return microseconds a request of that many workers."""
        return workers / self.requests * 1e6 if self.requests > 0 else 0.0


def use(facts: Facts) -> Use | None:
    """Return the medians over the windows, None where busy or CPU time is not known."""
    busy, cpu = facts.median_mean("busy_share"), facts.median_mean("cpu")
    measured_s = facts.study.window.measure_s
    requests = facts.median(lambda window: requests_per_s(window, measured_s))
    if busy is None or cpu is None or requests is None:
        return None
    # A thread that shares its core with a foreign one, which takes this share of it, is runnable that much longer.
    foreign = min(0.9, facts.median(lambda window: window.host.foreign_cpu) or 0.0)
    turns = runnable(cpu, facts.cores, facts.workers)
    return Use(busy * facts.workers, cpu, requests, turns, turns / (1 - foreign))


def runnable(cpu: float, cores: int, workers: int) -> float:
    """Return how many workers are runnable on average where the process uses `cpu` of `cores`.

    As many as cores in use where every worker can have its own; beyond, those that wait for a turn come on top: the
    mean number in an M/M/c queue, with the waiting probability by Erlang's C formula. Worked value: 1 of 2 cores in use
    by more than 2 workers gives C = 1/3 and 1.333 runnable workers.
    """
    load = min(cpu / cores, 0.99)
    if workers <= cores:
        return cpu
    missed = 1.0  # Erlang's B, one core more in each turn
    for core in range(1, cores + 1):
        missed = load * cores * missed / (core + load * cores * missed)
    waits = missed / (1 - load * (1 - missed))
    return min(float(workers), load * cores + waits * load / (1 - load))


def blocking_call(facts: Facts) -> Outcome:
    """A synchronous call that waits holds its worker: busy time far above CPU time."""
    used = use(facts)
    if used is None or used.requests <= 0:
        return NotLooked("blocking_call", "no request was answered, or no busy time came")
    held_us = used.per_request_us(used.blocked)
    little = used.blocked_share < limit("blocked_share") or used.blocked < limit("blocked_workers")
    if little or held_us < limit("blocked_per_request_us"):
        return None
    against = [*_waits_for_cores(facts, used), *facts.brief]
    sure = used.blocked_share >= limit("blocked_share_sure")
    confidence: Confidence = "high" if sure else "medium"
    return Finding(
        rule="blocking_call",
        symptom=f"Workers spend {used.blocked_share:.0%} of their busy time without using a core",
        figures=(
            Figure("busy workers", used.busy, "workers"),
            Figure("CPU of the process", used.cpu, "cores"),
            Figure("busy time without CPU", used.blocked_share, "of busy time", limit("blocked_share")),
            Figure("held by each request", held_us, "us", limit("blocked_per_request_us")),
        ),
        cause=(
            f"A synchronous call in an async handler: each request holds its worker for about {held_us / 1000:.2g} ms "
            "of waiting, and everything else on that worker waits with it."
        ),
        confidence=lowered(confidence) if against else confidence,
        against=(
            *against,
            "A worker that waits for a std::sync lock, for a page of memory or for a file looks the same.",
        ),
        change=(
            (
                "Find the synchronous call (a client of a database, a file, a resolver, thread::sleep) and use its async "
                "form, or move it to tokio::task::spawn_blocking."
            ),
            "More workers only hide it: it comes back at a higher rate.",
        ),
        weight=min(1.0, used.blocked / facts.workers),
        columns=("busy_share", "cpu"),
        window=facts.typical(lambda window: window.mean("busy_share")),
        proposals=_blocking_proposals(facts, used),
    )


def _blocking_proposals(facts: Facts, used: Use) -> tuple[Proposal, ...]:
    moved = moving_work(facts, "moves the call off the workers, if it is this option's")
    workers = tuple(sorted({2 * facts.cores, 4 * facts.cores}))
    needed = max(4, 2 ** math.ceil(math.log2(max(1.0, 4 * used.blocked))))
    pool = (Proposal("max_blocking_threads", (needed, UNSET), "bounds the moved calls"),) if moved else ()
    return (*moved, Proposal("worker_threads", (UNSET, *workers), "hides a call that blocks, at a price"), *pool)


def _waits_for_cores(facts: Facts, used: Use) -> tuple[str, ...]:
    full = used.cpu >= limit("cpu_near_full") * facts.cores
    words = f"The process uses {used.cpu:.2g} of {facts.cores} cores: part of the busy time is waiting for a core."
    shared = dict.fromkeys(note for window in facts.windows for note in window.host.notes)
    return (*((words,) if full else ()), *shared)


def cpu_bound(facts: Facts) -> Outcome:
    """A handler that computes long without an await: much CPU a request, and it explains the workers' busy time."""
    used = use(facts)
    if used is None or used.requests <= 0:
        return NotLooked("cpu_bound", "no request was answered, or no busy time came")
    share = used.busy / facts.workers
    explained = min(used.turns, used.busy) / used.busy if used.busy else 0.0
    computing = min(used.cpu, used.busy)
    each_us, poll_us = used.per_request_us(computing), _per_poll_us(facts, computing)
    if each_us < limit("cpu_bound_us") or share < limit("cpu_bound_busy") or explained < limit("cpu_explains"):
        return None
    if poll_us is not None and poll_us < limit("cpu_bound_poll_us"):
        return None
    of_polls = () if poll_us is None else (Figure("CPU of a poll", poll_us, "us", limit("cpu_bound_poll_us")),)
    sure = share >= limit("cpu_bound_sure") and each_us >= limit("cpu_bound_us_sure")
    mean = (
        "A request of many short polls uses as much CPU and delays nobody: the number of polls is not known."
        if poll_us is None
        else "It is a mean: a few long polls among many short ones give the same, and stall others for longer."
    )
    return Finding(
        rule="cpu_bound",
        symptom=f"Requests compute for {each_us / 1000:.2g} ms on average on workers that are busy {share:.0%} of the time",
        figures=(
            Figure("CPU of a request on the workers", each_us, "us", limit("cpu_bound_us")),
            *of_polls,
            Figure("workers busy", share, "of worker time", limit("cpu_bound_busy")),
            Figure("busy time that CPU explains", explained, "of busy time", limit("cpu_explains")),
        ),
        cause="A CPU-bound handler: polls are long because they compute, and light requests queue behind them.",
        confidence="high" if sure and not facts.brief else "medium",
        against=(*facts.brief, mean),
        change=(
            "Bound the computing: a rayon pool, or spawn_blocking behind a semaphore of about as many permits as cores.",
            "Where it cannot move, yield between pieces of about 100 us (tokio::task::yield_now).",
        ),
        weight=min(1.0, share),
        columns=("busy_share", "cpu"),
        window=facts.typical(lambda window: window.mean("cpu")),
        proposals=(
            *moving_work(facts, "moves the computing off the workers, if it is this option's"),
            Proposal("worker_threads", _around(facts.cores), "fewer leave room for others, more take turns"),
            Proposal("event_interval", (7, 31, UNSET), "how often a busy worker looks for I/O"),
        ),
    )


def _per_poll_us(facts: Facts, workers: float) -> float | None:
    """Return microseconds a poll of that many workers; None where no poll is known of, as without tokio_unstable."""
    polls = facts.median_mean("polls_s")
    return workers / polls * 1e6 if polls else None


def _around(cores: int) -> tuple[str | int, ...]:
    return (*((cores - 1,) if cores > 1 else ()), UNSET, 2 * cores)


def oversubscription(facts: Facts) -> Outcome:
    """More runnable threads than cores: stopped by a quota, or preempted again and again while all cores are in use."""
    stopped, switches = _stopped_share(facts), _switches_per_core_s(facts)
    if stopped is None and switches is None:
        return NotLooked("oversubscription", "neither throttled_s nor nonvoluntary_switches is known")
    used = use(facts)
    preempted = _preempted(facts, used, switches)
    throttled = stopped is not None and stopped >= limit("throttled_share")
    if not preempted and not throttled:
        return None
    figures = [
        Figure("stopped by the CPU quota", stopped or 0.0, "of the window", limit("throttled_share")),
        Figure("involuntary switches", switches or 0.0, "a core and second", limit("switches_per_core_s")),
        Figure("CPU of the process", used.cpu if used else 0.0, "cores", limit("cpu_near_full") * facts.cores),
        Figure("workers", facts.workers, "threads"),
    ]
    known = (stopped is not None, switches is not None, used is not None, True)
    return Finding(
        rule="oversubscription",
        symptom="Threads wait for cores: " + ("the quota stops them" if throttled else "they preempt each other"),
        figures=tuple(figure for figure, told in zip(figures, known, strict=True) if told),
        cause=f"More runnable threads than the {facts.cores} cores that the service has.",
        confidence="medium" if facts.brief or not throttled else "high",
        against=(
            *facts.brief,
            (
                "A quota that stops short bursts may be meant."
                if throttled
                else "Other processes on its cores preempt too."
            ),
        ),
        change=(
            (
                "Bound CPU work on the blocking pool by a semaphore; give the container whole cores (a cpuset) instead of "
                "a quota, or ask for more."
            ),
        ),
        weight=min(1.0, max(stopped or 0.0, (used.cpu / facts.cores if used and preempted else 0.0))),
        columns=("cpu", "nonvoluntary_switches", "throttled_s", "threads"),
        window=facts.typical(lambda window: window.mean("cpu")),
        proposals=(
            Proposal("worker_threads", (*_below(facts),), "no more runnable threads than cores"),
            Proposal("max_blocking_threads", (max(1, facts.cores), 4 * facts.cores, UNSET), "the same for the pool"),
        ),
    )


def _below(facts: Facts) -> tuple[str | int, ...]:
    return (*sorted({max(1, facts.cores // 2), facts.cores}), UNSET)


def _preempted(facts: Facts, used: Use | None, switches: float | None) -> bool:
    if used is None or switches is None or used.cpu < limit("cpu_near_full") * facts.cores:
        return False
    crowded = used.busy / facts.cores >= limit("runnable_per_core") or (facts.median_mean("threads") or 0) > facts.cores
    return crowded and switches >= limit("switches_per_core_s")


def _stopped_share(facts: Facts) -> float | None:
    def share(window: Window) -> float | None:
        stopped = window.mean("throttled_s")
        if stopped is None and window.host.throttled_s is not None:
            return window.host.throttled_s / facts.study.window.measure_s
        return stopped

    return facts.median(share)


def _switches_per_core_s(facts: Facts) -> float | None:
    def per_core_s(window: Window) -> float | None:
        switches = window.mean("nonvoluntary_switches")
        return None if switches is None else switches / facts.cores

    return facts.median(per_core_s)


def imbalance(facts: Facts) -> Outcome:
    """One worker is busy while others idle."""
    columns = facts.columns(prefix="worker_", suffix="_busy_share")
    if not columns:
        return NotLooked("imbalance", "no worker_<i>_busy_share in the series")
    if len(columns) == 1:
        return None
    shares = [share for column in columns if (share := facts.median_mean(column)) is not None]
    spread = max(shares) - min(shares)
    if spread < limit("imbalance") or max(shares) < limit("imbalance_busy"):
        return None
    return Finding(
        rule="imbalance",
        symptom=f"One worker is busy {max(shares):.0%} of the time, another {min(shares):.0%}",
        figures=(
            Figure("busiest worker", max(shares), "of its time", limit("imbalance_busy")),
            Figure("idlest worker", min(shares), "of its time"),
            Figure("difference", spread, "of worker time", limit("imbalance")),
        ),
        cause="Work stays where it is woken: long polls, or tasks in a LIFO slot, which others cannot steal.",
        confidence="low" if facts.brief else "medium",
        against=(
            *facts.brief,
            "With less work than one worker can do, staying on one worker is what the scheduler wants.",
        ),
        change=(
            "Split long polls (yield_now, smaller pieces), spawn the parts of a request as tasks of their own.",
            "Where connections are few and long, spread them over accept loops.",
        ),
        weight=min(1.0, spread),
        columns=columns,
        window=facts.typical(lambda window: window.mean(columns[0])),
        proposals=(
            Proposal("disable_lifo_slot", (UNSET, True), "woken tasks can be stolen"),
            Proposal("global_queue_interval", (7, 31, UNSET), "how soon a worker takes shared work"),
            Proposal("worker_threads", _below(facts), "fewer workers, fewer idle ones"),
        ),
    )


_FROM_OUTSIDE = (
    "Spawns and wakes from outside the workers (a root future, spawn_blocking, another runtime) arrive faster than workers "
    "look into the shared queue."
)
_CROWD = (
    "More tasks are woken at once than the 256 that a worker's own queue holds: half of it is moved to the shared queue "
    "each time that it is full, and what is there waits for a look of a worker."
)


def global_queue(facts: Facts) -> Outcome:
    """Tasks pile up in the shared queue: woken from outside the workers, or too many at once for a worker's own queue."""
    depth = facts.median_mean("global_queue_depth")
    if depth is None:
        return NotLooked("global_queue", "no global_queue_depth in the series")
    if depth < limit("global_queue_per_worker") * facts.workers:
        return None
    used = use(facts)
    full = used is not None and used.busy >= limit("always_busy") * facts.workers
    confidence: Confidence = "low" if full else "medium"
    overflows = facts.median_mean("overflows_s") or 0.0
    crowded = overflows >= limit("overflows_s")
    return Finding(
        rule="global_queue",
        symptom=f"{depth:.3g} tasks wait in the global queue on average",
        figures=(
            Figure("global queue", depth, "tasks", limit("global_queue_per_worker") * facts.workers),
            *((Figure("workers busy", used.busy / facts.workers, "of worker time"),) if used else ()),
            *((Figure("local queues overflow", overflows, "a second", limit("overflows_s")),) if crowded else ()),
        ),
        cause=_CROWD if crowded else _FROM_OUTSIDE,
        confidence=lowered(confidence) if facts.brief else confidence,
        against=(
            *facts.brief,
            *(("The workers are always busy: any queue would grow, the cause may be too much work.",) if full else ()),
            "A task that waits there for less than one look of a worker delays nobody.",
        ),
        change=(
            "Wake fewer tasks at once: one task for several receivers, or wake them in turns."
            if crowded
            else "Spawn from inside a task instead of from block_on; batch what comes back from spawn_blocking.",
        ),
        weight=min(1.0, depth / (facts.median_mean("alive_tasks") or 10.0 * facts.workers)),
        columns=("global_queue_depth", "busy_share"),
        window=facts.typical(lambda window: window.mean("global_queue_depth")),
        proposals=(
            Proposal("global_queue_interval", (1, 7, 31, UNSET), "how often a worker looks there first"),
            Proposal("worker_threads", (UNSET, 2 * facts.cores), "more workers look"),
            *((Proposal("flavor", (UNSET, "current_thread"), "its own queue has no end"),) if crowded else ()),
        ),
    )


def driver_starvation(facts: Facts) -> Outcome:
    """Workers that never park look for I/O and timers only every event_interval polls, which is long if polls are."""
    used = use(facts)
    if used is None or used.requests <= 0:
        return NotLooked("driver_starvation", "no request was answered, or no busy time came")
    share = used.busy / facts.workers
    gap_ms = facts.event_interval * used.per_request_us(used.busy) / 1000
    if share < limit("always_busy") or gap_ms < limit("look_gap_ms"):
        return None
    return Finding(
        rule="driver_starvation",
        symptom=f"Workers never rest ({share:.0%} busy): sockets may be looked at only every {gap_ms:.3g} ms",
        figures=(
            Figure("workers busy", share, "of worker time", limit("always_busy")),
            Figure("event_interval x busy time a request", gap_ms, "ms", limit("look_gap_ms")),
        ),
        cause="A worker looks for I/O and timers when it parks, or every event_interval polls: these never park.",
        confidence="low",
        against=(
            "The length of a poll is taken to be the busy time of a request; more polls a request make it shorter.",
            "A service that is simply full looks the same: then nothing but less work helps.",
        ),
        change=("Make polls shorter: what blocks or computes goes to spawn_blocking or to a pool of its own.",),
        weight=min(1.0, share) / 2,
        columns=("busy_share", "requests"),
        window=facts.typical(lambda window: window.mean("busy_share")),
        proposals=(
            Proposal("event_interval", (7, 15, UNSET), "looks for I/O sooner"),
            Proposal("enable_eager_driver_handoff", (UNSET, True), "another worker takes the driver"),
        ),
    )
