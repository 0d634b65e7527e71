"""Facts for the rules: the windows of a healthy service on one core, and what may be laid over them."""

from dataclasses import replace

import numpy as np
from fakes import fake_study, figures

from harness.diagnose.facts import Facts, Window
from harness.study.model import WindowTimes
from harness.window.measurement import HostFacts

ROWS = 70
T_S = np.arange(ROWS) / 10
HEALTHY = {
    "t_s": T_S,
    "rss_bytes": 4.0 * 2**20,
    "threads": 8.0,
    "cpu": 0.12,
    "busy_share": 0.06,
    "alive_tasks": 65.0,
    "global_queue_depth": 0.03,
    "blocking_threads": 6.0,
    "idle_blocking_threads": 5.4,
    "blocking_queue_depth": 0.0,
    "requests": T_S * 300,
    "nonvoluntary_switches": T_S * 2,
    "throttled_s": 0.0,
    "worker_0_busy_share": 0.06,
}
"""payments with its check on the blocking pool, as measured: 300 requests a second of 2 ms, on one core."""


def window(n=1, *, changes=None, host=None, shown=None):
    """Return one window; `changes` are laid over the columns, None takes one away."""
    columns = {name: values for name, values in {**HEALTHY, **(changes or {})}.items() if values is not None}
    series = {name: np.broadcast_to(np.asarray(values, dtype=float), (ROWS,)) for name, values in columns.items()}
    told = replace(figures(2.5, 1.0), **{"success_p50_ms": 2.5, "from_send_p50_ms": 2.4, **(shown or {})})
    return Window(n, told, HostFacts(**{"throttled_s": 0.0, **(host or {})}), series)


def facts(changes=None, *, windows=3, values=None, load=None, host=None, shown=None, measure_s=7.0, **study):
    """Return the facts of equal windows of the fake study, with `changes` laid over each."""
    made = fake_study(cpus=study.pop("cpus", 1), window=WindowTimes(1.0, measure_s, 2.0), **study)
    made = replace(made, load=replace(made.load, **(load or {})))
    seen = tuple(window(n, changes=changes, host=host, shown=shown) for n in range(1, windows + 1))
    return Facts(made, {"fraud_check": "spawn_blocking", **(values or {})}, seen)
