"""What a person reads who wrote a study with many faults: all of them at once, each with its place, sorted by line."""

import pytest

from harness.errors import StudyError
from harness.study import load

SHAPE = """\
study: Bad Name
target: {template: payments, cpus: 0, memory: 5, set: {chek_ms: 1}}
load:
  rate: fast
  timeout: 2
  requests:
    - {name: a, path: no-slash, wieght: 2, headers: {X: "a\\r\\nb", Connection: close}}
window: {warmup: 1, measure: 5 minutes}
objective: {minimize: throughput}
guards:
  - {metric: error_ratio}
  - {metric: p95, at_most: 20}
knobs:
  worker_threads: {low: 4, high: 1}
  worker_treads: [1]
  max_blocking_threads: [8, 0, off]
  fraud_check: [sometimes]
  enable_io_uring: [true]
  rng_seed: [7]
budget: {windows: 5}
phases: {calibrate: 1}
seed: -1
seed: 2
colour: red
"""

MEANING = """\
study: demo
target: {template: echo, set: {check_ms: 1}}
load:
  rate: 300000
  requests:
    - {name: pay, path: /}
    - {name: pay, path: /}
objective: {minimize: p95, of: pax}
guards:
  - {metric: throughput, at_least: 300}
knobs:
  fraud_check: [inline, spawn_blocking]
  event_interval: [61]
  thread_keep_alive: {low: 1, high: 5}
  global_queue_interval: {low: 1, high: 99999999999}
window: {measure: 2m, drain: 1s}
baseline: {worker_threads: 0}
budget: {windows: 50, time: 1m}
phases: {calibrate: 4, screen: 1}
"""


@pytest.mark.parametrize("text", [SHAPE, MEANING], ids=["shape", "meaning"])
def test_all_faults_come_at_once_sorted_by_line(text, tmp_path, snapshot):
    file = tmp_path / "study.yaml"
    file.write_text(text)

    with pytest.raises(StudyError) as caught:
        load(file)

    assert str(caught.value).replace(f"{tmp_path}/", "").splitlines() == snapshot
