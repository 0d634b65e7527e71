"""Writes docs/gates.md, the gates and their limits, from the tables: `python -m harness.window.documented`."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

from harness.window.gates import GATES, LIMITS

FILE = Path(__file__).resolve().parents[2] / "docs" / "gates.md"
HEAD = """\
# What makes a window DEGRADED or INVALID

Every window goes through every gate before anyone looks at its score. Gates judge the load generator and the host, never the
target: a slow, overloaded, dropping or crashing target is what the harness exists to find. A DEGRADED window has a usable
figure and says what was not ideal; an INVALID one has none, because its disturbance could change a conclusion, and is run again
after a wait for a quiet host. Each gate is a pure function of the window's facts, and `tests/system/test_gates.py` fires each by
a real cause (a quota, a busy neighbour, a lockstep schedule, lost samples ...), but `steal`, which no test can cause.

This page is made from the tables in `harness/window/gates.py` by `make schema`.
"""


def text() -> str:
    """Return the page as it should be."""
    gates = [f"| {name} | {_first_paragraph(name)} |" for name in GATES]
    limits = [
        f"| {one.name} | {getattr(LIMITS, one.name):g} {one.metadata['unit']} | {one.metadata['source']} |"
        for one in fields(LIMITS)
    ]
    table = ["| gate | holds when |", "| --- | --- |", *gates]
    values = ["| limit | value | where it comes from |", "| --- | --- | --- |", *limits]
    return "\n".join([HEAD, "## Gates\n", *table, "", "## Limits\n", *values, ""])


def _first_paragraph(name: str) -> str:
    return " ".join((inspect.getdoc(GATES[name]) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
