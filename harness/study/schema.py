"""The study file as people write it: one pydantic model for each mapping, unknown keys refused.

Owns the shape, its defaults and the sentence that stands beside each key in editors. Knows no other file: what needs
the target's declarations (options, settings, levels) is checked by `loader`, after the shape is right.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, model_validator

from harness.study import quantities
from harness.study.faults import Blame, listed, nearest
from harness.study.forms import (
    Duration,
    FileName,
    Folder,
    HeaderName,
    HeaderValue,
    RequestPath,
    Scalar,
    Settings,
    Share,
    Size,
    Slug,
)
from harness.study.quantities import given

LATENCIES = ("p50", "p90", "p95", "p99", "p999")
MINIMIZED = (*LATENCIES, "cpu_per_request", "peak_rss", "threads")
MAXIMIZED = ("throughput",)
CAPACITY = "capacity"
"""The highest rate of a load in steps that keeps a percentile: an objective only."""
GUARDED = (*MINIMIZED, *MAXIMIZED, "error_ratio")
HANDSHAKE = ("upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions")
FRAMING = ("content-length", "transfer-encoding", "connection")
MOST_OBJECTIVES = 2
MOST_LEVELS = 8
FEWEST_PAIRS = 5
"""Fewer pairs cannot reach 5 % by an exact test."""

LEAST_WINDOWS = 20
DEFAULT_WINDOWS = 60


def _form_of_arrivals(value: Any) -> str:  # noqa: ANN401 - raw YAML
    return "changing" if isinstance(value, (dict, ArrivalsFile)) else "law"


def _form_of_levels(value: Any) -> str:  # noqa: ANN401 - raw YAML
    return "range" if isinstance(value, (dict, RangeFile)) else "levels"


def _listed_figures(value: Any) -> Any:  # noqa: ANN401 - raw YAML
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return value
    raise ValueError(f"write a figure such as p95, or a list of two, not {given(value)}")


def _figures(names: tuple[str, ...]) -> WithJsonSchema:
    one: dict[str, Any] = {"enum": list(names)}
    several = {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_OBJECTIVES}
    return WithJsonSchema({"anyOf": [one, several]})


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TargetFile(Model):
    """The service under test: `template` (comes with the harness) or `path` (an own crate)."""

    template: Slug | None = Field(None, description="Name of a target that comes with the harness.")
    path: Folder | None = Field(None, description="Folder of an own crate with src/runtime.rs, relative to this file.")
    cpus: int = Field(1, ge=1, le=1024, description="How many cores of its own the service gets.")
    memory: Size | None = Field(None, ge=2**20, description="Memory limit; without it there is none.")
    set: Settings = Field({}, description="Settings that the target declares, fixed by this study.")

    @model_validator(mode="after")
    def _one_form(self) -> TargetFile:
        if (self.template is None) == (self.path is None):
            raise ValueError("give exactly one of template and path")
        return self


class ExpectFile(Model):
    """What counts as success."""

    status: int = Field(200, ge=100, le=599, description="The HTTP status of a success.")
    contains: str | None = Field(
        None, min_length=1, max_length=4096, description="Text that the body of a success contains."
    )


OK = 200
"""The status that is expected where a study does not say another."""


class RequestFile(Model):
    """One kind of request of the mix."""

    name: Slug = Field(description="Its name in the report.")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = Field(
        "GET", description="HTTP method."
    )
    path: RequestPath = Field(description="Path and query, from the first slash on.")
    headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=64)] = Field({}, description="Headers to send.")
    json_: Any = Field(None, alias="json", description="Body, sent as compact JSON with its content type.")
    body: str | None = Field(None, max_length=2**20, description="Body as text, instead of json.")
    body_file: FileName | None = Field(None, description="File whose bytes are the body, relative to this file.")
    weight: float = Field(1.0, gt=0, le=1e6, strict=False, description="Share of the mix, relative to the others.")
    expect: ExpectFile = Field(ExpectFile(), description="What counts as success.")

    @model_validator(mode="after")
    def _can_be_sent(self) -> RequestFile:
        if sum(body is not None for body in (self.json_, self.body, self.body_file)) > 1:
            raise ValueError("give one of json, body and body_file, not more")
        framing = [name for name in self.headers if name.lower() in FRAMING]
        if framing:
            raise Blame("headers", f"leave {listed(framing)} out: it follows from the body, and the harness sets it")
        return self


class BurstsFile(Model):
    """On and off in turn, from the start of the measured stretch on; the mean over both is the load's rate."""

    on: Duration = Field(gt=0, le=3600, description="How long a burst lasts.")
    off: Duration = Field(gt=0, le=3600, description="How long it is until the next.")
    factor: float = Field(
        gt=1, le=1e4, strict=False, description="Rate of a burst, as a multiple of the mean; at most (on + off) / on."
    )

    @model_validator(mode="after")
    def _leaves_something_to_the_rest(self) -> BurstsFile:
        most = (self.on + self.off) / self.on
        if self.factor > most + 1e-9:
            words = f"cannot be more than (on + off) / on = {most:g}, where nothing at all comes between the bursts"
            raise Blame("factor", words)
        return self


class StepsFile(Model):
    """From the load's rate up (or down) to `to` in equal steps over the measured stretch; warm-up is at the rate."""

    to: float = Field(gt=0, le=1e6, strict=False, description="Rate of the last step, requests a second.")
    count: int = Field(ge=2, le=100, description="How many steps, the first and the last among them.")


class RampFile(Model):
    """From the load's rate straight to `to` over the measured stretch; warm-up is at the rate."""

    to: float = Field(gt=0, le=1e6, strict=False, description="Rate at the end, requests a second.")


class ArrivalsFile(Model):
    """A law whose rate changes, or a recorded trace: exactly one of them."""

    bursts: BurstsFile | None = Field(None, description="On and off in turn.")
    steps: StepsFile | None = Field(None, description="In steps from the rate to another.")
    ramp: RampFile | None = Field(None, description="Straight from the rate to another.")
    trace: FileName | None = Field(
        None, description="File of intended times in rising order, seconds from the start of warm-up, one a line."
    )

    @model_validator(mode="after")
    def _one_law(self) -> ArrivalsFile:
        if len(self.model_fields_set) != 1 or self.law is None:
            raise ValueError("give exactly one of bursts, steps, ramp and trace")
        return self

    @property
    def law(self) -> Literal["bursts", "steps", "ramp", "trace"] | None:
        """Which one it is."""
        for name in ("bursts", "steps", "ramp", "trace"):
            if getattr(self, name) is not None:
                return name
        return None


class WebSocketFile(Model):
    """What a websocket load does beside sending."""

    delivery: Literal["echo", "broadcast"] = Field(
        "echo",
        description="What answers a message, known by the number that stands for `{id}` in its body. echo: the same number "
        "on its own connection, or, without `{id}`, the next message there. broadcast: the same number on the last of the "
        "sending connections that were up, the sender's own among them.",
    )
    idle: int = Field(
        0,
        ge=0,
        le=200_000,
        description="More connections that are held open, answer pings and send nothing; nobody waits for them.",
    )
    idle_path: RequestPath | None = Field(
        None, description="Path and query that the idle connections are opened at; without it that of the messages."
    )
    binary: bool = Field(default=False, description="Binary frames instead of text.")


class LoadFile(Model):
    """The load profile."""

    model: Literal["open", "closed"] = Field(
        "open", description="open: a rate, whatever the service does. closed: connections that wait for their answer."
    )
    engine: Literal["http", "native", "websocket", "locustfile", "auto"] = Field(
        "http",
        description="What sends: http (Python), native (Rust, for high rates), websocket, locustfile (your own), "
        "or auto: native where the rate is above what http holds on this host.",
    )
    rate: float | None = Field(
        None, gt=0, le=1e6, strict=False, description="Requests a second of the open model, offered whatever comes."
    )
    arrivals: (
        Annotated[
            Annotated[Literal["poisson", "uniform"], Tag("law")] | Annotated[ArrivalsFile, Tag("changing")],
            Discriminator(_form_of_arrivals),
        ]
        | None
    ) = Field(None, description="Law of the open model's arrivals; without it poisson.")
    connections: int = Field(64, ge=1, le=50_000, description="Connections (of a locustfile: users) of a window.")
    keep_alive: bool = Field(default=True, description="false: a new connection for each request.")
    think: Duration | None = Field(
        None, gt=0, le=600, description="Closed model: mean pause before a connection's next request, exponential."
    )
    timeout: Duration = Field(
        2.0, gt=0, le=600, json_schema_extra={"default": "2s"}, description="From the intended send time on."
    )
    websocket: WebSocketFile | None = Field(None, description="What the websocket engine does beside sending.")
    locustfile: FileName | None = Field(None, description="Your own locustfile, run as it is, relative to this file.")
    requests: list[RequestFile] = Field([], max_length=64, description="The kinds of request to send.")

    @model_validator(mode="after")
    def _fits_its_model(self) -> LoadFile:
        if self.model == "closed":
            for key in ("rate", "arrivals"):
                if getattr(self, key) is not None:
                    words = "leave it out: the closed model has neither rate nor arrivals, its connections send when"
                    raise Blame(key, f"{words} answered")
            return self
        if self.think is not None:
            raise Blame("think", "belongs to the closed model: what the open one sends, its schedule decides")
        if isinstance(self.arrivals, ArrivalsFile) and self.arrivals.trace is not None:
            if self.rate is not None:
                raise Blame("rate", "leave it out: the trace says when requests are sent")
        elif self.rate is None:
            raise ValueError("the open model needs rate: how many requests a second are offered")
        return self

    @model_validator(mode="after")
    def _fits_its_engine(self) -> LoadFile:
        for key in ("websocket", "locustfile"):
            if getattr(self, key) is not None and self.engine != key:
                raise Blame(key, f"belongs to `engine: {key}`, and the engine is {self.engine}")
        if not self.keep_alive and self.engine in {"websocket", "locustfile"}:
            raise Blame("keep_alive", f"the {self.engine} engine has connections of its own kind: leave it out")
        if self.engine == "locustfile":
            return self._of_a_locustfile()
        if not self.requests:
            raise Blame("requests", "is missing: the kinds of request to send, at least one")
        if self.engine == "websocket":
            self._check_messages()
        return self

    def _of_a_locustfile(self) -> LoadFile:
        if self.locustfile is None:
            raise ValueError("engine: locustfile needs locustfile: the path of yours")
        if self.model != "closed":
            raise Blame("model", "a locustfile's users wait for their answers: write `model: closed`")
        for key in ("requests", "think"):
            if getattr(self, key):
                raise Blame(key, "leave it out: the locustfile says what is sent and when")
        return self

    def _check_messages(self) -> None:
        if len({(request.path, tuple(request.headers.items())) for request in self.requests}) > 1:
            words = (
                "all messages of a websocket load share one path and the same headers: those that connections open with"
            )
            raise Blame("requests", words)
        framing = [name for name in self.requests[0].headers if name.lower() in HANDSHAKE]
        if framing:
            raise Blame("requests", f"leave {listed(framing)} out: the harness sets it in the handshake")
        for index, request in enumerate(self.requests):
            for key, is_set in (("method", request.method != "GET"), ("expect", request.expect.status != OK)):
                if is_set:
                    words = f"leave {key} out of requests[{index}]: a message over a WebSocket has none"
                    raise Blame("requests", words)


class WindowFile(Model):
    """Lengths of the parts of a window."""

    warmup: Duration = Field(
        2.0, ge=0, le=3600, json_schema_extra={"default": "2s"}, description="Full load before anything counts."
    )
    measure: Duration = Field(
        8.0, ge=0.5, le=3600, json_schema_extra={"default": "8s"}, description="The stretch that counts."
    )
    drain: Duration | None = Field(
        None, gt=0, le=3600, description="Longest wait for the last answers; without it the load's timeout."
    )
    poll_histogram: bool = Field(
        default=False,
        description="Have Tokio count poll times in a histogram: tells how long polls take, and costs 60 to 90 ns each.",
    )


class KeepFile(Model):
    """What every step of the load up to the capacity has to keep."""

    metric: Literal["p50", "p90", "p95", "p99", "p999"] = Field(description="The percentile of each step.")
    at_most: Duration = Field(gt=0, le=3600, description="What it may be at most.")


class ObjectiveFile(Model):
    """What is made better: one figure, or two with a rule for which of their best trade-offs is confirmed."""

    minimize: Annotated[list[str], BeforeValidator(_listed_figures), _figures(MINIMIZED)] = Field(
        [], description="A figure that should get smaller, or a list of two."
    )
    maximize: Annotated[list[str], BeforeValidator(_listed_figures), _figures((*MAXIMIZED, CAPACITY))] = Field(
        [], description="A figure that should get larger; beside minimize it is the second."
    )
    of: Slug | None = Field(None, description="Name of one kind of request; without it all of them count.")
    keep: KeepFile | None = Field(
        None, description="With `maximize: capacity`: the highest rate of the load's steps that keeps this."
    )
    pick: Literal["first", "second", "balanced"] = Field(
        "first",
        description="Of two objectives: the best by the first; the best by the second `within` a share of the first's "
        "best; or balanced, the least product of both. The claim is about the first.",
    )
    within: Share | None = Field(
        None, gt=0, lt=10, description="With `pick: second`: how much of the first objective's best may be given up."
    )

    @model_validator(mode="after")
    def _one_or_two(self) -> ObjectiveFile:
        for key, figures, fitting, other in (
            ("minimize", self.minimize, MINIMIZED, "maximize"),
            ("maximize", self.maximize, (*MAXIMIZED, CAPACITY), "minimize"),
        ):
            for metric in figures:
                _check_figure(key, metric, fitting, other)
        if not self.wanted:
            raise ValueError("give minimize or maximize: what is to get better")
        if len(self.wanted) > MOST_OBJECTIVES:
            raise Blame("minimize", f"at most {MOST_OBJECTIVES} objectives: make the others guards")
        if len(set(self.wanted)) < len(self.wanted):
            raise Blame("minimize", f"names {self.wanted[0][1]} twice")
        if (CAPACITY in self.maximize) != (self.keep is not None):
            words = "belongs to `maximize: capacity`, and to it always, such as {metric: p99, at_most: 20ms}"
            raise Blame("keep", words)
        return self

    @model_validator(mode="after")
    def _rule_fits(self) -> ObjectiveFile:
        if len(self.wanted) < MOST_OBJECTIVES and {"pick", "within"} & self.model_fields_set:
            raise Blame("pick", "is for two objectives: leave it out, or name a second one")
        if (self.pick == "second") != (self.within is not None):
            words = "belongs to `pick: second`, and to it always: the share of the first's best that may be given up"
            raise Blame("within", words)
        return self

    @property
    def wanted(self) -> list[tuple[str, str]]:
        """Direction and figure of each objective, the first first."""
        return [
            *(("minimize", metric) for metric in self.minimize),
            *(("maximize", metric) for metric in self.maximize),
        ]


def _check_figure(key: str, metric: str, fitting: tuple[str, ...], other: str) -> None:
    if metric not in fitting:
        turned = metric in {*MINIMIZED, *MAXIMIZED, CAPACITY}
        advice = f"Write `{other}: {metric}`. " if turned else nearest(metric, fitting)
        raise Blame(key, f"cannot be {given(metric)}. {advice}It can be: {listed(fitting)}")


class GuardFile(Model):
    """A limit that a recommendation must not break: a number, a quantity, or a share `of: baseline`."""

    metric: str = Field(json_schema_extra={"enum": list(GUARDED)}, description="The figure that is guarded.")
    at_most: Scalar = Field(None, description="Upper limit.")
    at_least: Scalar = Field(None, description="Lower limit.")
    of: Literal["baseline"] | None = Field(None, description="Makes the limit a share of the baseline's value.")
    may_rise: bool = Field(
        default=False,
        description="Lets the errors be above the baseline's as long as they are within `at_most`, as where a bounded "
        "queue has to turn requests away. Without it a recommendation must not have more errors than the baseline.",
    )

    @model_validator(mode="after")
    def _one_side(self) -> GuardFile:
        if self.metric not in GUARDED:
            words = f"must be one of {listed(GUARDED)}, not {given(self.metric)}. {nearest(self.metric, GUARDED)}"
            raise Blame("metric", words.rstrip(". "))
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give exactly one of at_most and at_least")
        if self.may_rise and (self.metric, self.side, self.of) != ("error_ratio", "at_most", None):
            raise Blame("may_rise", "is for `{metric: error_ratio, at_most: ...}`, a limit of its own, only")
        try:
            self.limit()
        except ValueError as error:
            raise Blame(self.side, str(error)) from error
        return self

    @property
    def side(self) -> Literal["at_most", "at_least"]:
        """Which limit it is."""
        return "at_most" if self.at_most is not None else "at_least"

    def limit(self) -> float:
        """Return the limit in the metric's unit (ms, microseconds of CPU, bytes), a fraction where it is relative."""
        raw = self.at_most if self.at_most is not None else self.at_least
        if self.of == "baseline":
            return quantities.share(raw)
        if self.metric == "peak_rss":
            return float(quantities.size_bytes(raw))
        if self.metric in LATENCIES:
            return quantities.duration_s(raw) * 1e3
        if self.metric == "cpu_per_request":
            return quantities.duration_s(raw) * 1e6
        if isinstance(raw, (int, float)) and not isinstance(raw, bool) and raw >= 0:
            return float(raw)
        if self.metric == "threads" or not isinstance(raw, str):
            raise ValueError(f"must be a number from 0 on, not {given(raw)}")
        return quantities.share(raw)


class RangeFile(Model):
    """Whole numbers from `low` to `high`: by `step`, else evenly spaced in log2; at most 8 levels."""

    low: int = Field(ge=-(2**63), lt=2**64, description="Smallest level.")
    high: int = Field(ge=-(2**63), lt=2**64, description="Largest level.")
    step: int | None = Field(
        None, ge=1, description="Distance of the levels; thinned out where there would be too many."
    )
    log: Literal[True] | None = Field(None, description="Evenly spaced in log2, which is so without a step too.")

    @model_validator(mode="after")
    def _not_empty(self) -> RangeFile:
        if self.high < self.low:
            raise Blame("high", f"must be at least low ({self.low})")
        if self.step is not None and self.log:
            raise ValueError("give step or log, not both")
        if self.step is None and self.low < 1:
            raise Blame("low", "must be at least 1 where levels are spaced in log2; or give a step")
        return self


class BudgetFile(Model):
    """How much may be spent."""

    windows: int | None = Field(
        None,
        le=10_000,
        json_schema_extra={"minimum": LEAST_WINDOWS},
        description=f"Windows in all, calibration included; without it and without phases {DEFAULT_WINDOWS}.",
    )
    time: Duration | None = Field(
        None, gt=0, le=30 * 86400, description="Wall time; the plan is made smaller to fit. Without it no limit."
    )

    @model_validator(mode="after")
    def _allows_a_claim(self) -> BudgetFile:
        if self.windows is not None and self.windows < LEAST_WINDOWS:
            words = (
                f"must be at least {LEAST_WINDOWS}, not {self.windows}: 3 windows of the baseline alone, 5 pairs of "
                "winner and baseline, and a few to find the winner"
            )
            raise Blame("windows", words)
        return self


class PhasesFile(Model):
    """Explicit sizes instead of the plan that the budget gives."""

    calibrate: int = Field(4, ge=3, le=1000, description="Windows of the baseline against itself.")
    screen: int = Field(0, ge=0, le=100, description="Blocks of one window for each level, one knob at a time.")
    search: int = Field(0, ge=0, le=5000, description="Windows of the joint search.")
    race: int = Field(0, ge=0, le=1000, description="Windows of the race between the best.")
    interaction: int = Field(
        0,
        ge=0,
        le=100,
        description="Blocks that tell whether the screen's winners add up: baseline, each winner alone, all together. "
        "At least 2.",
    )
    confirm: int = Field(
        6,
        ge=0,
        le=1000,
        description="Pairs of winner and baseline; fewer than 5 cannot make a claim. 0: a table of effects only.",
    )
    attribute: int = Field(
        0,
        ge=0,
        le=1000,
        description="Blocks that tell what each changed knob of a confirmed winner does: baseline, winner, and the winner "
        "with each knob set back. They come on top of budget.windows; 2 are the fewest that give an interval.",
    )

    @model_validator(mode="after")
    def _tries_something(self) -> PhasesFile:
        if self.screen == 0 and self.search == 0:
            raise ValueError("give screen or search at least 1: without them there is no winner to confirm")
        return self

    @model_validator(mode="after")
    def _measures_what_it_is_for(self) -> PhasesFile:
        if 0 < self.confirm < FEWEST_PAIRS:
            raise Blame("confirm", f"at least {FEWEST_PAIRS} pairs can make a claim; 0 is a table of effects only")
        if self.confirm == 0:
            for name in ("search", "race", "attribute"):
                if getattr(self, name):
                    raise Blame(name, "leave it out where confirm is 0: nothing is confirmed, so the screen is all")
        if self.interaction == 1:
            raise Blame("interaction", "give at least 2 blocks: a single one leaves nothing to tell the noise from")
        if self.interaction and self.screen == 0:
            raise Blame("interaction", "needs screen: it puts the winners of the screen together")
        return self


AUTO = "auto"
"""In place of the knobs: a diagnosis of the baseline names them before the plan is made."""


class StudyFile(Model):
    """One study."""

    study: Slug = Field(description="Name: lower-case letters, digits, - and _.")
    target: TargetFile = Field(description="The service under test.")
    load: LoadFile = Field(description="What is sent to it.")
    window: WindowFile = Field(
        WindowFile(),
        json_schema_extra={"default": {}},
        description="How long each part of a window is.",
    )
    objective: ObjectiveFile = Field(description="What is made better.")
    guards: list[GuardFile] = Field([], max_length=16, description="Limits that a recommendation must not break.")
    knobs: dict[
        str,
        Annotated[
            Annotated[list[Scalar], Field(min_length=1, max_length=32), Tag("levels")]
            | Annotated[RangeFile, Tag("range")],
            Discriminator(_form_of_levels),
        ],
    ] = Field(
        min_length=1,
        max_length=32,
        description="What is searched: settings of Tokio's runtime and options that the target declares; or auto: what "
        "harness diagnose finds worth screening.",
    )
    baseline: Settings = Field({}, description="What the baseline sets otherwise than Tokio and the target by default.")
    constraints: list[Annotated[str, Field(max_length=300)]] = Field(
        [],
        max_length=32,
        description='What every variant has to meet, such as "worker_threads * 2 <= max_blocking_threads".',
    )
    budget: BudgetFile = Field(BudgetFile(), description="How much may be spent.")
    phases: PhasesFile | None = Field(None, description="Explicit sizes of the phases, instead of budget.windows.")
    min_effect: Share = Field(
        0.02, gt=0, lt=1, json_schema_extra={"default": "2%"}, description="Smaller differences count as the same."
    )
    seed: int = Field(1, ge=0, le=2**32 - 1, description="Decides every random choice.")
    needs_cores: int = Field(
        1,
        ge=1,
        le=4096,
        description="How many cores a machine must have to tell what this study asks; on a smaller one it is refused.",
    )


def range_levels(spec: RangeFile, most: int = MOST_LEVELS) -> list[int]:
    """Return at most `most` levels, `low` and `high` among them: by the step, or evenly spaced in log2."""
    last = most - 1
    if spec.step is None:
        return sorted({spec.high, *(round(spec.low * (spec.high / spec.low) ** (i / last)) for i in range(last))})
    steps = -(-(spec.high - spec.low) // spec.step)
    places = range(steps + 1) if steps < most else (i * steps // last for i in range(most))
    return [min(spec.low + place * spec.step, spec.high) for place in places]
