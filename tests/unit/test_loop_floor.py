"""What lateness a window is held to: what this host does when left alone, never what a disturbed window did."""

from dataclasses import replace

from fakes import Fake, Noise, fake_study, flat, run_study

from harness import loop
from harness.ledger.record import History
from harness.window.measurement import Validity


def calibrated(*windows):
    """Return a ledger of calibration windows, each (median lateness in ms, validity)."""
    _, history = run_study(fake_study(), Fake(flat, Noise(1)))
    record = history.of_phase("calibrate")[0]
    return History(
        windows=tuple(
            record.model_copy(update={"n": n, "validity": validity, "host": replace(record.host, lateness_p50_ms=late)})
            for n, (late, validity) in enumerate(windows, 1)
        )
    )


def test_an_invalid_window_does_not_raise_the_limit_for_the_next():
    history = calibrated((0.1, Validity.VALID), (3.0, Validity.INVALID), (0.12, Validity.DEGRADED))

    assert loop.lateness_floor_ms(fake_study(), history) == 0.11


def test_before_the_first_usable_window_the_calibration_of_the_host_tells():
    history = calibrated((3.0, Validity.INVALID))

    assert loop.lateness_floor_ms(fake_study(floor_ms={"p50": 0.2, "lateness": 0.07}), history) == 0.07
    assert loop.lateness_floor_ms(fake_study(), history) is None
