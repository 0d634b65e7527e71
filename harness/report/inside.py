"""What the page of a deep diagnosis shows of the look inside: flame graph, task dump, the way to tokio-console.

Reads inside.json, stacks.txt and tasks.txt of the run folder; a folder without them is one of an ordinary diagnosis.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.diagnose.facts import Facts
from harness.ledger.folder import RunFolder
from harness.report import flamegraph, formats
from harness.report.flamegraph import Share

FLAMEGRAPH = "flamegraph.svg"
MOST_STACKS_BYTES = 16 * 2**20
MOST_TASKS_BYTES = 60_000
"""Letters of the task dump in the page; the whole of it is in tasks.txt."""

MOST_SVG_BYTES = 1_500_000


@dataclass(frozen=True)
class Shown:
    """What there is to show. `picture` and `tasks` are None where there was none, and `missing` says why.

    `samples` are looks that found the CPU at work, over `seconds`; `figures` are of the window of the diagnostic build.
    """

    missing: tuple[str, ...]
    samples: int
    seconds: float
    hottest: tuple[Share, ...]
    picture: Markup | None
    tasks: str | None
    is_cut: bool
    console: Mapping[str, str]
    validity: str | None
    figures: Mapping[str, Any] | None

    @property
    def words(self) -> tuple[str, ...]:
        """What was found, a sentence each, for the terminal."""
        return (*self._pictures(), *self.missing)

    def _pictures(self) -> list[str]:
        found = []
        if self.picture is not None:
            top = (
                f"; most often in {self.hottest[0].name} ({formats.percent(self.hottest[0].on_stack)})"
                if self.hottest
                else ""
            )
            found.append(f"{FLAMEGRAPH}: {self.samples} samples of CPU time in {self.seconds:.1f} s{top}")
        if self.tasks is not None:
            found.append(f"tasks.txt: {self.tasks.strip().partition(chr(10))[0][:200]}")
        if self.console:
            found.append(f"tokio-console: {self.console['start']} & {self.console['attach']}")
        return found


def shown(folder: RunFolder, package: str) -> Shown | None:
    """Return what the look inside gave, None where none was taken or its file cannot be read."""
    content = _content(folder.inside_json)
    if content is None:
        return None
    stacks = _text(folder.stacks_txt, MOST_STACKS_BYTES)
    tasks = _text(folder.tasks_txt, MOST_TASKS_BYTES + 1)
    root = flamegraph.tree(stacks or "")
    missing = tuple(str(words) for words in content.get("missing", ()))
    if stacks is not None and not root.count:
        missing = (*missing, "no flame graph: the CPU was at work in none of the looks, so the service hardly computes")
    picture = flamegraph.svg(root, package) if root.count else None
    return Shown(
        missing=missing,
        samples=root.count,
        seconds=float(content.get("stacks_s") or 0.0),
        hottest=flamegraph.hottest(stacks or "", package),
        picture=picture if picture is not None and len(picture) <= MOST_SVG_BYTES else None,
        tasks=None if tasks is None else tasks[:MOST_TASKS_BYTES],
        is_cut=tasks is not None and len(tasks) > MOST_TASKS_BYTES,
        console={str(name): str(line) for name, line in (content.get("console") or {}).items()},
        validity=content.get("validity"),
        figures=content.get("figures"),
    )


def told(found: Shown | None) -> dict[str, Any] | None:
    """Return the look as plain JSON for diagnosis.json, without picture and dump, which have files of their own."""
    if found is None:
        return None
    return {
        "words": list(found.words),
        "missing": list(found.missing),
        "samples": found.samples,
        "seconds": found.seconds,
        "hottest": [asdict(share) for share in found.hottest],
        "console": dict(found.console),
        "validity": found.validity,
    }


def beside(found: Shown, facts: Facts) -> list[tuple[str, float, float]]:
    """Return (percentile, in the window of the diagnostic build, median of those that count), in ms, as far as known."""
    rows = []
    for name in ("p50", "p95"):
        here = (found.figures or {}).get(f"{name}_ms")
        counted = [value for one in facts.windows if (value := getattr(one.figures, f"{name}_ms")) is not None]
        if here is not None and counted:
            rows.append((name, float(here), statistics.median(counted)))
    return rows


def _content(file: Path) -> Mapping[str, Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _text(file: Path, most_bytes: int) -> str | None:
    """Return the first `most_bytes` of a file as text, None where there is none."""
    try:
        with file.open("rb") as content:
            return content.read(most_bytes).decode(errors="replace")
    except OSError:
        return None
