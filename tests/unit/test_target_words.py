"""Ends and logs of a service in words."""

import pytest

from harness.target import words


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "ended with exit code 0"),
        (101, "ended with exit code 101"),
        (139, "killed by SIGSEGV"),
        (128 + 63, "killed by signal 63"),
        (None, "ended, and its exit code is not known"),
    ],
)
def test_an_exit_code_is_told_in_words(code, said):
    assert words.ending(code).words == said


def test_a_kill_for_memory_is_told_as_such_and_not_as_a_signal():
    found = words.ending(137, oom_killed=True)

    assert (found.code, found.oom_killed) == (137, True)
    assert "memory limit" in found.words


def test_a_tail_has_the_last_lines_only():
    assert words.tail(b"a\nb\nc\n", 2) == "b\nc"
    assert words.tail(b"a\nb\n", 0) == ""


def test_a_tail_of_one_endless_line_is_bounded_to_16_kib():
    assert len(words.tail(b"x" * 100_000, 5)) == 16 * 1024


def test_bytes_that_are_no_text_are_replaced():
    assert words.tail(b"\xff ok", 1) == "\ufffd ok"
