"""What earlier runs tell of the noise here: their A/A windows, where they measured what this study would measure.

It is shown before a run is paid for and decides nothing: plan and claims stay functions of the study and its own ledger.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.judge import noise
from harness.judge.rank import Interval
from harness.ledger.record import History
from harness.search import calibrate
from harness.study.model import Study

MOST_RUNS = 5
"""The newest runs tell of the machine as it is."""

FEWEST_WINDOWS = 4
"""A/A windows below which the noise is read too badly to plan by (off by more than threefold)."""


@dataclass(frozen=True)
class Known:
    """The noise of one window (sd of ln) as A/A windows of earlier runs read it, and where it lies (5 to 95 %)."""

    sigma: float
    range: Interval
    windows: int
    runs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it for machines."""
        ends = [self.range.low, self.range.high]
        return {"sigma": self.sigma, "sigma_range": ends, "windows": self.windows, "runs": list(self.runs)}


def same_ground(study: Study, machine_id: str, facts: Mapping[str, Any], described: Mapping[str, Any]) -> bool:
    """Whether the run of `facts` (its run.json) measured on this machine what `described` (this study's) would.

    The study's name, knobs and budget may differ; target, load, window, baseline and objective may not. An engine that
    is yet to be chosen agrees with any.
    """
    if facts.get("machine_id") != machine_id:
        return False
    kept, asked = (json.loads(json.dumps(of, default=str)) for of in (facts, described))
    if study.load.engine == "auto" and isinstance(kept.get("load"), dict):
        kept["load"] = {**kept["load"], "engine": "auto"}
    return all(_said(kept.get(key)) == _said(value) for key, value in asked.items())


def _said(value: object) -> object:
    """Return a description without what it leaves open: an older run does not name what came into studies since."""
    return {name: part for name, part in value.items() if part is not None} if isinstance(value, dict) else value


def noise_of(study: Study, runs: Iterable[tuple[str, History]]) -> Known | None:
    """Return the noise that the A/A windows of (run, its ledger), newest first, tell; None where they are too few."""
    read = [(run, *calibrate.sigma(study, history)) for run, history in runs]
    told = [(run, sigma, windows) for run, sigma, windows in read if sigma is not None][:MOST_RUNS]
    windows = sum(windows for *_, windows in told)
    pooled = noise.pooled_sigma([(sigma, windows - 1) for _, sigma, windows in told])
    if pooled is None or windows < FEWEST_WINDOWS:
        return None
    return Known(pooled, noise.sigma_range(pooled, windows), windows, tuple(run for run, *_ in told))
