"""The one-variable-at-a-time effects: which levels, the model, the rows."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fakes import QUICK_KNOBS, SIX_KNOBS, Fake, Noise, fake_study, flat, quick, quick_study, run_study
from scipy import stats

from harness.judge import effects
from harness.judge.effects import BASELINE, Cell
from harness.study.model import UNSET, Knob, Phases


def balanced(rng, levels, blocks, baselines, shifts):
    return [
        Cell(f"b{b}", label, b + shifts.get(label, 0.0) + rng.normal(0, 0.1))
        for b in range(blocks)
        for label in [*levels, *[BASELINE] * baselines]
    ]


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("worker_threads", (2, 12)),
        ("max_blocking_threads", (32, 1024)),
        ("thread_keep_alive", ("1s", "60s")),
        ("flavor", ("current_thread",)),
        ("event_interval", (15, 255)),
        ("global_queue_interval", (7, 61)),
    ],
)
def test_screened_levels_are_those_of_the_reference_study(name, levels):
    knob = {knob.name: knob for knob in SIX_KNOBS}[name]

    assert effects.screened_levels(knob) == levels


def test_a_baseline_at_the_end_is_screened_by_its_neighbour_and_a_far_level():
    knob = Knob("max_blocking_threads", "runtime", (4, 16, 64, UNSET), ordered=True, baseline=UNSET)

    assert effects.screened_levels(knob) == (16, 64)


def test_every_level_of_an_unordered_knob_is_screened():
    knob = Knob("fraud_check", "option", ("a", "b", "c", "d"), ordered=False, baseline="b")

    assert effects.screened_levels(knob) == ("a", "c", "d")


def test_a_level_that_makes_the_baseline_again_is_no_one_off():
    workers = Knob("worker_threads", "runtime", (UNSET, 4, 8), ordered=True, baseline=UNSET)
    found = effects.one_offs(fake_study(knobs=(workers,), cpus=4))

    assert [one_off.level for one_off in found] == [8]


def test_the_balanced_design_gives_the_formulas_of_the_textbook():
    rng = np.random.default_rng(5)
    cells = balanced(rng, ["a", "b", "c"], blocks=4, baselines=2, shifts={"a": -0.5})
    y = {
        label: np.array([[c.y for c in cells if c.block == f"b{b}" and c.label == label] for b in range(4)])
        for label in "abc"
    }
    base = np.array([[c.y for c in cells if c.block == f"b{b}" and c.label == BASELINE] for b in range(4)]).mean(axis=1)
    found = effects.fit(cells)["a"]

    assert found.estimate == pytest.approx(float((y["a"][:, 0] - base).mean()))
    assert found.freedom == 4 * (3 + 2) - 4 - 3


def test_the_standard_error_of_the_balanced_design():
    cells = balanced(np.random.default_rng(6), ["a", "b"], blocks=3, baselines=1, shifts={})
    labels, blocks = ["a", "b", BASELINE], ["b0", "b1", "b2"]
    table = np.array([[next(c.y for c in cells if (c.block, c.label) == (b, x)) for x in labels] for b in blocks])
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    s = math.sqrt((residual**2).sum() / (3 * 3 - 3 - 2))

    assert effects.fit(cells)["a"].error == pytest.approx(s * math.sqrt(1 / 3 + 1 / 3))


def test_renaming_levels_and_blocks_changes_no_number():
    cells = balanced(np.random.default_rng(8), ["a", "b", "c"], blocks=2, baselines=1, shifts={"b": 0.3})
    names = {"a": "z", "b": "y", "c": "x", BASELINE: BASELINE}
    renamed = [Cell("q" + cell.block[::-1], names[cell.label], cell.y) for cell in reversed(cells)]
    before, after = effects.fit(cells), effects.fit(renamed)

    assert [after[names[x]].error for x in "abc"] == pytest.approx([before[x].error for x in "abc"])
    assert [after[names[x]].estimate for x in "abc"] == pytest.approx([before[x].estimate for x in "abc"])


def test_a_missing_cell_leaves_the_other_levels_estimable():
    cells = balanced(np.random.default_rng(9), ["a", "b"], blocks=3, baselines=1, shifts={"a": 1.0})
    found = effects.fit([cell for cell in cells if (cell.block, cell.label) != ("b1", "a")])

    assert found["a"].estimate == pytest.approx(1.0, abs=0.3)


def test_a_level_that_never_met_a_baseline_has_no_effect():
    cells = [Cell("b0", BASELINE, 0.0), Cell("b0", "a", 1.0), Cell("b1", "z", 3.0)]

    assert set(effects.fit(cells)) == {"a"}


def test_holm_accepts_exactly_what_the_step_down_procedure_accepts():
    adjusted = effects.holm({"a": 0.01, "b": 0.03, "c": 0.02, "d": math.nan})

    assert adjusted == pytest.approx({"a": 0.03, "c": 0.04, "b": 0.04})


def test_intervals_of_levels_that_do_nothing_cover_zero_in_nine_of_ten():
    rng = np.random.default_rng(10)
    covered = []
    for _ in range(300):
        found = effects.fit(balanced(rng, ["a", "b", "c"], blocks=2, baselines=1, shifts={}))
        covered += [abs(c.estimate) <= stats.t.ppf(0.95, c.freedom) * c.error for c in found.values()]

    assert np.mean(covered) == pytest.approx(0.90, abs=0.03)


def test_the_quickstarts_screen_calls_the_blocking_check_better():
    study = quick_study()
    _, history = run_study(study, Fake(quick, Noise(1, 0.1)))
    calls = {row.knob: row.call for row in effects.screen(study, history)}

    assert calls == {"fraud_check": "better", "worker_threads": "better", "max_blocking_threads": "not resolved"}


def test_an_unresolved_row_says_how_large_it_could_be():
    study = quick_study()
    _, history = run_study(study, Fake(flat, Noise(2, 0.1)))
    row = effects.screen(study, history)[0]

    assert row.words == f"not resolved (smaller than {max(map(abs, row.interval)):.0%})"


def at_the_time_out(history, of):
    """Return the ledger with the scored percentile of every window that `of` chooses read at the time-out."""
    windows = tuple(
        one.model_copy(update={"metrics": replace(one.metrics, censored=("p95",))}) if of(one) else one
        for one in history.windows
    )
    return history.model_copy(update={"windows": windows})


def test_nothing_bounds_a_level_whose_requests_timed_out_from_above():
    study = quick_study()
    _, history = run_study(study, Fake(quick, Noise(1, 0.1)))
    usual = {row.knob: row for row in effects.screen(study, history)}
    slow = usual["worker_threads"].variant
    rows = {row.knob: row for row in effects.screen(study, at_the_time_out(history, lambda one: one.variant == slow))}

    assert rows["worker_threads"].interval == (None, usual["worker_threads"].interval[1])
    assert rows["fraud_check"].interval == usual["fraud_check"].interval


def test_nothing_bounds_what_a_level_gains_on_a_baseline_whose_requests_timed_out():
    study = quick_study()
    _, history = run_study(study, Fake(flat, Noise(1, 0.1)))
    usual, rows = (
        effects.screen(study, one) for one in (history, at_the_time_out(history, lambda one: one.role == "baseline"))
    )

    assert [row.interval for row in rows] == [(row.interval[0], None) for row in usual]
    assert {row.words for row in rows if row.call == "not resolved"} == {"not resolved"}


def test_rows_count_their_windows_and_the_calibration_adds_to_the_residual():
    study = quick_study()
    _, history = run_study(study, Fake(flat, Noise(2, 0.1)))
    cells = effects._cells(study, history, {one.variant.id for one in effects.one_offs(study)})

    assert {row.n for row in effects.screen(study, history)} == {2}
    assert next(iter(effects.fit(cells).values())).freedom == (2 * 4 - 2 - 3) + (4 - 1)


def test_a_study_that_was_never_screened_has_rows_without_effects():
    rows = effects.screen(quick_study(), run_study(quick_study(knobs=QUICK_KNOBS[:0]), Fake(flat))[1])

    assert [(row.effect, row.words) for row in rows] == [(None, "not measured")] * 3


def test_a_level_with_a_single_window_is_a_picture_and_never_called():
    """One window in twenty is an outlier of several sigma: alone it must not read as an effect of its level."""
    study = fake_study(phases=Phases(calibrate=10, screen=1, search=0, race=0, confirm=0))
    _, history = run_study(study, Fake(lambda v: (0.9 * (v.get("worker_threads") == 2), 0.0), Noise(1, 0.02)))
    rows = effects.screen(study, history)

    assert max(abs(row.effect) for row in rows) > 0.5
    assert {row.call for row in rows} == {"not resolved"}
