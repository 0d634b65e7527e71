"""A service that carries 250 requests a second, under steps from 100 to 400 a second, for real."""

from contextlib import closing
from dataclasses import replace

import pytest
import served

from harness.load.generator import LocustGenerator
from harness.study.model import Keep, Objective, Piece

pytestmark = pytest.mark.load

STEPS = (Piece(0.5, 100.0, 100.0), *(Piece(1.5, rate, rate) for rate in (100.0, 200.0, 300.0, 400.0)))


def test_the_capacity_of_a_service_that_carries_250_a_second_lies_between_its_steps(tmp_path):
    made = served.study(rate=100.0, measure_s=6.0, arrivals="steps", pieces=STEPS)
    made = replace(made, objective=Objective("maximize", "capacity", keep=Keep("p90", 50.0)))
    with closing(LocustGenerator(served.CORES.generator, tmp_path / "log")) as generator:
        seen = served.measured(generator, served.Backend("one_at_a_time"), made)

    assert 200 < seen.figures.capacity < 300
    assert seen.host.server_connections <= seen.host.expected_connections
    assert not [reason for reason in seen.reasons if "connections" in reason]
