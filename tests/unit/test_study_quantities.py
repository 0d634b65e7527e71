"""Quantities: text with a unit in, plain numbers out, and one text for each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.study import quantities

PARSERS = (quantities.duration_s, quantities.size_bytes, quantities.share)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2.0), ("250ms", 0.25), ("1m", 60.0), ("1.5s", 1.5), ("1.5m", 90.0), ("30 min", 1800.0), ("10us", 1e-5)],
)
def test_durations_are_read_with_their_unit(text, seconds):
    assert quantities.duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 2**29), ("2GiB", 2**31), ("64 KiB", 2**16), ("1.5kB", 1500), ("3MB", 3_000_000), ("9B", 9)],
)
def test_sizes_are_read_with_their_unit(text, size):
    assert quantities.size_bytes(text) == size


def test_a_share_is_a_fraction_of_one():
    assert [quantities.share(text) for text in ("5%", "0.5 %", "98%")] == [0.05, 0.005, 0.98]


@pytest.mark.parametrize("wrong", [2, "2", "-1s", "", "1:30", "1e3s", "s", "9" * 400 + "s", None, True, [], {}])
@pytest.mark.parametrize("parse", PARSERS)
def test_a_quantity_without_its_unit_is_refused_with_an_example(parse, wrong):
    with pytest.raises(ValueError, match=r"^write a (duration|size|share) with its (unit|sign), such as \""):
        parse(wrong)


def test_a_wrong_unit_is_named_with_those_that_there_are():
    with pytest.raises(ValueError, match="'parsecs' is none of the units us, ms, s, m, min, h"):
        quantities.duration_s("2 parsecs")
    with pytest.raises(ValueError, match="'mib' is none of the units B, KiB, MiB, GiB, kB, MB, GB"):
        quantities.size_bytes("2mib")


@pytest.mark.parametrize(
    ("written", "text"), [("1000ms", "1s"), ("1.0s", "1s"), ("1m", "60s"), ("1.5s", "1500ms"), ("0s", "0s")]
)
def test_one_duration_has_one_text(written, text):
    assert quantities.duration_text(quantities.duration_s(written)) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_the_text_of_a_quantity_reads_back(number):
    assert quantities.size_bytes(quantities.size_text(number)) == number
    assert round(quantities.duration_s(quantities.duration_text(number / 1e6)) * 1e6) == number


@pytest.mark.parametrize("parse", PARSERS)
@given(written=st.text() | st.integers() | st.floats() | st.none() | st.booleans())
def test_whatever_is_written_is_read_or_refused_in_words(parse, written):
    try:
        parse(written)
    except ValueError as error:
        assert str(error).startswith("write ")  # noqa: PT017 - most writings are refused, a few are read
