"""Each rule on facts that have its fault and on facts that have not: measured figures of real targets where there are."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from seen import ROWS, T_S, facts

from harness.cli.diagnose import command
from harness.diagnose import documented, screening
from harness.diagnose.finding import Finding, NotLooked
from harness.diagnose.limits import LIMITS
from harness.diagnose.rules import RULES, diagnose
from harness.diagnose.workers import runnable
from harness.study.knobs import TABLE

INLINE = {"busy_share": 0.66, "cpu": 0.10, "blocking_threads": 0.0, "idle_blocking_threads": 0.0}
"""payments with its check inline, as measured at 300 requests a second."""
ECHO = {"busy_share": 0.032, "cpu": 0.051, "blocking_threads": 0.0, "idle_blocking_threads": 0.0}
COMPUTING = {"busy_share": 0.72, "cpu": 0.75}
SAW = np.where(np.arange(ROWS) // 5 % 2 == 0, 1.0, 9.0)
BURST = np.where(np.arange(ROWS) < 10, 100.0, 98.0)
TWO = {"cpus": 2, "values": {"worker_threads": 2}}
UNTOLD = dict.fromkeys(("busy_share", "alive_tasks", "global_queue_depth", "blocking_threads", "requests"))

FAULTY = {
    "blocking_call": lambda: facts(INLINE, values={"fraud_check": "inline"}),
    "cpu_bound": lambda: facts(COMPUTING),
    "pool_too_small": lambda: facts(
        {"blocking_threads": 4.0, "idle_blocking_threads": 0.0, "blocking_queue_depth": 7.0},
        values={"max_blocking_threads": 4},
    ),
    "pool_churn": lambda: facts({"blocking_threads": SAW}, values={"thread_keep_alive": "100ms"}),
    "pool_never_shrinks": lambda: facts({"blocking_threads": BURST, "idle_blocking_threads": 95.0}, measure_s=30.0),
    "oversubscription": lambda: facts({"throttled_s": 0.1}),
    "imbalance": lambda: facts({"worker_0_busy_share": 0.95, "worker_1_busy_share": 0.1}, **TWO),
    "global_queue": lambda: facts({"global_queue_depth": 12.0}),
    "driver_starvation": lambda: facts({"busy_share": 0.99, "cpu": 0.98}),
    "task_leak": lambda: facts({"alive_tasks": 65 + T_S * 40}),
    "memory_growth": lambda: facts({"rss_bytes": 2**22 + T_S * 2**22}),
    "client_limited": lambda: facts(load={"model": "closed", "rate": None, "arrivals": None}),
    "metrics_missing": lambda: facts(UNTOLD),
}
NOT_QUITE = {
    "blocking_call": lambda: facts({"busy_share": 0.12, "cpu": 0.10}),
    "cpu_bound": lambda: facts({"busy_share": 0.72, "cpu": 0.75}, shown={"completed_per_s": None} | busy_at(3000)),
    "pool_too_small": lambda: facts(
        {"blocking_threads": 4.0, "idle_blocking_threads": 0.0, "blocking_queue_depth": np.where(T_S < 0.5, 7.0, 0.0)},
        values={"max_blocking_threads": 4},
    ),
    "pool_churn": lambda: facts({"blocking_threads": np.minimum(np.arange(ROWS), 30.0)}),
    "pool_never_shrinks": lambda: facts({"blocking_threads": BURST, "idle_blocking_threads": 20.0}, measure_s=30.0),
    "oversubscription": lambda: facts({"cpu": 0.97, "busy_share": 0.9, "nonvoluntary_switches": 50.0}),
    "imbalance": lambda: facts({"worker_0_busy_share": 0.5, "worker_1_busy_share": 0.1}, **TWO),
    "global_queue": lambda: facts({"global_queue_depth": np.where(T_S < 0.5, 12.0, 0.0)}),
    "driver_starvation": lambda: facts({"busy_share": 0.9, "cpu": 0.9}),
    "task_leak": lambda: facts({"alive_tasks": np.minimum(65 + T_S * 100, 265)}),
    "memory_growth": lambda: facts({"rss_bytes": 2**24 * np.minimum(1 + T_S, 3)}),
    "client_limited": lambda: facts({"cpu": 0.98}, load={"model": "closed", "rate": None, "arrivals": None}),
    "metrics_missing": facts,
}


def busy_at(per_s):
    """Return what makes a window one of `per_s` requests a second over 7 s."""
    return {"completed": per_s * 7}


def fired(seen):
    return {finding.rule for finding in diagnose(seen).findings}


def found(name, seen):
    outcome = RULES[name].look(seen)

    assert isinstance(outcome, Finding), outcome
    return outcome


def test_every_rule_has_facts_that_have_its_fault_and_facts_that_have_not():
    assert set(FAULTY) == set(RULES) == set(NOT_QUITE)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_finds_its_fault(name):
    assert name in fired(FAULTY[name]())


@pytest.mark.parametrize("name", RULES)
def test_a_rule_stays_silent_where_its_fault_is_not(name):
    assert name not in fired(NOT_QUITE[name]())


@pytest.mark.parametrize("changes", [{}, ECHO], ids=["payments on the blocking pool", "echo"])
def test_no_rule_finds_anything_in_a_healthy_service(changes):
    assert fired(facts(changes)) == set()


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.needs])
def test_a_rule_without_its_columns_says_that_it_did_not_look(name):
    for column in RULES[name].needs:
        made = diagnose(facts({column: None}))

        (said,) = [one for one in made.not_looked if one.rule == name]
        assert column in said.why
        assert name not in made.clear


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.needs])
def test_a_column_without_a_known_value_is_as_if_it_were_absent(name):
    for column in RULES[name].needs:
        assert name in {one.rule for one in diagnose(facts({column: np.nan})).not_looked}


@pytest.mark.parametrize("name", RULES)
def test_a_finding_says_what_why_and_what_to_do(name):
    finding = found(name, FAULTY[name]())

    assert finding.rule == name
    assert finding.symptom
    assert finding.cause.endswith(".")
    assert finding.change
    assert finding.figures
    assert 0 < finding.weight <= 1
    assert finding.against or name == "metrics_missing"
    assert any(figure.limit is not None for figure in finding.figures)


@pytest.mark.parametrize("name", RULES)
def test_a_finding_proposes_only_knobs_that_there_are(name):
    seen = FAULTY[name]()
    options = {option.name for option in seen.study.target.options}

    for proposal in found(name, seen).proposals:
        assert proposal.knob in TABLE or proposal.knob in options
        if proposal.knob in TABLE:
            assert [TABLE[proposal.knob].parse(level) for level in proposal.levels] == list(proposal.levels)


@pytest.mark.parametrize("name", RULES)
def test_a_finding_can_be_written_as_json_and_comes_out_the_same_each_time(name):
    first, second = (json.dumps(asdict(found(name, FAULTY[name]())), allow_nan=False) for _ in range(2))

    assert first == second


@pytest.mark.parametrize("name", RULES)
def test_one_window_alone_never_gives_high_confidence(name):
    if name == "metrics_missing":
        return  # what is not there is not there
    seen = FAULTY[name]()

    assert found(name, type(seen)(seen.study, seen.values, seen.windows[:1])).confidence != "high"


def test_every_rule_says_in_its_first_line_what_it_looks_for():
    assert [name for name, rule in RULES.items() if not (rule.look.__doc__ or "").strip()] == []


def test_every_limit_has_a_source_and_a_rule_that_uses_it():
    sources = "".join(file.read_text() for file in ROOM.glob("*.py"))
    used = set(re.findall(r'limit\("(\w+)"\)', sources))

    assert used == set(LIMITS)
    assert [name for name, limit in LIMITS.items() if len(limit.source) < 5] == []


ROOM = Path(__file__).resolve().parents[2] / "harness" / "diagnose"


def test_a_check_inline_is_a_blocking_call_with_high_confidence_and_its_option_comes_first():
    seen = FAULTY["blocking_call"]()
    made = diagnose(seen)

    assert [(one.rule, one.confidence) for one in made.findings] == [("blocking_call", "high")]
    assert [one.knob for one in screening.knob_order(seen, made)] == [
        "fraud_check",
        "worker_threads",
        "max_blocking_threads",
    ]


def test_the_time_that_a_request_holds_its_worker_is_told():
    held = {one.name: one.value for one in found("blocking_call", FAULTY["blocking_call"]()).figures}

    assert held["held by each request"] == pytest.approx(0.56 / 300 * 1e6)


def test_a_blocking_call_on_full_cores_is_less_sure():
    seen = facts({"busy_share": 1.0, "cpu": 0.85}, values={"worker_threads": 16})

    assert found("blocking_call", seen).confidence == "medium"


def test_computing_workers_that_take_turns_on_one_core_are_not_called_blocked():
    """Four workers share one core that is used for 60 %: 1.5 of them are runnable, and none waits for anything else."""
    assert "blocking_call" not in fired(facts({"busy_share": 1.5 / 4, "cpu": 0.6}, values={"worker_threads": 4}))


def test_a_blocking_call_that_four_workers_hide_is_still_found():
    seen = facts({"busy_share": 0.66 / 4, "cpu": 0.1}, values={"fraud_check": "inline", "worker_threads": 4})

    assert found("blocking_call", seen).confidence == "high"


def test_time_that_others_took_from_the_cores_is_not_called_blocked():
    busy = {"busy_share": 0.25, "cpu": 0.15}

    assert "blocking_call" in fired(facts(busy))
    assert "blocking_call" not in fired(facts(busy, host={"foreign_cpu": 0.25}))


def test_cores_that_are_shared_with_the_generator_speak_against_a_blocking_call():
    finding = found("blocking_call", facts(INLINE, host={"notes": ("target and generator share core 0",)}))

    assert finding.confidence == "medium"
    assert "target and generator share core 0" in finding.against


def test_runnable_workers_are_those_of_the_books_example():
    assert runnable(1.0, cores=2, workers=8) == pytest.approx(4 / 3)
    assert runnable(0.6, cores=1, workers=4) == pytest.approx(1.5)
    assert runnable(0.6, cores=1, workers=1) == pytest.approx(0.6)
    assert runnable(1.0, cores=1, workers=4) == 4


def test_computing_is_less_surely_a_fault_while_its_workers_have_room():
    """Signing with light hashes, as measured: 0.65 ms of CPU a request, and 39 % busy."""
    light = facts({"busy_share": 0.39, "cpu": 0.39}, shown=busy_at(600))

    assert found("cpu_bound", light).confidence == "medium"
    assert found("cpu_bound", FAULTY["cpu_bound"]()).confidence == "high"


def test_computing_of_half_a_millisecond_is_less_surely_a_fault_than_one_of_two():
    """A proxy as measured: 0.59 ms of CPU a request, and 59 % busy."""
    proxy = facts({"busy_share": 0.586, "cpu": 0.6, "polls_s": 2005.0}, shown=busy_at(1001))

    assert found("cpu_bound", proxy).confidence == "medium"


def test_time_that_others_took_is_not_called_computing():
    waiting = {"busy_share": 0.99, "cpu": 0.25}

    assert "cpu_bound" not in fired(facts(waiting, host={"foreign_cpu": 0.9}))


def test_many_light_requests_that_fill_a_core_are_not_cpu_bound():
    assert "cpu_bound" not in fired(facts(COMPUTING, shown=busy_at(3000)))


def test_a_queue_that_overflows_is_told_from_wakes_from_outside_and_proposes_the_flavor_that_has_none():
    outside, crowd = (
        found("global_queue", facts({"global_queue_depth": 800.0, "overflows_s": n})) for n in (0.0, 9000.0)
    )

    assert "from outside the workers" in outside.cause
    assert "the 256 that a worker's own queue holds" in crowd.cause
    assert [any(one.knob == "flavor" for one in finding.proposals) for finding in (outside, crowd)] == [False, True]


def test_a_request_of_many_short_polls_is_not_cpu_bound_however_much_it_computes_in_all():
    assert "cpu_bound" not in fired(facts({**COMPUTING, "polls_s": 9000.0}))
    assert "cpu_bound" in fired(facts({**COMPUTING, "polls_s": 900.0}))


def test_polls_that_nobody_counted_speak_against_computing_and_counted_ones_are_a_figure():
    uncounted, counted = (found("cpu_bound", facts({**COMPUTING, "polls_s": polls})) for polls in (None, 900.0))

    assert any("number of polls is not known" in words for words in uncounted.against)
    assert any("It is a mean" in words for words in counted.against)
    assert [figure.value for figure in counted.figures if figure.name == "CPU of a poll"] == pytest.approx([800.0])


def test_tasks_that_climb_while_the_service_falls_behind_are_less_surely_a_leak():
    seen = facts({"alive_tasks": 65 + T_S * 40}, host={"overloaded": True})

    assert found("task_leak", seen).confidence == "medium"


def test_tasks_that_climb_in_one_of_three_windows_are_no_leak():
    seen, climbing = facts(), FAULTY["task_leak"]()

    assert "task_leak" not in fired(type(seen)(seen.study, seen.values, (*seen.windows[:2], climbing.windows[0])))


def test_memory_tells_how_long_until_its_limit():
    seen = facts({"rss_bytes": 2**22 + T_S * 2**22})
    limited = type(seen.study.target)(**{**vars(seen.study.target), "memory_bytes": 64 * 2**20})
    study = type(seen.study)(**{**vars(seen.study), "target": limited})
    told = {one.name: one.value for one in found("memory_growth", type(seen)(study, seen.values, seen.windows)).figures}

    assert told["time to the memory limit"] == pytest.approx((64 - 4 - 4 * 6.4) / 4, rel=0.05)


def test_a_window_shorter_than_the_keep_alive_cannot_see_a_pool_that_stays():
    outcome = RULES["pool_never_shrinks"].look(facts({"blocking_threads": BURST, "idle_blocking_threads": 95.0}))

    assert isinstance(outcome, NotLooked)
    assert "--long" in outcome.why


def test_preempted_workers_are_oversubscribed_only_where_the_cores_are_full():
    switching = {"nonvoluntary_switches": 500.0, "busy_share": 0.99}

    assert "oversubscription" in fired(facts({**switching, "cpu": 0.97}, values={"worker_threads": 4}))
    assert "oversubscription" not in fired(facts({**switching, "cpu": 0.4}, values={"worker_threads": 4}))


def test_a_generator_that_was_late_is_no_wait_for_a_connection():
    waiting = {"success_p50_ms": 3.0, "from_send_p50_ms": 2.0}

    assert "client_limited" in fired(facts(shown=waiting))
    assert "client_limited" not in fired(facts(shown=waiting, host={"lateness_p50_ms": 0.8}))


def test_an_idle_pair_of_workers_is_not_out_of_balance():
    assert "imbalance" not in fired(facts({"worker_0_busy_share": 0.4, "worker_1_busy_share": 0.0}, **TWO))


def test_requests_that_wait_in_the_client_are_a_caution_below_every_fault():
    made = diagnose(
        facts(INLINE, values={"fraud_check": "inline"}, shown={"success_p50_ms": 9.0, "from_send_p50_ms": 3.0})
    )

    assert [one.rule for one in made.findings] == ["blocking_call", "client_limited"]
    assert made.findings[-1].kind == "caution"


def test_a_service_without_a_probe_is_told_how_to_add_one():
    seen = facts(UNTOLD)
    silent = type(seen.study.target)(**{**vars(seen.study.target), "has_admin": False})
    study = type(seen.study)(**{**vars(seen.study), "target": silent})
    finding = found("metrics_missing", type(seen)(study, seen.values, seen.windows))

    assert "ADMIN_PORT" in finding.change[0]


def test_a_build_without_tokio_unstable_is_told_the_flag():
    gone = dict.fromkeys(("blocking_threads", "idle_blocking_threads", "blocking_queue_depth"))
    finding = found("metrics_missing", facts(gone))

    assert finding.change == (finding.change[0],)
    assert "tokio_unstable" in finding.change[0]


def test_the_page_of_the_rules_is_current():
    assert documented.FILE.read_text() == documented.text(), "run `make schema`"


def test_every_command_on_the_page_of_the_rules_is_one_that_there_is():
    options = {name for option in command.params for name in option.opts}
    shown = re.findall(r"^harness diagnose (\S+) *(--\w+)?", documented.text(), re.MULTILINE)

    assert {flag for _, flag in shown if flag} <= options
    assert all((ROOM.parents[1] / study).exists() for study, _ in shown)
