"""The next step is a pure function of study and ledger: replayed over every prefix it names what was run."""

import time

import pytest
from fakes import Fake, Noise, fake_study, flat, quick, quick_study, run_study, surface

from harness import search
from harness.ledger.record import DecisionRecord, History, WindowRecord
from harness.study.model import Budget
from harness.variant import Decision, Step
from harness.window.measurement import Validity


def some_go_wrong(n, step):
    """Spoil windows of every phase, so that the retries are replayed too."""
    if n % 11 == 3 and step.attempt == 0:
        return Validity.INVALID, "generator late"
    if n % 17 == 5 and step.attempt == 0 and step.role == "candidate" and step.phase != "confirm":
        return Validity.FAILED, "did not start"
    return None


STUDIES = {
    "quickstart": (quick_study(), Fake(quick, Noise(2))),
    "quickstart with mishaps": (quick_study(seed=3), Fake(quick, Noise(2), faults=some_go_wrong)),
    "60 windows with mishaps": (
        fake_study(budget=Budget(60, None)),
        Fake(surface("tradeoff", 1), Noise(3), faults=some_go_wrong),
    ),
    "80 windows": (fake_study(budget=Budget(80, None), seed=2), Fake(flat, Noise(4, 0.3))),
    "attribution with mishaps": (
        fake_study(seed=4, guards=()),
        Fake(lambda v: (-0.3 * (v.get("worker_threads") == 8), 0.0), Noise(3, 0.03), faults=some_go_wrong),
    ),
    "short of time": (quick_study(budget=Budget(28, 260.0)), Fake(quick, Noise(2), window_s=12.0)),
}


def prefixes(history):
    """Yield every prefix of the ledger in the order in which it was written, each read back from its JSON."""
    windows, decisions = list(history.windows), list(history.decisions)
    at, known = 0, 0
    while True:
        yield History(windows=tuple(windows[:at]), decisions=tuple(decisions[:known]))
        if known < len(decisions) and decisions[known].after == at:
            known += 1
        elif at < len(windows):
            at += 1
        else:
            return


def reread(history):
    windows = tuple(WindowRecord.model_validate_json(record.model_dump_json()) for record in history.windows)
    decisions = tuple(DecisionRecord.model_validate_json(record.model_dump_json()) for record in history.decisions)
    return History(windows=windows, decisions=decisions)


@pytest.mark.parametrize("name", STUDIES)
def test_every_prefix_of_the_ledger_names_the_step_that_was_run(name):
    study, fake = STUDIES[name]
    steps, history = run_study(study, fake)
    named = [search.next_step(study, prefix) for prefix in prefixes(reread(history))]

    assert [*steps, None] == named


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(name):
    study, fake = STUDIES[name]
    _, whole = run_study(study, fake)
    halves = [prefix for prefix in prefixes(whole) if len(prefix.windows) % 7 == 0]

    assert [run_study(study, fake, reread(prefix))[1] == whole for prefix in halves] == [True] * len(halves)


def test_equal_study_seed_and_service_give_byte_equal_ledgers():
    study, fake = STUDIES["60 windows with mishaps"]

    assert run_study(study, fake)[1].model_dump_json() == run_study(study, fake)[1].model_dump_json()


def test_what_is_decided_is_plain_json_that_survives_the_ledger():
    _, history = run_study(*STUDIES["quickstart"])

    assert reread(history).decisions == history.decisions


def test_after_the_verdict_there_is_nothing_to_do():
    study, fake = STUDIES["quickstart"]
    steps, history = run_study(study, fake)

    assert (steps[-1].kind, search.next_step(study, history)) == ("verdict", None)


def test_the_ledger_is_not_changed_by_asking():
    study, fake = STUDIES["quickstart"]
    _, history = run_study(study, fake)
    before = history.model_dump_json()
    search.next_step(study, history)

    assert history.model_dump_json() == before


def test_every_step_says_where_it_belongs():
    study, fake = STUDIES["quickstart with mishaps"]
    steps, _ = run_study(study, fake)
    places = [(s.phase, s.block, s.position, s.attempt) for s in steps if isinstance(s, Step)]

    assert len(places) == len(set(places))
    assert any(isinstance(step, Decision) for step in steps)


@pytest.mark.slow
def test_a_next_step_late_in_a_long_run_is_quick(record_property):
    """The time itself is recorded, not asserted; what is asserted is that it needs no memory of former calls."""
    study = fake_study(budget=Budget(200, None))
    steps, history = run_study(study, Fake(surface("additive", 2), Noise(1)))
    last_search = max(at for at, step in enumerate(steps) if isinstance(step, Step) and step.phase == "search")
    late = list(prefixes(history))[last_search]
    begun = time.perf_counter()
    named = search.next_step(study, late)
    record_property("next_step_s", time.perf_counter() - begun)

    assert named == steps[last_search]
