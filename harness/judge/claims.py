"""What a test makes of a claim: held here, refuted here, or not resolved. Pure.

A claim names the range in which the true figure has to lie. It is held when the whole interval lies in that range,
refuted when none of it does, and else not resolved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Call = Literal["held here", "refuted here", "not resolved"]


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; infinite where there is no end."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def claims_a_difference(self) -> bool:
        """Whether no difference at all would contradict it."""
        return not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Ruling:
    """What is said of a claim. `smaller_than`: the size that the figure stays below where it is not resolved, or None."""

    call: Call
    smaller_than: float | None = None


def ruling(claimed: Range, seen: Range, *, resolvable: bool = True) -> Ruling:
    """Return what `seen`, an interval or a single figure, makes of the claim.

    What is not `resolvable` (smaller than what this host's engine measures where there is nothing) shows no difference.
    """
    if claimed.low <= seen.low and seen.high <= claimed.high:
        return _not_resolved(seen) if claimed.claims_a_difference and not resolvable else Ruling("held here")
    if seen.high < claimed.low or claimed.high < seen.low:
        return Ruling("refuted here")
    return _not_resolved(seen)


def of_pairs(claimed: Range, interval: tuple[float | None, float | None], *, resolvable: bool = True) -> Ruling:
    """Return what an interval of gains makes of the claim; an end that is None is not known, so nothing bounds it."""
    low, high = interval
    seen = Range(-math.inf if low is None else low, math.inf if high is None else high)
    return ruling(claimed, seen, resolvable=resolvable)


def of_compiling(*, claimed: bool, compiled: bool, control: bool) -> Ruling:
    """Return what the compiler makes of a claim; where even the control does not compile nothing was shown."""
    if not control:
        return Ruling("not resolved")
    return Ruling("held here" if compiled is claimed else "refuted here")


def _not_resolved(seen: Range) -> Ruling:
    largest = max(abs(seen.low), abs(seen.high))
    return Ruling("not resolved", largest if math.isfinite(largest) else None)
