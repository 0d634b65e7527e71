"""How steady both sides of the pairs were. Told beside the verdict, and decides nothing.

The test is about the typical window: a winner with twice the noise and the same median passes it no more often, so its
spread is shown (facts on search, section 4.9).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.judge import score
from harness.judge.guards import Pairs
from harness.ledger.record import WindowRecord
from harness.study.model import Study

WIDE = 0.30
"""The windows of a side that span more than this share of their mean are remarked on."""

SD_OF_MAD = 1.4826


@dataclass(frozen=True)
class Side:
    """One side: `spread` is the sd of y from its MAD (ln units), `worst` in the objective's unit, `span` range / mean."""

    spread: float
    worst: float
    span: float

    @property
    def is_wide(self) -> bool:
        """Whether single windows differ so much that the typical one tells little of them."""
        return self.span > WIDE


@dataclass(frozen=True)
class Stability:
    """Both sides of the usable pairs."""

    winner: Side
    baseline: Side

    @property
    def ratio(self) -> float | None:
        """The spread of the winner over that of the baseline, None where the baseline shows none."""
        return self.winner.spread / self.baseline.spread if self.baseline.spread > 0 else None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Stability:
        """Return what was written as plain JSON."""
        return cls(Side(**content["winner"]), Side(**content["baseline"]))


def of_pairs(study: Study, pairs: Pairs) -> Stability | None:
    """Return how steady both sides were; None where a side was measured fewer than two times."""
    winner, baseline = (_side(study, [pair[at] for pair in pairs]) for at in (0, 1))
    return None if winner is None or baseline is None else Stability(winner, baseline)


def _side(study: Study, windows: Sequence[WindowRecord]) -> Side | None:
    y = [value for record in windows if (value := score.y(study, record)) is not None]
    read = [score.objective_value(study, record.metrics, record.by_request) for record in windows]
    values = [value for value in read if value is not None]
    if len(y) < 2 or len(values) < 2 or statistics.fmean(values) <= 0:  # noqa: PLR2004 - a spread needs two windows
        return None
    middle = statistics.median(y)
    spread = SD_OF_MAD * statistics.median(abs(value - middle) for value in y)
    worst = max(values) if study.objective.direction == "minimize" else min(values)
    return Side(spread, worst, (max(values) - min(values)) / statistics.fmean(values))
