"""The study as the rest of the house sees it: frozen, complete, every quantity in plain units.

`study.load` makes it from a YAML file; nothing below this room meets raw YAML, and nothing is validated again.
Times are seconds, memory bytes, shares fractions of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

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
    (None for a template); it is what the baseline builds. `upstream_ms` is how long the upstream takes for each answer
    (ms), None where the target needs none. `features` are the cargo features that the crate declares.
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
    upstream_ms: float | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One kind of request of the mix. `body` is complete bytes.

    A success has the status `expect_status` and, where `expect_contains` is not empty, these bytes within the first
    64 KiB of its body.
    """

    name: str
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    weight: float
    expect_status: int
    expect_contains: bytes = b""


@dataclass(frozen=True)
class Piece:
    """A stretch of a load whose rate (requests a second) runs straight from `rate` to `to_rate`."""

    length_s: float
    rate: float
    to_rate: float


EngineName = Literal["http", "native", "websocket", "locustfile"]
Law = Literal["poisson", "uniform", "bursts", "steps", "ramp", "trace"]


@dataclass(frozen=True)
class WebSocket:
    """What a websocket load does beside sending: the path that connections are opened at, and what ends a message.

    A message carries its number where its body says `{id}`. `delivery` "echo": it is answered when its own connection
    gets a message with that number, or, without one, the next message. "broadcast": when every connection that sends and
    was up when it was sent has got it; one of them that ends before makes it a failure. `idle` more connections are held
    open and send nothing, at `idle_path` where that is not empty. `binary`: frames are binary instead of text.
    """

    path: str
    delivery: Literal["echo", "broadcast"] = "echo"
    idle: int = 0
    binary: bool = False
    idle_path: str = ""


@dataclass(frozen=True)
class Load:
    """The load profile. Open model: `rate` requests a second whatever the service does. Closed: `connections` loops.

    `rate` is the mean of an open load, for steps and ramps where they begin. `pieces` spell out a law whose rate
    changes (bursts, steps, ramp), from the start of warm-up to the end of the measured stretch; `trace_s` are recorded
    intended times in the same span. `think_s` is the mean of the exponential pause that a connection of the closed
    model makes before its next request. Without `keep_alive` each request has a connection of its own.
    """

    model: Literal["open", "closed"]
    rate: float | None
    arrivals: Law | None
    connections: int
    timeout_s: float
    requests: tuple[Request, ...]
    engine: EngineName | Literal["auto"] = "http"
    pieces: tuple[Piece, ...] = ()
    trace_s: tuple[float, ...] = ()
    think_s: float = 0.0
    keep_alive: bool = True
    websocket: WebSocket | None = None
    locustfile: Path | None = None

    @property
    def open_connections(self) -> int:
        """How many connections a window holds open."""
        return self.connections + (self.websocket.idle if self.websocket else 0)

    @property
    def peak_rate(self) -> float | None:
        """The highest rate that an open load ever asks for, in requests a second; of a trace, over any second."""
        if self.trace_s:
            return float(max(_in_a_second(self.trace_s)))
        return max((max(piece.rate, piece.to_rate) for piece in self.pieces), default=self.rate)


@dataclass(frozen=True)
class WindowTimes:
    """Lengths of the parts of a window, in seconds."""

    warmup_s: float
    measure_s: float
    drain_s: float


Metric = Literal[
    "p50",
    "p90",
    "p95",
    "p99",
    "p999",
    "throughput",
    "capacity",
    "cpu_per_request",
    "peak_rss",
    "threads",
    "error_ratio",
]


Pick = Literal["first", "second", "balanced"]


@dataclass(frozen=True)
class Keep:
    """What a step of the load has to keep to count as carried: this percentile, at most so many milliseconds."""

    metric: Metric
    at_most_ms: float


@dataclass(frozen=True)
class Objective:
    """What is made better. `of` is the name of one request kind, None for all offered requests.

    With a `second` objective, `pick` says which variant is confirmed: "first" the best by the first; "second" the best by
    the second of those that give up at most `within` (a fraction) of the first's best; "balanced" the least product of
    both against the baseline. The claim is about the first in any case. `keep` belongs to the metric "capacity", the
    highest rate that keeps it.
    """

    direction: Literal["minimize", "maximize"]
    metric: Metric
    of: str | None = None
    second: Objective | None = None
    pick: Pick = "first"
    within: float = 0.0
    keep: Keep | None = None


@dataclass(frozen=True)
class Guard:
    """A limit that a recommendation must not break.

    `limit` is in the metric's own unit, or a fraction of the baseline's value when `relative`. Errors that stay within
    their limit must not rise above the baseline's either, unless they `may_rise`.
    """

    metric: Metric
    side: Literal["at_most", "at_least"]
    limit: float
    relative: bool
    may_rise: bool = False


@dataclass(frozen=True)
class Budget:
    """How much may be spent: windows in all, and wall time in seconds (None: no limit)."""

    windows: int
    time_s: float | None


@dataclass(frozen=True)
class Phases:
    """Explicit sizes: windows of A/A, screen blocks, windows of search and race, pairs, blocks of the attribution.

    `interaction` are blocks of the baseline, each single winner of the screen, and all of them together. No pairs: the
    study is a table of effects, with nothing to confirm.
    """

    calibrate: int
    screen: int
    search: int
    race: int
    confirm: int
    attribute: int = 0
    interaction: int = 0


class Rule(Protocol):
    """A constraint between knobs, see `study.constraints`."""

    @property
    def text(self) -> str:
        """The constraint as it was written."""

    def holds(self, values: Mapping[str, Level], default_workers: int) -> bool:
        """Whether canonical `values` are permitted."""


@dataclass(frozen=True)
class Study:
    """The frozen content of one study file, with what its target declares.

    `baseline` holds the baseline's assignment (runtime knobs that are set, and every option). `digest` is the
    SHA-256 of the file's text and of the files that its load names; `text` the text itself; `warnings` are sentences
    about levels that cannot act. `poll_histogram`: every variant counts its poll times.
    `floor_ms` is what the load's engine measures on this host where there is nothing to
    measure, by percentile; it is empty until the host is calibrated. `constraints` are what every variant has to meet.
    `knobs_auto`: the file leaves the knobs to the diagnosis; there are none until it was made. `needs_cores` is how many
    cores a machine must have to tell what the study asks.
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
    floor_ms: Mapping[str, float] = field(default_factory=dict)
    poll_histogram: bool = False
    constraints: tuple[Rule, ...] = ()
    knobs_auto: bool = False
    needs_cores: int = 1

    def knob(self, name: str) -> Knob:
        """Return the searched knob of that name; KeyError if the study does not search it."""
        return {knob.name: knob for knob in self.knobs}[name]

    @property
    def knob_names(self) -> tuple[str, ...]:
        """Names of the searched knobs, in the study's order."""
        return tuple(knob.name for knob in self.knobs)


def _in_a_second(times_s: tuple[float, ...]) -> list[int]:
    """Return for each time how many of the rising `times_s` lie within the second that ends with it."""
    first, counts = 0, []
    for last, time_s in enumerate(times_s):
        while times_s[first] <= time_s - 1.0:
            first += 1
        counts.append(last - first + 1)
    return counts
