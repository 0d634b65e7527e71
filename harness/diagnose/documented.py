"""Writes docs/diagnose.md, the rules and their limits, from the tables: `python -m harness.diagnose.documented`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.diagnose.limits import LIMITS
from harness.diagnose.rules import RULES

FILE = Path(__file__).resolve().parents[2] / "docs" / "diagnose.md"
HEAD = """\
# What `harness diagnose` looks at

```sh
harness diagnose studies/quickstart.yaml          # five baseline windows of the study's length
harness diagnose studies/quickstart.yaml --long   # one window of 30 minutes, for what climbs slowly
harness diagnose studies/quickstart.yaml --deep   # and one window of a diagnostic build, looked into
harness diagnose studies/quickstart.yaml --json   # the same for programs
```

Only usable windows of the baseline are looked at, and a rule is a pure function of their figures, host facts and series. What a
rule cannot look at, because a series is not there or a window is too short, stands under *not looked at*: it is never taken for
healthy. Findings are ordered by confidence, then by how much of the service they concern; cautions about the measuring itself
come last. The knobs that the findings make worth screening are printed as a `knobs:` block for the study.

`--deep` builds the target once more with its cargo feature `diagnostic`, in a cargo folder of its own, and runs one more
window of the baseline under the same load. That window is never scored and not in the ledger. During it the probe is asked for
the stacks of the CPU time (`stacks.txt`, drawn as `flamegraph.svg`; a timer of the process, so it needs no permission) and for
Tokio's own dump of its tasks (`tasks.txt`; Linux on x86, ARM64 or s390x). Both stand in the page, with the commands that start
the same program with the port of tokio-console open and attach the console. What cannot be had is said once, such as for an own
crate without that feature, and the rest works. How a crate gets the feature: `target_templates/README.md`.

This page is made from the tables in `harness/diagnose/` by `make schema`.
"""
BESIDE = """
`imbalance` needs `worker_<i>_busy_share`; `oversubscription` one of `throttled_s`, `nonvoluntary_switches` and the container's
own account of throttling; the last two look at the load and at what is missing.
"""


def text() -> str:
    """Return the page as it should be."""
    rules = (_row(name, _words(name), ", ".join(rule.needs) or "see below") for name, rule in RULES.items())
    limits = (_row(name, f"{one.value:g} {one.unit}", one.source) for name, one in LIMITS.items())
    return "\n".join(
        (
            HEAD,
            "## Rules\n",
            *_table(("rule", "looks for", "needs of the series"), rules),
            BESIDE,
            "## Limits\n",
            *_table(("limit", "value", "where it comes from"), limits),
            "",
        )
    )


def _words(name: str) -> str:
    return (RULES[name].look.__doc__ or "").strip()


def _table(head: tuple[str, ...], rows: Iterable[str]) -> list[str]:
    return [_row(*head), _row(*("---" for _ in head)), *rows]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
