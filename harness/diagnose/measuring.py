"""Rules about the measuring: a load that its clients limit, metrics that are not there. Cautions, not faults."""

from __future__ import annotations

from harness.diagnose.facts import Facts, Window
from harness.diagnose.finding import Figure, Finding, NotLooked, Outcome
from harness.diagnose.limits import limit

STABLE = ("busy_share", "alive_tasks", "global_queue_depth")
"""Columns from Tokio's stable metrics, facts/tokio.md 5.1."""
UNSTABLE = ("blocking_threads", "idle_blocking_threads", "blocking_queue_depth")
"""Columns from metrics that need `--cfg tokio_unstable`."""
COUNT = ("requests",)


def client_limited(facts: Facts) -> Outcome:
    """The clients, not the service, set the rate or the latency."""
    return _closed(facts) if facts.study.load.model == "closed" else _open(facts)


def _closed(facts: Facts) -> Outcome:
    cpu, busy = facts.median_mean("cpu"), facts.median_mean("busy_share")
    if cpu is None:
        return NotLooked("client_limited", "the CPU time of the service is not known")
    if cpu >= limit("cpu_full") * facts.cores or (busy is not None and busy >= limit("cpu_full")):
        return None
    connections = facts.study.load.connections
    return Finding(
        rule="client_limited",
        symptom=f"{connections} clients in a closed loop use {cpu:.2g} of {facts.cores} cores",
        figures=(
            Figure("CPU of the service", cpu, "cores", limit("cpu_full") * facts.cores),
            *((Figure("workers busy", busy, "of worker time", limit("cpu_full")),) if busy is not None else ()),
            Figure("connections", connections, "clients"),
        ),
        cause="The clients wait for their answers or think: the service could do more than it was asked for.",
        confidence="medium",
        against=("A service that waits for something else (an upstream, a lock) is as idle, and is the limit.",),
        change=("Compare at an open rate, or give more connections until the service's cores are full.",),
        weight=0.3,
        columns=("cpu", "busy_share"),
        window=facts.typical(lambda window: window.mean("cpu")),
        kind="caution",
    )


def _open(facts: Facts) -> Outcome:
    wait, share = facts.median(_client_wait_ms), facts.median(_client_wait_share)
    if wait is None or share is None:
        return NotLooked("client_limited", "no latency from the actual send")
    if share < limit("client_wait") or wait < limit("client_wait_ms"):
        return None
    return Finding(
        rule="client_limited",
        symptom=f"Half of the requests wait {wait:.3g} ms in the client before they are sent",
        figures=(
            Figure("median wait in the client", wait, "ms", limit("client_wait_ms")),
            Figure("of the median latency", share, "of the median", limit("client_wait")),
            Figure("connections", facts.study.load.connections, "clients"),
        ),
        cause="All connections are taken: requests queue in the client for a free one.",
        confidence="medium",
        against=("A slow service takes the connections: then its own finding above is the cause.",),
        change=("Give more load.connections, as many as the real clients of the service have.",),
        weight=0.3,
        columns=("requests", "cpu"),
        window=facts.typical(_client_wait_ms),
        kind="caution",
    )


def _client_wait_ms(window: Window) -> float | None:
    """Return the median wait for a connection: what lies before the send, without the dispatcher's own lateness."""
    whole, sent = window.figures.success_p50_ms, window.figures.from_send_p50_ms
    if whole is None or sent is None:
        return None
    return max(0.0, whole - sent - (window.host.lateness_p50_ms or 0.0))


def _client_wait_share(window: Window) -> float | None:
    wait, whole = _client_wait_ms(window), window.figures.success_p50_ms
    return None if wait is None or not whole else wait / whole


def metrics_missing(facts: Facts) -> Outcome:
    """The service does not tell what the rules need."""
    missing = [column for column in (*STABLE, *UNSTABLE, *COUNT) if not facts.knows(column)]
    if not missing:
        return None
    return Finding(
        rule="metrics_missing",
        symptom=f"{len(missing)} series are not there: {', '.join(missing)}",
        figures=(Figure("missing", len(missing), "series", 1.0),),
        cause=_why_missing(facts, missing),
        confidence="high",
        against=(),
        change=_how_to_add(facts, missing),
        weight=0.2,
        columns=(),
        window=facts.windows[0].n,
        kind="caution",
    )


def _why_missing(facts: Facts, missing: list[str]) -> str:
    if not facts.study.target.has_admin:
        return "The service has no /metrics on $ADMIN_PORT."
    if set(missing) <= set(UNSTABLE):
        return "The service's /metrics tells Tokio's stable metrics only, or it is compiled without `--cfg tokio_unstable`."
    return "The service's /metrics did not answer, or does not name them."


def _how_to_add(facts: Facts, missing: list[str]) -> tuple[str, ...]:
    unstable = (
        "Name tokio_blocking_threads, tokio_idle_blocking_threads and tokio_blocking_queue_depth, and compile with "
        "RUSTFLAGS='--cfg tokio_unstable' (.cargo/config.toml): the blocking pool is told only then."
    )
    served = (
        "Answer /metrics on $ADMIN_PORT from a thread and a runtime of its own, by the names of target_templates/kit "
        "(tokio_worker_busy_seconds_total, tokio_alive_tasks, ...): copy kit, or take the one file of docs/metrics.md."
    )
    if not facts.study.target.has_admin:
        return (served, unstable)
    return (unstable,) if set(missing) <= set(UNSTABLE) else (served,)
