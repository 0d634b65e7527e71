"""Seeds and random generators, all drawn from the study's seed and a label. Owns every random choice of the search.

The same study and label give the same numbers in every process, so an interrupted run continues as it would have.
"""

from __future__ import annotations

import hashlib

import numpy as np

from harness.study.model import Study


def number(study: Study, *label: str | int) -> int:
    """Return a whole number below 2**31 that depends on the study's seed and the label only."""
    text = "|".join(str(part) for part in (study.seed, *label))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1


def generator(study: Study, *label: str | int) -> np.random.Generator:
    """Return a random generator of its own for the label."""
    return np.random.default_rng(number(study, *label))


def exploring_arrivals(study: Study, block: int) -> int:
    """Return the schedule seed of block `block` of calibration, screen and search.

    It depends on the block alone, so the calibration windows, the first screen block and the whole joint search meet
    the same arrivals: they are compared with each other, and sharing arrivals takes most of the noise out of that. A
    difference between two A/A windows is then noisy just as the difference inside a pair is, which is the sigma that
    the smallest visible effect needs. What one schedule favours by luck, the race and the pairs take away again: each
    of their blocks has arrivals of its own.
    """
    return number(study, "arrivals", block)


def arrivals(study: Study, phase: str, block: int) -> int:
    """Return the schedule seed of a race block or a pair: fresh arrivals, shared by the windows inside it."""
    return number(study, "arrivals", phase, block)
