import canned_run
import pytest

from harness.report import read, timing


def test_the_time_under_load_is_warm_up_measure_and_drain(tmp_path):
    account = timing.timing(read.run(canned_run.write(tmp_path)))

    assert pytest.approx((28 * 7.0, 28 * 8.1)) == (account.measuring_s, account.under_load_s)


def test_overhead_is_told_for_variants_seen_before_and_new_ones_apart(tmp_path):
    account = timing.timing(read.run(canned_run.write(tmp_path)))

    assert pytest.approx((0.36, 1.26)) == (account.overhead_seen_s, account.overhead_new_s)


def test_the_stages_add_up_to_the_wall_time(tmp_path):
    run = read.run(canned_run.write(tmp_path))

    assert timing.timing(run).wall_s == pytest.approx(sum(stage.seconds for stage in timing.stages(run)))
    assert pytest.approx(1.0) == sum(stage.share for stage in timing.stages(run))


def test_a_night_between_two_windows_is_a_pause_and_no_wall_time(tmp_path):
    through = timing.timing(read.run(canned_run.write(tmp_path / "through")))

    def later(n, made):
        return made if n < 10 else canned_run.shifted(made, 3600.0)

    resumed = timing.timing(read.run(canned_run.write(tmp_path / "resumed", spoil=later)))

    assert pytest.approx(through.wall_s, abs=1) == resumed.wall_s
    assert resumed.paused_s > 3600


def test_a_run_without_windows_has_an_account_too(tmp_path):
    account = timing.timing(read.run(canned_run.write(tmp_path, spoil=lambda *_: None, finished=False)))

    assert (account.measuring_s, account.overhead_per_window_s, account.overhead_seen_s) == (0, None, None)
