"""The later confirmations of a run, as their own summaries tell them. Never changes what the run itself says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from harness.ledger import folder as folders
from harness.report.read import Run


@dataclass(frozen=True)
class Confirmation:
    """One later confirmation: which of the run it is, the variant, and what its own pairs said."""

    number: int
    run: str
    variant: str
    call: str
    headline: str


def confirmations(run: Run) -> tuple[Confirmation, ...]:
    """Return the finished confirmations of the run in their order; one that cannot be read is passed over."""
    summaries = (_summary(folder) for folder in folders.confirmations(run.folder))
    return tuple(_confirmation(summary) for summary in summaries if summary.get("confirms"))


def _confirmation(summary: dict[str, Any]) -> Confirmation:
    confirms = summary["confirms"]
    return Confirmation(
        number=int(confirms["number"]),
        run=str(summary["run"]),
        variant=str(confirms["variant"]),
        call=str(summary["verdict"]["call"]),
        headline=str(summary["headline"]),
    )


def _summary(folder: folders.RunFolder) -> dict[str, Any]:
    try:
        content = json.loads((folder.path / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
