"""What is run in which order: blocks, arrivals, the freeze, the pairs, what the sampler is told."""

from dataclasses import replace

import pytest
from fakes import (
    ERRORS,
    THROUGHPUT,
    Fake,
    Noise,
    fake_study,
    flat,
    quick,
    quick_study,
    run_study,
    surface,
)

from harness.judge.verdict import Verdict
from harness.search import joint, plan, race, standing
from harness.study.model import Budget, Knob
from harness.variant import Step, baseline, of


def windows(steps, phase):
    return [step for step in steps if isinstance(step, Step) and step.phase == phase]


def kinds(steps):
    return [step.phase if isinstance(step, Step) else step.kind for step in steps]


@pytest.fixture(scope="module")
def hundred():
    study = fake_study(seed=5)
    return study, *run_study(study, Fake(surface("additive", 5), Noise(5)))


def test_the_phases_follow_each_other_with_plan_first_and_verdict_last():
    steps, _ = run_study(quick_study(), Fake(quick))
    found = kinds(steps)

    expected = [
        "plan",
        *["calibrate"] * 4,
        *["screen"] * 8,
        *["search"] * 4,
        "freeze",
        *["confirm"] * 12,
        "look",
        "verdict",
    ]
    assert expected == found


def test_the_winner_is_frozen_before_the_first_pair(hundred):
    _, steps, _ = hundred

    assert kinds(steps).index("freeze") < kinds(steps).index("confirm")


def test_the_freeze_holds_every_flip_that_the_pairs_use(hundred):
    _, steps, history = hundred
    flips = history.decision("freeze")["flips"]
    first = [step.role == "candidate" for step in windows(steps, "confirm") if step.position == 0]

    assert first == flips[: len(first)]


def test_the_freeze_names_images_pairs_looks_and_their_levels(hundred):
    _, _, history = hundred
    frozen = history.decision("freeze")

    assert (frozen["pairs"], frozen["looks"], frozen["alphas"]) == (20, [10, 20], [0.01, 0.04])
    assert frozen["images"]["winner"] == f"image-{frozen['winner_id']}"


def test_both_halves_of_a_pair_are_adjacent_and_share_their_arrivals(hundred):
    _, steps, _ = hundred
    halves = windows(steps, "confirm")

    assert all(
        (a.block, a.schedule_seed, {a.role, b.role}) == (b.block, b.schedule_seed, {"baseline", "candidate"})
        for a, b in zip(halves[::2], halves[1::2], strict=True)
    )


def test_every_pair_and_race_block_has_arrivals_of_its_own(hundred):
    _, steps, _ = hundred
    blocks = {(step.phase, step.block, step.schedule_seed) for step in steps if isinstance(step, Step)}
    later = [entry for entry in blocks if entry[0] in {"race", "confirm"}]

    assert len({seed for _, _, seed in later}) == len(later)


def test_calibration_first_screen_block_and_search_meet_the_same_arrivals():
    steps, _ = run_study(quick_study(), Fake(quick))
    seeds = {(step.phase, step.block): step.schedule_seed for step in steps if isinstance(step, Step)}

    assert seeds["calibrate", 0] == seeds["screen", 0] == seeds["search", 0] != seeds["screen", 1]


def test_each_screen_block_holds_every_level_and_the_baseline_once():
    steps, _ = run_study(quick_study(), Fake(quick))
    blocks = [{s.variant.id for s in windows(steps, "screen") if s.block == block} for block in range(2)]

    assert blocks[0] == blocks[1]
    assert len(blocks[0]) == 4


@pytest.mark.slow
def test_the_order_is_random_and_the_same_for_the_same_seed():
    def order(seed):
        steps, _ = run_study(fake_study(seed=seed), Fake(flat))
        return [step.variant.id for step in windows(steps, "screen")]

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(5)}) == 5


def test_coins_are_fair_and_not_balanced():
    def first_flips(seed):
        _, history = run_study(quick_study(seed=seed), Fake(flat))
        return sum(history.decision("freeze")["flips"][:6])

    heads = [first_flips(seed) for seed in range(60)]

    assert sum(heads) / 360 == pytest.approx(0.5, abs=0.08)
    assert len(set(heads)) > 3


def test_the_search_starts_with_the_best_one_off_and_the_two_best_together():
    study = quick_study()
    steps, _ = run_study(study, Fake(quick))
    first, second = windows(steps, "search")[:2]

    assert first.variant == of(study, {"fraud_check": "spawn_blocking"})
    assert second.variant == of(study, {"fraud_check": "spawn_blocking", "worker_threads": 8})


def test_every_proposal_names_every_knob(hundred):
    study, steps, _ = hundred
    proposed = [step.proposed for step in windows(steps, "search") if step.proposed]

    assert {tuple(sorted(one)) for one in proposed} == {tuple(sorted(study.knob_names))}


def test_one_search_window_in_twelve_is_a_baseline(hundred):
    study, steps, _ = hundred
    found = [step.position for step in windows(steps, "search") if step.variant == baseline(study)]

    assert {11, 23} <= set(found)


def test_a_proposal_that_makes_the_baseline_is_a_baseline_window():
    workers = Knob("worker_threads", "runtime", ("unset", 4, 8, 16), ordered=True, baseline="unset")
    study = fake_study(knobs=(workers,), budget=Budget(60, None), guards=())
    steps, _ = run_study(study, Fake(flat))
    roles = {(step.variant == baseline(study), step.role) for step in steps if isinstance(step, Step)}

    assert roles == {(True, "baseline"), (False, "candidate")}


def test_the_sampler_is_told_the_baseline_once_and_every_candidate_window(hundred):
    study, _, history = hundred
    candidates = [r for r in history.windows if r.phase in {"screen", "search"} and r.role == "candidate"]

    assert len(joint.told(study, history)) == 1 + len(candidates)


def test_confirmation_and_race_windows_are_never_told(hundred):
    study, _, history = hundred
    before = history.model_copy(
        update={"windows": tuple(r for r in history.windows if r.phase not in {"race", "confirm"})}
    )

    assert joint.told(study, history) == joint.told(study, before)


def test_a_guard_reaches_the_sampler_as_a_constraint():
    study = quick_study(guards=(THROUGHPUT,))
    _, history = run_study(
        study, Fake(lambda v: (0.0, -1.0 if v["fraud_check"] == "spawn_blocking" else 0.0), Noise(sigma=0.01))
    )
    infeasible = [row.params["fraud_check"] for row in joint.told(study, history) if max(row.constraints.values()) > 0]

    assert set(infeasible) == {1}


def test_the_race_runs_its_best_against_the_baseline_and_halves(hundred):
    _, steps, _ = hundred
    sizes = [sum(step.block == block for step in windows(steps, "race")) for block in range(3)]

    assert sizes == [5, 3, 3]


def test_a_first_look_that_passes_ends_the_confirmation():
    study = fake_study(guards=())
    steps, history = run_study(
        study, Fake(lambda v: (-2.0 if v.get("worker_threads") == 8 else 0.0, 0.0), Noise(sigma=0.02))
    )

    assert (len(windows(steps, "confirm")), Verdict.from_json(history.decision("verdict")).call) == (20, "better")


def test_a_first_look_that_does_not_pass_is_followed_by_all_pairs():
    steps, _ = run_study(fake_study(), Fake(flat, Noise(3)))

    assert (len(windows(steps, "confirm")), kinds(steps).count("look")) == (40, 2)


def test_where_every_variant_is_worse_the_best_other_one_is_confirmed():
    _, history = run_study(quick_study(), Fake(lambda v: (0.0 if v == {"fraud_check": "inline"} else 0.5, 0.0)))

    assert history.decision("freeze")["why"].startswith("none scored better than the baseline")
    assert history.decision("verdict")["call"] == "worse"


def test_renaming_what_the_programs_are_made_of_changes_nothing_but_ids():
    def told(ground):
        study = quick_study(ground=ground)
        steps, history = run_study(study, Fake(quick, Noise(4)))
        runs = [(s.phase, s.role, s.variant.values, s.schedule_seed) for s in steps if isinstance(s, Step)]
        return runs, replace(Verdict.from_json(history.decision("verdict")), winner_id="")

    assert told("ground") == told("another ground")


def test_the_winner_is_the_best_of_the_last_race_block_and_the_pairs_do_not_change_that(hundred):
    study, _, history = hundred
    made = plan.from_json(history.decision("plan"))

    assert race.final_ranking(study, made, history)[0].variant.id == history.decision("freeze")["winner_id"]


def test_windows_that_the_race_has_no_runners_for_become_pairs():
    works = ({"fraud_check": "inline"}, {"fraud_check": "inline", "worker_threads": 2})
    study = fake_study(budget=Budget(80, None), guards=(ERRORS,))
    _, history = run_study(study, Fake(flat, Noise(1), errors=lambda values: 0.0 if values in works else 0.5))

    assert (history.decision("plan")["pairs"], history.decision("plan")["race"]) == (16, 7)
    assert (history.of_phase("race"), history.decision("freeze")["pairs"]) == ((), 19)


@pytest.mark.slow
def test_who_stays_in_the_race_is_decided_by_its_own_blocks_too():
    changed = []
    for seed in range(6):
        study = fake_study(seed=seed, guards=())
        _, history = run_study(study, Fake(flat, Noise(seed, 0.3)))
        runs = history.of_phase("race")
        before = [r for r in standing.explored(history) if r.phase != "race"]
        first, second = ({r.variant for r in runs if r.block == b and r.role == "candidate"} for b in (0, 1))
        after = [s.variant.id for s in standing.ranking(study, [*before, *[r for r in runs if r.block == 0]])]

        assert second == set([name for name in after if name in first][:2])
        changed.append(second != {s.variant.id for s in standing.ranking(study, before)[:2]})

    assert any(changed)
