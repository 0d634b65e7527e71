"""What a diagnosis makes worth screening, and the lines for a study."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from seen import T_S, facts

from harness.diagnose import screening
from harness.diagnose.climbs import climb, spearman
from harness.diagnose.facts import Facts
from harness.diagnose.finding import Finding, Proposal
from harness.diagnose.rules import Diagnosis, diagnose
from harness.study import load
from harness.study.model import UNSET

QUICKSTART = Path(__file__).resolve().parents[2] / "studies" / "quickstart.yaml"


def diagnosis_of(*proposals):
    finding = Finding("any", "s", (), "c", "high", (), ("do",), 1.0, (), 1, proposals)
    return Diagnosis((finding,), (), ())


def order(seen, *proposals):
    return {one.knob: one.levels for one in screening.knob_order(seen, diagnosis_of(*proposals))}


def test_the_lines_can_be_pasted_into_the_study_they_were_made_for(tmp_path):
    study = load(QUICKSTART)
    seen = facts({"busy_share": 0.66, "cpu": 0.1})
    seen = Facts(study, dict(study.baseline), seen.windows)
    block = "\n".join(screening.lines(screening.knob_order(seen, diagnose(seen))))
    text = QUICKSTART.read_text()
    start, end = text.index("knobs:\n"), text.index("phases:")
    pasted = tmp_path / "pasted.yaml"
    pasted.write_text(text[:start] + block + "\n" + text[end:].replace("phases: {calibrate", "# {calibrate"))

    loaded = load(pasted)

    assert loaded.knob_names == ("fraud_check", "worker_threads", "max_blocking_threads")
    assert loaded.knob("worker_threads").levels == (UNSET, 2, 4)


def test_two_findings_that_name_one_knob_give_it_once_with_the_levels_of_both():
    levels = order(
        facts(cpus=2),
        Proposal("event_interval", (7, UNSET), "first"),
        Proposal("event_interval", (31, UNSET), "second"),
    )

    assert levels == {"event_interval": (7, 31, UNSET)}


def test_levels_that_make_the_same_runtime_are_one_level():
    seen = facts(cpus=1, values={"worker_threads": 2})

    assert order(seen, Proposal("worker_threads", (1, UNSET), "")) == {"worker_threads": (1, 2)}
    assert order(facts(cpus=1), Proposal("worker_threads", (1, UNSET), "")) == {}


def test_the_level_in_force_is_always_among_the_levels():
    assert order(facts(values={"event_interval": 200}), Proposal("event_interval", (7,), "")) == {
        "event_interval": (7, 200)
    }


def test_knobs_of_the_other_flavor_are_left_out():
    seen = facts(values={"flavor": "current_thread"})

    assert order(seen, Proposal("worker_threads", (1, 8), ""), Proposal("event_interval", (7, UNSET), "")) == {
        "event_interval": (7, UNSET)
    }


def test_knobs_that_need_tokio_unstable_are_left_out_where_its_metrics_are_not_there():
    proposal = Proposal("disable_lifo_slot", (UNSET, True), "")

    assert order(facts(), proposal) == {"disable_lifo_slot": (UNSET, True)}
    assert order(facts({"blocking_queue_depth": None}), proposal) == {}


@pytest.mark.parametrize(
    "level", ["inline", "spawn_blocking", "on", "off", "no", "1", "1s", "100ms", "a: b", "#x", "null", True, 7, 0.5]
)
def test_a_level_is_read_back_as_it_was(level):
    (_, line) = screening.lines([Proposal("any", (level,), "why")])

    assert yaml.safe_load(line) == {"any": [level]}


def test_without_a_finding_the_lines_say_that_nothing_is_worth_screening():
    assert screening.lines(()) == ("# knobs: nothing was found that a knob could mend",)


def test_a_choice_that_is_already_made_is_not_proposed():
    seen = facts({"busy_share": 0.66, "cpu": 0.1}, values={"fraud_check": "spawn_blocking"})

    assert "fraud_check" not in {one.knob for one in screening.knob_order(seen, diagnose(seen))}


def test_the_rank_correlation_of_a_worked_example_is_as_in_the_books():
    assert spearman(np.array([1.0, 2.0, 2.0, 4.0]), np.arange(4.0)) == pytest.approx(0.948683)
    assert spearman(np.ones(20), np.arange(20.0)) == 0


def test_a_straight_climb_is_told_in_its_own_units():
    made = climb(T_S, 10 + 2 * T_S)

    assert made.per_s == pytest.approx(2)
    assert made.rise == pytest.approx(made.last - made.first)
    assert made.steady


def test_noise_that_stands_still_is_no_climb():
    random = np.random.default_rng(1)

    assert not any(climb(T_S, random.normal(100, 10, T_S.size)).steady for _ in range(300))


def test_unknown_values_are_left_out_of_a_climb_and_a_few_are_no_climb_at_all():
    values = np.where(np.arange(T_S.size) % 2, 10 + T_S, np.nan)

    assert climb(T_S, values).per_s == pytest.approx(1)
    assert climb(T_S[:8], T_S[:8]) is None


def test_a_series_of_half_an_hour_is_taken_in_stretches():
    t_s = np.arange(18000) / 10

    assert climb(t_s, 5 + t_s).per_s == pytest.approx(1)


def test_the_workers_of_a_variant_are_what_the_service_said():
    seen = facts(values={"worker_threads": 8})
    said = Facts(seen.study, seen.values, tuple(replace(one, workers=3) for one in seen.windows))

    assert (seen.workers, said.workers) == (8, 3)
