"""Writes docs/gates.md, the gates and their limits, from the tables: `python -m harness.window.documented`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from harness.window.gates import GATES, LIMITS

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs" / "gates.md"
TESTS = ROOT / "tests" / "system" / "test_gates.py"
HEAD = """\
# What makes a window DEGRADED or INVALID

Every window goes through every gate before anyone looks at its score. Gates judge the load generator and the host, never the
target: a slow, overloaded, dropping or crashing target is what the harness exists to find. A DEGRADED window has a usable
figure and says what was not ideal; an INVALID one has none, because its disturbance could change a conclusion, and is run again
after a wait for a quiet host. Each gate is a pure function of the window's facts, and a test in `tests/system/test_gates.py`
fires it by a real cause, but `steal`, which no test can cause.

This page is made from `harness/window/gates.py` and the marks of its tests by `make schema`.
"""


def text() -> str:
    """Return the page as it should be."""
    tests = fired_by()
    gates = [
        f"| {name} | {_first_paragraph(name)} | {'; '.join(tests.get(name, ['no test can cause it']))} |"
        for name in GATES
    ]
    limits = [
        f"| {one.name} | {getattr(LIMITS, one.name):g} {one.metadata['unit']} | {one.metadata['source']} |"
        for one in fields(LIMITS)
    ]
    table = ["| gate | holds when | fired for real by |", "| --- | --- | --- |", *gates]
    values = ["| limit | value | where it comes from |", "| --- | --- | --- |", *limits]
    return "\n".join([HEAD, "## Gates\n", *table, "", "## Limits\n", *values, ""])


def fired_by() -> Mapping[str, list[str]]:
    """Return gate -> names of the tests that fire it by a real cause, as sentences."""
    found: dict[str, list[str]] = {}
    tests = [node for node in ast.parse(TESTS.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
    for node in tests:
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fires":
                words = node.name.removeprefix("test_").replace("_", " ")
                for gate in mark.args:
                    found.setdefault(str(ast.literal_eval(gate)), []).append(words)
    return found


def _first_paragraph(name: str) -> str:
    return " ".join((inspect.getdoc(GATES[name]) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
