import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import formats


@pytest.mark.parametrize(
    ("width", "digits"), [(None, 0), (0.0, 0), (math.inf, 0), (30.0, 0), (2.5, 0), (1.2, 1), (0.3, 1), (0.08, 2)]
)
def test_an_interval_supports_the_digits_that_half_of_it_reaches(width, digits):
    assert digits == formats.decimals(width)


def test_a_lower_bound_is_rounded_down():
    assert formats.at_least(0.7899, 0.05) == "78 %"


def test_an_upper_bound_is_rounded_up():
    assert formats.at_most(0.0511, 0.09) == "6 %"


def test_a_small_positive_bound_does_not_read_as_nothing():
    assert formats.at_least(0.0004, 0.05) == "0.04 %"


@given(st.floats(0, 1), st.floats(0.001, 1))
def test_a_printed_bound_is_never_more_than_what_was_shown(share, width):
    printed = float(formats.at_least(share, width).removesuffix(" %"))

    assert printed <= 100 * share + 0.005


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.824, -0.771, "-83 to -77 %"),
        (-0.021, 0.034, "-3 to +4 %"),
        (-0.07, 0.0, "-7 to 0 %"),
        (None, -0.1, "no bound below to -10 %"),
        (0.1, None, "+10 % to no bound above"),
        (None, None, "unbounded"),
    ],
)
def test_an_interval_is_rounded_outwards_and_an_open_end_says_so(low, high, words):
    assert words.replace("-", formats.MINUS) == formats.change_range(low, high)


@pytest.mark.parametrize(
    ("metric", "value", "width", "words"),
    [
        ("p95", 12.437, 1.2, "12.4 ms"),
        ("p95", 0.4321, None, "0.432 ms"),
        ("peak_rss", 6.5 * 2**20, 2**20, "6.5 MiB"),
        ("cpu_per_request", 261.3, 9.0, "261 µs"),
        ("threads", 9, 5.0, "9"),
        ("answered", 1.0, None, "100 %"),
        ("throughput", 12345.6, None, "12,346 requests/s"),
        ("p95", None, None, formats.NOTHING),
    ],
)
def test_a_quantity_has_its_unit_and_the_digits_of_its_range(metric, value, width, words):
    assert words == formats.quantity(metric, value, width)


def test_no_minus_stands_before_zero():
    assert formats.percent(-0.0001, 0.05) == "0 %"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.421, "0.42 s"), (61, "61 s"), (312, "5 min 12 s"), (7500, "2 h 05 min"), (None, formats.NOTHING)],
)
def test_a_time_reads_in_the_unit_of_its_size(seconds, words):
    assert words == formats.seconds(seconds)


def test_window_numbers_are_listed_as_stretches_and_bounded():
    assert formats.numbered([3, 5, 6, 7, 9, 11], most=3) == "3, 5 to 7, 9 …"


def test_a_foreign_text_keeps_its_end():
    assert formats.bounded("abcde", 3) == "… cde"
