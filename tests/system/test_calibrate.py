"""`harness doctor --calibrate` for real, in short windows: every engine is measured, kept, and told again."""

import json

import pytest
from click.testing import CliRunner

from harness import calibration
from harness.cli import main
from harness.study.model import WindowTimes

pytestmark = [pytest.mark.load, pytest.mark.cargo]


@pytest.fixture
def short(tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "file", lambda: tmp_path / "calibration.json")
    monkeypatch.setattr(calibration, "_FLOOR_TIMES", WindowTimes(0.2, 1.0, 0.3))
    monkeypatch.setattr(calibration, "_CEILING_TIMES", WindowTimes(0.2, 0.5, 0.3))
    monkeypatch.setattr(calibration, "_MOST_RATE", 2000.0)
    monkeypatch.setattr(calibration, "_HALVINGS", 1)
    monkeypatch.setattr(calibration, "_QUIET_LIMIT_S", 0.0)


@pytest.mark.usefixtures("short")
def test_a_calibration_measures_every_engine_is_kept_and_told_again():
    done = CliRunner().invoke(main.cli, ["doctor", "--calibrate", "--json"], catch_exceptions=False)
    found = calibration.kept()

    assert done.exit_code == 0, done.output
    assert calibration.from_json(json.loads(done.stdout)) == found
    assert set(found.engines) == set(calibration.ENGINES)
    for one in found.engines.values():
        assert 0 < one.floor_ms["p50"] <= one.floor_ms["p95"] <= one.floor_ms["p99"] < 1000
        assert 0 < one.cpu < 1
    told = CliRunner().invoke(main.cli, ["doctor"], catch_exceptions=False)
    assert "calibrated: the engines hold http" in told.output


def test_a_study_alone_calibrates_nothing():
    done = CliRunner().invoke(main.cli, ["doctor", "--study", "studies/quickstart.yaml"])

    assert done.exit_code != 0
