"""What a rule says: a finding with its figures, its cause and what speaks against it; or why it could not look. Records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.study.model import Level

Confidence = Literal["high", "medium", "low"]
CONFIDENCES: tuple[Confidence, ...] = ("high", "medium", "low")
Kind = Literal["fault", "caution"]
"""A caution is about the measuring itself: the load or the metrics, not the service."""


@dataclass(frozen=True)
class Figure:
    """One figure of a symptom, in `unit`, and the limit that it was held against, None where it only explains."""

    name: str
    value: float
    unit: str
    limit: float | None = None


@dataclass(frozen=True)
class Proposal:
    """A knob that this finding makes worth screening, with levels ("unset" is Tokio's own) and the reason."""

    knob: str
    levels: tuple[Level, ...]
    why: str


@dataclass(frozen=True)
class Finding:
    """A symptom and what it means.

    `weight` from 0 to 1 says how much of the service it concerns and orders findings of equal confidence. `columns` of
    the series of window `window` show it. `against` is what speaks against the cause, `change` what to do in code.
    """

    rule: str
    symptom: str
    figures: tuple[Figure, ...]
    cause: str
    confidence: Confidence
    against: tuple[str, ...]
    change: tuple[str, ...]
    weight: float
    columns: tuple[str, ...]
    window: int
    proposals: tuple[Proposal, ...] = ()
    kind: Kind = "fault"


@dataclass(frozen=True)
class NotLooked:
    """A rule that could not look, and why."""

    rule: str
    why: str


Outcome = Finding | NotLooked | None
"""None: the rule looked and found nothing."""


def lowered(confidence: Confidence) -> Confidence:
    """Return the next lower confidence."""
    return CONFIDENCES[min(CONFIDENCES.index(confidence) + 1, len(CONFIDENCES) - 1)]
