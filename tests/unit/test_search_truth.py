"""Ground truth: is the best found, is the claim right, how often does it cry wolf? Seeded, on known surfaces.

The bounds are the 99.9 % points of what an honest 5 % test and a 90 % interval give.
"""

import math

import pytest
from fakes import Fake, Noise, fake_study, flat, quick, quick_study, run_study, surface

from harness.judge.verdict import Verdict
from harness.study.model import Budget


def verdicts(runs):
    """Return (verdict, true gain of the tested variant) of each (study, fake)."""
    found = []
    for study, fake in runs:
        _, history = run_study(study, fake)
        y, _ = fake.surface(history.decision("freeze")["values"])
        found.append((Verdict.from_json(history.decision("verdict")), 1 - math.exp(y)))
    return found


def claims(found):
    return sum(verdict.call == "better" for verdict, _ in found)


def covered(found):
    return sum(verdict.interval[0] <= truth <= verdict.interval[1] for verdict, truth in found)


@pytest.fixture(scope="module")
def flat_quickstarts():
    return verdicts((quick_study(seed=seed), Fake(flat, Noise(1000 + seed))) for seed in range(100))


def test_the_quickstart_finds_the_blocking_check():
    found = verdicts((quick_study(seed=seed), Fake(quick, Noise(seed))) for seed in range(20))

    assert [verdict.winner.get("fraud_check") for verdict, _ in found] == ["spawn_blocking"] * 20
    assert claims(found) == 20


def test_noise_of_the_arrivals_does_not_hide_the_blocking_check():
    found = verdicts((quick_study(seed=seed), Fake(quick, Noise(seed, 0.1, arrivals=0.4))) for seed in range(10))

    assert claims(found) == 10


def test_a_flat_quickstart_is_claimed_in_no_more_than_13_of_100_studies(flat_quickstarts):
    assert claims(flat_quickstarts) <= 13


def test_the_90_percent_interval_covers_the_truth_in_at_least_80_of_100_studies(flat_quickstarts):
    assert covered(flat_quickstarts) >= 80


def test_a_steady_machine_without_difference_says_same():
    study = quick_study(min_effect=0.05)

    assert claims(verdicts([(study, Fake(flat, Noise(1, 0.005)))])) == 0
    assert verdicts([(study, Fake(flat, Noise(1, 0.005)))])[0][0].call == "same"


def test_a_drift_twice_the_noise_makes_no_false_claims():
    found = verdicts((quick_study(seed=seed), Fake(flat, Noise(seed, kappa=2.0))) for seed in range(50))

    assert claims(found) <= 9


@pytest.mark.slow
def test_flat_and_default_best_studies_of_100_windows_are_claimed_in_no_more_than_13_of_100():
    found = verdicts(
        (fake_study(seed=seed), Fake(surface(family, seed), Noise(50 + seed)))
        for family in ("flat", "default_opt")
        for seed in range(50)
    )

    assert claims(found) <= 13


@pytest.mark.slow
def test_a_plan_of_100_windows_misses_and_harms_no_more_than_was_measured():
    """Measured by the bench: 26 % missed (here up to three standard errors of 80 studies more), harm under 1 %."""
    families = ("single", "additive", "interaction", "tradeoff")
    found = verdicts(
        (fake_study(seed=seed), Fake(surface(family, seed), Noise(7 * seed)))
        for family in families
        for seed in range(20)
    )
    missed = 1 - sum(verdict.call == "better" and truth > 0 for verdict, truth in found) / 80
    harmed = sum(verdict.call == "better" and truth < -0.01 for verdict, truth in found)

    assert missed <= 0.26 + 3 * math.sqrt(0.26 * 0.74 / 80)
    assert harmed == 0


@pytest.mark.slow
def test_intervals_of_40_window_studies_cover_the_truth_in_at_least_80_of_100():
    found = verdicts(
        (fake_study(seed=seed, budget=Budget(40, None)), Fake(surface("additive", seed), Noise(seed)))
        for seed in range(100)
    )

    assert covered(found) >= 80
