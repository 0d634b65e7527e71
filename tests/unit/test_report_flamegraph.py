"""Stacks as a tree, and the tree as a picture; every name in it comes out of a service."""

import re
from xml.etree import ElementTree as ET

import pytest

from harness.report import flamegraph

STACKS = """\
worker;main;payments::pay::{{closure}};payments::fraud::compute 6
worker;main;payments::pay::{{closure}};serde_json::to_vec 1
worker;main;hyper::poll 3
"""
HOSTILE = 'worker;<script>alert("x")</script>;"><img src=x onerror=alert(1)> 5\nworker;other 1\n'
SVG = "{http://www.w3.org/2000/svg}"


def drawn(text):
    return str(flamegraph.svg(flamegraph.tree(text), "payments"))


def boxes(text):
    """Return {name: rectangle} of the picture."""
    return {
        box.find(f"{SVG}title").text.rpartition(": ")[0]: box.find(f"{SVG}rect")
        for box in ET.fromstring(drawn(text)).iter(f"{SVG}g")  # noqa: S314 - made by the line above
    }


def test_a_frame_counts_what_it_calls_and_its_own_is_what_stands_on_top():
    root = flamegraph.tree(STACKS)
    pay = root.calls["worker"].calls["..."].calls["payments::pay::{{closure}}"]

    assert (root.count, pay.count, pay.own) == (10, 7, 0)
    assert pay.calls["payments::fraud::compute"].own == 6


def test_a_function_is_as_wide_as_its_share_and_stands_on_its_caller():
    found = boxes(STACKS)
    pay, compute = found["payments::pay::{{closure}}"], found["payments::fraud::compute"]

    assert float(compute.get("width")) == pytest.approx(0.6 * flamegraph.WIDTH, abs=1)
    assert float(pay.get("y")) - float(compute.get("y")) == flamegraph.ROW
    assert float(pay.get("x")) <= float(compute.get("x"))


def test_the_services_own_functions_have_a_colour_of_their_own():
    found = boxes(STACKS)

    assert found["payments::fraud::compute"].get("fill") == found["payments::pay::{{closure}}"].get("fill")
    assert found["payments::fraud::compute"].get("fill") != found["hyper::poll"].get("fill")


def test_the_hottest_of_ones_own_are_told_by_share():
    first, second = flamegraph.hottest(STACKS, "payments")

    assert (first.name, first.on_stack, first.on_top) == ("payments::pay::{{closure}}", 0.7, 0.1)
    assert (second.name, second.on_stack, second.on_top) == ("payments::fraud::compute", 0.6, 0.6)


def test_a_function_that_calls_itself_counts_once_a_sample():
    (only,) = flamegraph.hottest("t;payments::a;payments::a 4\nt;other 4\n", "payments")

    assert only.on_stack == 0.5


def test_a_name_is_text_and_never_markup():
    text = drawn(HOSTILE)

    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert re.findall(r"\b(?:href|src|style|on\w+)=\"", text) == []


def test_what_xml_cannot_hold_does_not_reach_the_picture():
    ET.fromstring(drawn("t;a\x00b\x1b[31m\ufffe 3\n"))  # noqa: S314 - our own picture


def test_lines_that_are_no_stacks_are_left_out():
    assert flamegraph.tree("\nno count\n;; x\na;b -3\na;b 0\na;b 2\n").count == 2


def test_a_picture_of_very_many_and_very_deep_stacks_stays_small():
    many = "".join(f"t;{';'.join(f'f{i}_{n}' for n in range(150))}{'x' * 2000} {1 + i % 3}\n" for i in range(3000))

    assert len(drawn(many)) < 1_500_000


def test_of_a_stack_that_is_too_deep_the_inner_end_is_kept():
    root = flamegraph.tree(f"t;{';'.join(f'f{n}' for n in range(500))} 1\n")
    names = []
    while root.calls:
        (root,) = root.calls.values()
        names.append(root.name)

    assert (names[0], names[1], names[-1]) == ("t", "...", "f499")
    assert len(names) <= flamegraph.MOST_DEEP


def test_what_all_stacks_of_a_thread_share_and_the_standard_library_between_are_left_out():
    root = flamegraph.tree("t;start;run;core::poll;a;std::sleep 2\nt;start;run;core::poll;b 1\nother;start;c 1\n")

    assert set(root.calls["t"].calls["..."].calls) == {"a", "b"}
    assert set(root.calls["t"].calls["..."].calls["a"].calls) == {"std::sleep"}
    assert set(root.calls["other"].calls["..."].calls) == {"c"}


def test_a_single_stack_keeps_what_is_innermost():
    assert set(flamegraph.tree("t;start;a 1\n").calls["t"].calls["..."].calls) == {"a"}
    assert set(flamegraph.tree("t 1\n").calls) == {"t"}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("payments::pay", True),
        ("<payments::Check as core::ops::Fn>::call", True),
        ("paymentsx::pay", False),
        ("core::ptr::drop_in_place<payments::Check>", False),
    ],
)
def test_only_a_function_of_the_crate_is_ones_own(name, own):
    assert flamegraph.is_own(name, "payments") is own


def test_a_crate_with_a_hyphen_is_known_by_its_name_in_rust():
    assert flamegraph.is_own("my_service::run", "my-service")
