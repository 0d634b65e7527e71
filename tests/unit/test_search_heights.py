"""How high variants stand on the surface: guards, levels that act alike, windows that tell little."""

import math
from dataclasses import replace

import pytest
from fakes import ERRORS, THROUGHPUT, Fake, Noise, fake_study, figures, quick_study, run_study, surface

from harness.ledger.ledger import window_record
from harness.ledger.record import History
from harness.search import heights, joint, standing
from harness.study.model import UNSET, Knob
from harness.variant import Step, baseline, of
from harness.window.measurement import Measurement, Validity

WORKERS = Knob("worker_threads", "runtime", (1, 2, UNSET, 8, 16), ordered=True, baseline=UNSET)
EVENTS = Knob("event_interval", "runtime", (15, 31, UNSET, 127), ordered=True, baseline=UNSET)
STUDY = fake_study(knobs=(WORKERS, EVENTS), guards=())


def ledger(study, *windows, seed=1):
    """Return a history of (levels, latency, throughput, errors) windows, all in the search under the same arrivals."""
    history = History()
    for place, (levels, *measured) in enumerate(windows):
        made = of(study, levels)
        role = "baseline" if made == baseline(study) else "candidate"
        step = Step("search", role, 0, place, 0, made, seed)
        record = window_record(history, step, Measurement(Validity.VALID, (), 0.0, 1.0, figures(*measured)))
        history = history.model_copy(update={"windows": (*history.windows, record)})
    return history.windows


def scores(study, windows, *asked):
    return heights.scores(study, windows, [of(study, levels) for levels in asked])


BASE = [({}, 20.0, 1.0)] * 4


def test_the_baseline_scores_0_and_a_faster_variant_less():
    windows = ledger(STUDY, *BASE, *[({"worker_threads": 8}, 10.0, 1.0)] * 3)
    base, faster = scores(STUDY, windows, {}, {"worker_threads": 8})

    assert (base, faster) == (0.0, pytest.approx(math.log(0.5), abs=0.1))


def test_of_a_maximized_objective_more_scores_less():
    study = replace(STUDY, objective=replace(STUDY.objective, direction="maximize", metric="throughput"))
    windows = ledger(study, *BASE, *[({"worker_threads": 8}, 20.0, 2.0)] * 3)

    assert scores(study, windows, {"worker_threads": 8})[0] < -0.5


def test_a_variant_whose_neighbours_break_a_relative_limit_is_held_back_before_it_is_measured():
    study = replace(STUDY, guards=(THROUGHPUT,))
    windows = ledger(
        study,
        *BASE,
        *[({"worker_threads": 8}, 19.0, 0.5)] * 3,
        *[({"worker_threads": 8, "event_interval": 31}, 19, 0.5)] * 3,
    )
    fresh = {"worker_threads": 8, "event_interval": 15}

    assert scores(study, windows, fresh)[0] > 1.0
    assert scores(STUDY, windows, fresh)[0] < 0.0


def test_an_absolute_limit_is_held_against_the_variants_own_windows():
    study = replace(STUDY, guards=(ERRORS,))
    windows = ledger(study, *[(*one, 0.0) for one in BASE], *[({"worker_threads": 8}, 19.0, 1.0, 0.2)] * 3)
    broken, fresh = scores(study, windows, {"worker_threads": 8}, {"worker_threads": 16})

    assert broken > 1.0 > abs(fresh)


def test_how_slow_a_slow_variant_is_moves_no_good_one_but_still_ranks():
    """One level costs fifty times the latency; the others are told apart as well as without it."""
    steady = [({}, 20.0 * (1 + 0.01 * (-1) ** at), 1.0) for at in range(8)]
    good = [({"worker_threads": 8}, 17.0, 1.0), ({"worker_threads": 16}, 18.0, 1.0)]
    slow = [({"event_interval": 15}, 40.0, 1.0), ({"event_interval": 127}, 1000.0, 1.0)]
    eight, sixteen, forty, thousand = scores(
        STUDY, ledger(STUDY, *steady, *good, *slow), *(levels for levels, *_ in [*good, *slow])
    )

    assert eight < sixteen < 0 < forty < thousand < 0.5
    assert eight == pytest.approx(math.log(17 / 20), abs=0.05)


def test_a_knob_whose_default_is_spelled_out_lies_where_that_level_is():
    """With 4 cores, 4 workers are what unset is: the variant has no worker_threads, and lies at level 4, not at 1."""
    knob = Knob("worker_threads", "runtime", (1, 2, 4, 8), ordered=True, baseline=1)
    study = fake_study(knobs=(knob,), baseline={"worker_threads": 1, "fraud_check": "inline"}, guards=())
    windows = ledger(
        study, *[({}, 20.0)] * 4, *[({"worker_threads": 4}, 10.0)] * 4, *[({"worker_threads": 8}, 12.0)] * 4
    )

    assert "worker_threads" not in of(study, {"worker_threads": 4}).values
    assert scores(study, windows, {"worker_threads": 4})[0] < scores(study, windows, {"worker_threads": 8})[0] < -0.3


def test_windows_that_are_not_usable_say_nothing():
    windows = ledger(STUDY, *BASE, *[({"worker_threads": 8}, 10.0, 1.0)] * 3)
    lost = [
        record if record.role == "baseline" else record.model_copy(update={"validity": Validity.INVALID})
        for record in windows
    ]

    assert scores(STUDY, lost, {"worker_threads": 8}) == [0.0]


def test_without_any_window_every_variant_scores_0():
    assert scores(STUDY, (), {"worker_threads": 8}, {"worker_threads": 16}) == [0.0, 0.0]


def test_of_the_samplers_proposals_the_one_that_stands_best_is_measured():
    study = fake_study(seed=5)
    _, history = run_study(study, Fake(surface("additive", 5), Noise(5)))
    chosen = 0
    for record in [r for r in history.of_phase("search") if r.position > 2 and r.proposed][::5]:
        before = history.model_copy(update={"windows": history.windows[: record.n - 1]})
        asked = joint.proposals(study, joint.told(study, before), record.position)
        first = [next(asked) for _ in range(joint.PROPOSALS)]
        ranked = heights.scores(study, standing.explored(before), [of(study, levels) for levels in first])
        best = min(zip(ranked, first, strict=True), key=lambda pair: pair[0])[1]
        chosen += best != first[0]

        assert record.proposed == best

    assert chosen > 0


def test_two_objectives_take_the_samplers_first_word():
    objective = replace(quick_study().objective, second=replace(quick_study().objective, metric="peak_rss"))
    study = quick_study(objective=objective)
    _, history = run_study(study, Fake(surface("flat", 1), Noise(1)))
    record = history.of_phase("search")[-1]
    before = history.model_copy(update={"windows": history.windows[: record.n - 1]})

    assert record.proposed == next(joint.proposals(study, joint.told(study, before), record.position))
