"""The study as the rest of the house sees it: frozen, complete, every quantity in plain units.

`study.load` makes it from a YAML file; nothing below this room meets raw YAML, and nothing is validated again.
Times are seconds, memory bytes, shares fractions of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

UNSET = "unset"
"""The level that means "do not call the setter": the Builder line is absent from the rendered Rust."""

Level = str | bool | int | float
"""One value of a knob. Durations are canonical text ("1s", "250ms"), "unset" is the text "unset"."""


@dataclass(frozen=True)
class Knob:
    """One searched setting with its levels.

    `ordered` levels are numbers or durations in rising order ("unset" stands where its resolved value would);
    the baseline's level is always among `levels`.
    """

    name: str
    kind: Literal["runtime", "option"]
    levels: tuple[Level, ...]
    ordered: bool
    baseline: Level


@dataclass(frozen=True)
class Declared:
    """One option or setting that a target declares in its `target.toml`."""

    name: str
    kind: Literal["choice", "integer", "number", "flag"]
    default: Level
    about: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Target:
    """The service under test.

    `crate` is the folder with its Cargo.toml; `package` the cargo package and binary name; `workspace` the folder
    whose sources are copied into the build cache (the crate itself for an own crate). `settings` are the complete
    fixed settings (defaults filled in). `ground` is the digest of all that is built except the rendered
    runtime.rs: sources, lock file, build flags, template. `own_runtime` is the committed runtime.rs of an own crate
    (None for a template); it is what the baseline builds.
    """

    name: str
    form: Literal["template", "path"]
    workspace: Path
    crate: Path
    package: str
    cpus: int
    memory_bytes: int | None
    options: tuple[Declared, ...]
    declared_settings: tuple[Declared, ...]
    settings: Mapping[str, Level]
    ground: str
    has_admin: bool
    own_runtime: str | None = None


@dataclass(frozen=True)
class Request:
    """One kind of request of the mix. `body` is complete bytes; `expect_status` is what counts as success."""

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    weight: float
    expect_status: int


@dataclass(frozen=True)
class Load:
    """The load profile. Open model: `rate` requests a second whatever the service does. Closed: `connections` loops."""

    model: Literal["open", "closed"]
    rate: float | None
    arrivals: Literal["poisson", "uniform"] | None
    connections: int
    timeout_s: float
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class WindowTimes:
    """Lengths of the parts of a window, in seconds."""

    warmup_s: float
    measure_s: float
    drain_s: float


Metric = Literal[
    "p50", "p90", "p95", "p99", "p999", "throughput", "cpu_per_request", "peak_rss", "threads", "error_ratio"
]


@dataclass(frozen=True)
class Objective:
    """What is made better. `of` is the name of one request kind, None for all offered requests."""

    direction: Literal["minimize", "maximize"]
    metric: Metric
    of: str | None = None


@dataclass(frozen=True)
class Guard:
    """A limit that a recommendation must not break.

    `limit` is in the metric's own unit, or a fraction of the baseline's value when `relative`.
    """

    metric: Metric
    side: Literal["at_most", "at_least"]
    limit: float
    relative: bool


@dataclass(frozen=True)
class Budget:
    """How much may be spent: windows in all, and wall time in seconds (None: no limit)."""

    windows: int
    time_s: float | None


@dataclass(frozen=True)
class Phases:
    """Explicit sizes: windows of A/A, screen blocks, joint search windows, race windows, confirmation pairs."""

    calibrate: int
    screen: int
    search: int
    race: int
    confirm: int


@dataclass(frozen=True)
class Study:
    """The frozen content of one study file, with what its target declares.

    `baseline` holds the baseline's assignment (runtime knobs that are set, and every option). `digest` is the
    SHA-256 of the file's text; `text` the text itself; `warnings` are sentences about levels that cannot act.
    """

    name: str
    file: Path
    text: str
    digest: str
    target: Target
    load: Load
    window: WindowTimes
    objective: Objective
    guards: tuple[Guard, ...]
    knobs: tuple[Knob, ...]
    baseline: Mapping[str, Level]
    budget: Budget
    phases: Phases | None
    min_effect: float
    seed: int
    warnings: tuple[str, ...] = ()

    def knob(self, name: str) -> Knob:
        """Return the searched knob of that name; KeyError if the study does not search it."""
        return {knob.name: knob for knob in self.knobs}[name]

    @property
    def knob_names(self) -> tuple[str, ...]:
        """Names of the searched knobs, in the study's order."""
        return tuple(knob.name for knob in self.knobs)
