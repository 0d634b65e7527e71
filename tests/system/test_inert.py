"""Inert knobs on a real service: one without blocking work ends its study right after the calibration."""

import json

import pytest

WAIT = ("--wait", "200")
POOL = """\
study: small
target: {template: echo, cpus: 1, memory: 256MiB}
load:
  rate: 100
  connections: 8
  timeout: 500ms
  requests:
    - {name: any, path: /}
window: {warmup: 200ms, measure: 500ms}
objective: {minimize: p50}
knobs:
  max_blocking_threads: [64, unset]
  thread_keep_alive: [100ms, unset]
phases: {calibrate: 4, search: 2, confirm: 5}
"""


@pytest.mark.cargo
@pytest.mark.load
def test_a_service_without_blocking_work_is_not_searched_for_the_blocking_pools_knobs(harness):
    harness.study.write_text(POOL)
    done = harness("optimize", "small.yaml", "--backend", "process", *WAIT)
    usable = [window for window in harness.windows() if window["validity"] in {"VALID", "DEGRADED"}]
    if len(usable) < 3:
        pytest.skip("the machine is too busy to calibrate")
    summary = json.loads((harness.run_folder() / "summary.json").read_text())

    assert done.returncode == 0, done.stderr
    assert summary["inert"]["knobs"].keys() == {"max_blocking_threads", "thread_keep_alive"}
    assert (summary["verdict"]["reason_code"], summary["phases"].keys()) == ("all_inert", {"calibrate"})
    assert "Not searched: max_blocking_threads: no blocking work under this load" in done.stderr
