"""What a run makes of the host's calibration: engine, ceiling, floor. The measurement itself is tested with the engines."""

import time
from dataclasses import replace

import pytest
from fakes import fake_study

from harness import calibration
from harness.calibration import Calibration, EngineCalibration, highest, settled
from harness.errors import MachineError
from harness.study.model import Load, WebSocket
from harness.window.jitter import Jitter
from harness.window.measurement import HostFacts

FLOOR = {"p50": 0.2, "p90": 0.3, "p95": 0.4, "p99": 1.1, "p999": 3.0}


def known(**ceilings):
    engines = {
        name: EngineCalibration(name, 300.0, 64, FLOOR, 0.1, 0.5, 0.08, ceiling) for name, ceiling in ceilings.items()
    }
    return Calibration(time.time(), "machine", "0", Jitter(0.05, 0.2, 1.0), engines)


def study(rate=300.0, engine="http", **more):
    load = replace(fake_study().load, rate=rate, engine=engine, **more)
    return fake_study(load=load)


@pytest.mark.parametrize(("rate", "engine"), [(3000.0, "http"), (3500.0, "native")])
def test_auto_takes_the_native_engine_above_what_http_holds_here_and_says_so(rate, engine):
    made = settled(study(rate, "auto"), known(http=3400.0, native=40_000.0))

    assert made.study.load.engine == engine
    assert any(f"engine: {engine}" in word and "calibrated" in word for word in made.words)


def test_a_broadcast_that_brings_in_more_than_the_engine_holds_is_warned_of_and_not_refused():
    talk = study(100.0, "websocket", websocket=WebSocket("/chat", "broadcast"))

    for host in (None, known(websocket=4000.0)):
        words = settled(talk, host).words
        assert any("messages received a second are more than" in word for word in words)


def test_a_websocket_load_quotes_the_floor_of_its_own_engine_and_is_held_to_its_ceiling():
    host = known(http=30_000.0, websocket=4000.0)
    made = settled(study(300.0, "websocket", websocket=WebSocket("/chat")), host)

    assert made.study.floor_ms == {**FLOOR, "lateness": 0.1}
    assert len(made.words) == 1
    with pytest.raises(MachineError, match="the websocket engine holds 4,000/s"):
        settled(study(5000.0, "websocket", websocket=WebSocket("/chat")), host)


def test_without_a_calibration_auto_goes_by_the_usual_ceilings_and_says_so():
    made = settled(study(5000.0, "auto"), None)

    assert made.study.load.engine == "native"
    assert "this host is not calibrated" in made.words[0]


def test_a_closed_load_as_fast_as_it_can_is_the_native_engines():
    closed = fake_study(load=Load("closed", None, None, 8, 2.0, fake_study().load.requests, engine="auto"))

    assert settled(closed, None).study.load.engine == "native"


def test_a_rate_above_the_ceiling_is_refused_with_what_would_do():
    with pytest.raises(MachineError, match=r"offers up to 5,000 requests/s.*http engine holds 3,400/s.*engine: native"):
        settled(study(5000.0), known(http=3400.0, native=40_000.0))


def test_the_peak_of_a_burst_counts_not_its_mean():
    from harness.study.model import Piece

    with pytest.raises(MachineError, match="offers up to 9,000"):
        settled(study(1000.0, arrivals="bursts", pieces=(Piece(1, 9000, 9000), Piece(8, 0, 0))), known(http=3400.0))


def test_a_rate_above_every_ceiling_is_not_sent_to_another_engine():
    with pytest.raises(MachineError) as refused:
        settled(study(50_000.0), known(http=3400.0, native=40_000.0))

    assert "engine: native" not in str(refused.value)


def test_an_uncalibrated_host_is_warned_and_not_refused():
    made = settled(study(5000.0), None)

    assert "more than the http engine usually holds" in made.words[0]


def test_the_floor_comes_into_the_study_and_is_quoted():
    made = settled(study(), known(http=3400.0))

    assert made.study.floor_ms == {**FLOOR, "lateness": 0.1}
    assert "p50 0.20 ms, p95 0.40 ms, p99 1.10 ms at 300/s" in made.words[0]
    assert "doctor --calibrate --study FILE" not in made.words[0]


def test_a_floor_measured_at_another_rate_by_far_says_so():
    made = settled(study(2000.0), known(http=3400.0))

    assert "This study offers 2,000/s: `harness doctor --calibrate --study FILE` measures its own" in made.words[0]


def disturbed(**ceilings):
    found = known(**ceilings)
    return replace(found, engines={name: replace(one, disturbed=True) for name, one in found.engines.items()})


def test_a_ceiling_that_others_may_have_lowered_warns_and_refuses_nothing():
    made = settled(study(5000.0), disturbed(http=500.0, native=40_000.0))

    assert "holds 500/s on this host" in made.words[0]
    assert "not refused" in made.words[0]


def test_a_floor_that_others_may_have_raised_is_told_and_not_used():
    made = settled(study(), disturbed(http=3400.0))

    assert made.study.floor_ms == {}
    assert "so it is not used" in made.words[0]


def test_a_window_of_which_the_engines_cpu_time_is_not_known_does_not_hold():
    assert not seen(generator_cpu=None, foreign_cpu=0.0).held
    assert seen(generator_cpu=0.1, foreign_cpu=0.0).held


def seen(**facts):
    return calibration.Seen(HostFacts(engine="http", generator_cores=1, dispatched_share=1.0, **facts), FLOOR, None)


def test_lateness_is_no_ceiling_while_others_use_the_cores():
    late = {
        "lateness_p50_ms": 9.0,
        "lateness_p99_ms": 30.0,
        "late_share": 0.9,
        "lateness_limit_ms": 0.5,
        "generator_cpu": 0.2,
    }

    assert not seen(**late, foreign_cpu=0.0).held
    assert seen(**late, foreign_cpu=0.4).held
    assert seen(**late, foreign_cpu=0.4).disturbed
    assert not seen(**{**late, "generator_cpu": 0.95}, foreign_cpu=0.4).held


def test_an_old_calibration_says_so():
    old = replace(known(http=3400.0), at=time.time() - 40 * 86400)

    assert "it is old" in settled(study(), old).words[0]


@pytest.mark.parametrize(("limit", "found"), [(999, 875), (3400, 3250), (10_000, 10_000), (10**9, 128_000)])
def test_the_highest_rate_is_found_by_doubling_and_halving(limit, found):
    seen = highest(lambda rate: rate <= limit, 1000.0, 128_000.0, 3)

    assert found * 0.85 <= seen <= min(limit, 128_000)


def test_a_calibration_is_kept_for_this_machine_only(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert calibration.kept() is None

    mine = replace(known(http=3400.0), machine_id=calibration.machine_id())
    calibration.keep(mine)
    assert calibration.kept() == mine

    calibration.keep(replace(mine, machine_id="another"))
    assert calibration.kept() is None

    calibration.file().write_text("{")
    assert calibration.kept() is None
