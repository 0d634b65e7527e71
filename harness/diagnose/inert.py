"""Knobs that cannot matter in a study, from what the runtime showed in its calibration windows. Pure.

A statement about this program under this load, never about the knob. What a window does not tell counts as activity:
unknown never makes a knob inert.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.ledger.record import WindowRecord
from harness.study.model import Study

OF_THE_BLOCKING_POOL = ("max_blocking_threads", "thread_keep_alive")
"""The knobs that act on the threads of spawn_blocking and on nothing else."""

OWN_THREADS = 2
"""Threads of a target with the kit beside its workers: the main one and the probe's."""

FEWEST_WINDOWS = 3


def knobs(study: Study, windows: Sequence[WindowRecord]) -> dict[str, str]:
    """Return the searched knobs that cannot matter, with the reason for each.

    Where an option of the target is searched there are none: an option may bring blocking work that the baseline, which
    is all that calibration runs, does not have.
    """
    usable = [record for record in windows if record.validity.usable]
    has_options = any(knob.kind == "option" for knob in study.knobs)
    if has_options or len(usable) < FEWEST_WINDOWS or not all(_pool_is_idle(study, record) for record in usable):
        return {}
    reason = (
        f"no blocking work under this load: the blocking pool had no thread in any of {len(usable)} calibration windows, and "
        "this knob acts on nothing else"
    )
    return {knob.name: reason for knob in study.knobs if knob.name in OF_THE_BLOCKING_POOL}


def no_ring(windows: Sequence[WindowRecord]) -> bool:
    """Return whether io_uring was enabled and in no such window open after the load; False where none was or none told."""
    enabled = [record for record in windows if record.values.get("enable_io_uring") is True]
    told = [ring for record in enabled if (ring := record.in_force.get("io_uring")) is not None]
    return bool(told) and not any(told)


def _pool_is_idle(study: Study, record: WindowRecord) -> bool:
    """Whether the window shows that no blocking thread ran: by the runtime's own counts, else by the process's threads."""
    if record.server.blocking_threads_max is not None:
        return record.server.blocking_threads_max == 0
    return _has_only_workers(study, record)


def _has_only_workers(study: Study, record: WindowRecord) -> bool:
    threads = None if record.metrics is None else record.metrics.threads
    workers, flavor = record.in_force.get("workers"), record.in_force.get("flavor")
    if not study.target.has_admin or study.target.form != "template" or threads is None or not isinstance(workers, int):
        return False
    # Without workers of its own a runtime is driven by the main thread, the first of several too.
    beside_main = workers if flavor == "multi_thread" else workers - 1
    return threads <= beside_main + OWN_THREADS
