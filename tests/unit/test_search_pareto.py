"""Two objectives: the sampler hears both, the table shows what nothing beats in both, and the study's rule picks."""

import math
from dataclasses import dataclass, replace

import pytest
from fakes import QUICK_PHASES, Fake, Noise, quick_study, run_study

from harness import variant
from harness.judge import second
from harness.judge.verdict import Verdict
from harness.search import confirm, joint, pareto
from harness.study.model import UNSET, Knob, Objective

RSS = Objective("minimize", "peak_rss")
KNOB = Knob("worker_threads", "runtime", (UNSET, 2, 4, 8, 16), ordered=False, baseline=UNSET)
LATENCY = {1: 0.0, 2: -0.55, 4: -0.58, 8: -0.70, 16: 0.1}
MEMORY = {1: 0.0, 2: 0.02, 4: 0.40, 8: 0.8, 16: 1.0}


def workers(values):
    return values.get("worker_threads", 1)


@dataclass(frozen=True)
class TwoSided(Fake):
    """A fake whose memory is a known function of the workers."""

    def run_step(self, step, n):
        made = super().run_step(step, n)
        rss = 2**20 * math.exp(MEMORY[workers(step.variant.values)])
        return made if made.figures is None else replace(made, figures=replace(made.figures, peak_rss_bytes=round(rss)))


def run(pick="first", within=0.0, sigma=0.005, seed=1, **changes):
    objective = Objective("minimize", "p95", None, RSS, pick, within)
    phases = replace(QUICK_PHASES, screen=4, search=4)
    study = quick_study(knobs=(KNOB,), objective=objective, phases=phases, seed=seed, guards=(), **changes)
    fake = TwoSided(lambda values: (LATENCY[workers(values)], 0.0), Noise(seed, sigma))
    return study, run_study(study, fake)[1]


def winner(*rule, seed=1):
    study, history = run(*rule, seed=seed)
    return confirm.frozen(history).difference.get("worker_threads"), study, history


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("rule", "best"), [(("first",), 8), (("second", 0.20), 2), (("balanced",), 2)])
def test_the_pairs_go_to_the_point_that_the_rule_picks(rule, best, seed):
    picked, _, history = winner(*rule, seed=seed)

    assert picked == best
    assert f"`pick: {rule[0]}` of p95 and peak_rss" in history.decision("freeze")["why"]


def test_a_rule_that_gives_nothing_up_picks_the_best_by_the_first():
    assert winner("second", 0.001)[0] == 8


def test_the_front_holds_what_nothing_beats_in_both_and_the_baseline():
    study, history = run()
    front = pareto.front(study, history)

    assert [workers(point.values) for point in front] == [8, 4, 2, 1]
    assert [point.gains[0] for point in front] == sorted((point.gains[0] for point in front), reverse=True)
    assert (front[-1].gains, front[-1].windows >= 8) == ((0.0, 0.0), True)
    assert front[0].gains == pytest.approx((1 - math.exp(-0.70), 1 - math.exp(0.8)), abs=0.02)


def test_one_objective_has_no_front():
    study, history = run()

    assert pareto.front(replace(study, objective=Objective("minimize", "p95")), history) == ()


def test_the_sampler_is_told_both_values():
    study, history = run()
    rows = joint.told(study, history)

    assert rows[0].values == [0.0, 0.0]
    assert all(len(row.values) == 2 for row in rows)
    assert max(row.second for row in rows) > 0.3


def test_a_window_without_the_second_figure_is_not_told():
    study, history = run()
    blind = history.model_copy(
        update={
            "windows": tuple(
                w.model_copy(update={"metrics": replace(w.metrics, peak_rss_bytes=None)}) for w in history.windows
            )
        }
    )

    assert len(joint.told(study, blind)) == 1  # the baseline, which is 0 by definition


def test_a_second_objective_that_is_never_measured_ends_the_run_after_calibration():
    objective = Objective("minimize", "p95", None, Objective("minimize", "threads"))
    _, history = run_study(quick_study(objective=objective), Fake(lambda _: (0.0, 0.0)))
    verdict = Verdict.from_json(history.decision("verdict"))

    assert (verdict.reason_code, len(history.windows)) == ("not_measured", 4)
    assert "value of threads" in verdict.reason


def test_the_claim_is_about_the_first_and_the_second_is_told_with_its_interval():
    _, study, history = winner("first")
    verdict = Verdict.from_json(history.decision("verdict"))
    beside = second.effect(study, confirm.usable_pairs(history))

    assert (verdict.call, verdict.reason.startswith("p95 is better")) == ("better", True)
    assert beside.metric == "peak_rss"
    assert beside.estimate == pytest.approx(1 - math.exp(0.8), abs=1e-3)
    assert beside.interval[0] <= beside.estimate <= beside.interval[1]


def test_the_variant_in_the_pairs_is_one_of_the_front():
    study, history = run("second", 0.2)

    assert confirm.frozen(history).winner.id in {point.variant for point in pareto.front(study, history)}
    assert variant.baseline(study).id in {point.variant for point in pareto.front(study, history)}
