"""Constraints between knobs: what they mean, what does not bind, and at which character they go wrong."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import StudyError
from harness.study import constraints, load
from harness.study.constraints import MOST_DEPTH, Wrong

KINDS = {
    "workers": "number",
    "worker_threads": "number",
    "max_blocking_threads": "number",
    "thread_keep_alive": "number",
    "global_queue_interval": "number",
    "flavor": "text",
    "disable_lifo_slot": "truth",
    "check": "text",
}
CT = {"flavor": "current_thread"}
STUDY = """\
study: demo
target: {template: payments, cpus: 2, set: {check_ms: 1.5}}
load: {rate: 300, requests: [{name: pay, method: POST, path: /payments, json: {amount: 1}}]}
objective: {minimize: p95}
knobs:
  worker_threads: [2, 4, 8]
  max_blocking_threads: [4, 16, unset]
constraints:
  - TEXT
"""


def holds(text, values=None, cpus=4):
    made = constraints.parse(text)
    constraints.check(made, KINDS)
    return made.holds(values or {}, cpus)


@pytest.mark.parametrize(
    ("text", "values", "permitted"),
    [
        ("worker_threads * 2 <= max_blocking_threads", {"worker_threads": 8, "max_blocking_threads": 16}, True),
        ("worker_threads * 2 <= max_blocking_threads", {"worker_threads": 9, "max_blocking_threads": 16}, False),
        ("1 + 2 * 3 == 7 and (1 + 2) * 3 == 9", {}, True),
        ("8 - 4 - 2 == 2 and 8 / 4 / 2 == 1", {}, True),
        ("-worker_threads + 5 > - - 0.5", {"worker_threads": 4}, True),
        ("not worker_threads > 2 or flavor == 'current_thread'", {"worker_threads": 3}, False),
        ("check == 'inline' or worker_threads < 3", {"check": "pool", "worker_threads": 2}, True),
        ('check != "inline"', {"check": "inline"}, False),
        ("disable_lifo_slot", {"disable_lifo_slot": True}, True),
        ("disable_lifo_slot == true", {}, False),
        ("true or false and false", {}, True),
        ("thread_keep_alive <= 1.5s", {"thread_keep_alive": "1500ms"}, True),
        ("thread_keep_alive < 1500ms", {"thread_keep_alive": "2s"}, False),
        ("2 KiB == 2048".replace(" K", "K"), {}, True),
    ],
)
def test_a_constraint_means_what_it_says(text, values, permitted):
    assert holds(text, values) is permitted


@pytest.mark.parametrize(
    ("text", "values", "permitted"),
    [
        ("max_blocking_threads == 512 and thread_keep_alive == 10s", {}, True),
        ("worker_threads == 4", {}, True),
        ("worker_threads == 5", {}, False),
        ("worker_threads == 5", CT, True),  # it means nothing under this flavor, so it does not bind
        ("global_queue_interval == 7", {}, True),  # self-tuned: no constant
        ("global_queue_interval == 7", CT, False),  # 31
        ("global_queue_interval == 7 and worker_threads == 5", {}, False),
        ("global_queue_interval == 7 or worker_threads == 5", {}, True),
        ("not global_queue_interval == 7", {}, True),
        ("1 / (worker_threads - 4) > 1", {}, True),  # a division by zero says nothing
    ],
)
def test_an_unset_knob_has_tokios_default_and_what_is_unknown_does_not_bind(text, values, permitted):
    assert holds(text, values) is permitted


def test_unset_itself_can_be_asked_for():
    assert holds("worker_threads == unset or max_blocking_threads >= 16", {})
    assert holds("unset != worker_threads", {"worker_threads": 2})
    assert not holds("worker_threads != unset", {})


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("worker_threads * 2 <= max_bloking_threads", 23, "max_bloking_threads is neither a knob"),
        ("worker_threads ** 2 < 3", 17, "is missing before '*'"),
        ("(worker_threads < 3", 20, "the ( at character 1 is not closed"),
        ("worker_threads <", 17, "is missing before the end"),
        ("", 1, "is missing before the end"),
        ("1 < worker_threads < 3", 20, "join comparisons by `and`"),
        ("worker_threads 3", 16, "'3' does not belong here"),
        ("worker_threads + 1", 1, "says yes or no"),
        ("check < 'b'", 7, "takes numbers, not a text"),
        ("check == 3", 7, "compares a text with a number"),
        ("check == inline", 10, "A level that is text stands in quotes"),
        ("worker_threads and true", 16, "takes comparisons, not a number"),
        ("worker_threads + unset < 3", 18, "unset is no value"),
        ("worker_threads < unset", 16, "unset is no value"),
        ("check == unset", 1, "an option is never unset"),
        ("thread_keep_alive < 3 parsecs".replace(" p", "p"), 21, "no quantity"),
        ("__import__('os') == 0", 11, "'(' does not belong here"),
        ("os.system == 0", 3, "'.' has no meaning"),
        ("worker_threads; 1", 15, "';' has no meaning"),
        ("worker_threads < 'a", 18, "has no meaning"),
        ("é < 3", 1, "has no meaning"),
        ("(" * 25 + "1" + ")" * 25, MOST_DEPTH + 1, "nested deeper"),
        ("not " * 25 + "true", 4 * MOST_DEPTH + 1, "nested deeper"),
        ("-" * 290 + "1 < 2", MOST_DEPTH + 1, "nested deeper"),
        ("1 < 2" + " " * 400, 300, "at most 300 characters"),
    ],
)
def test_what_is_no_constraint_is_refused_at_its_character(text, at, words):
    with pytest.raises(Wrong) as refused:
        holds(text)

    assert str(refused.value).startswith(f"at character {at}: "), str(refused.value)
    assert words in str(refused.value)


@given(st.text(alphabet="()+-*/<>=! 'a19.s\"undtorfl_k", max_size=60))
def test_any_text_is_a_constraint_or_refused(text):
    try:
        holds(text)
    except Wrong:
        return


whole = st.integers(0, 9)


@given(whole, whole, whole, st.sampled_from("+-*"), st.sampled_from("+-*"), st.sampled_from(["<", "<=", "==", "!="]))
def test_numbers_come_to_what_arithmetic_says(a, b, c, first, second, sign):
    text = f"{a} {first} {b} {second} {c} {sign} 10"

    assert holds(text) is eval(text)  # noqa: S307 - our own digits, in the test only


def test_a_huge_product_is_a_number_like_any_other():
    assert holds(" * ".join(["999999999999999"] * 15) + f" > {math.pi:.5f}")


@pytest.fixture
def written(tmp_path):
    def write(text):
        file = tmp_path / "study.yaml"
        file.write_text(STUDY.replace("TEXT", text))
        return file

    return write


def test_a_study_carries_its_constraints(written):
    (rule,) = load(written("worker_threads * 2 <= max_blocking_threads")).constraints

    assert rule.text == "worker_threads * 2 <= max_blocking_threads"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("worker_threads * 2 <= max_blocking", ":9:5 constraints[0]: at character 23: max_blocking is neither"),
        ("event_interval < 3", "names no searched knob, so it decides nothing. Searched are: worker_threads, max"),
        ("worker_threads >= 3", "the baseline breaks it (worker_threads is 2): every effect"),
        ("worker_threads * 512 < max_blocking_threads", "max_blocking_threads is 512"),
        ("[worker_threads]", "constraints[0]: must be text, not a list"),
    ],
)
def test_a_constraint_that_cannot_be_used_is_a_fault_of_the_study(written, text, words):
    with pytest.raises(StudyError) as refused:
        load(written(text))

    assert words in str(refused.value)
