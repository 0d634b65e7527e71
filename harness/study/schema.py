"""The study file as people write it: one pydantic model a key, unknown keys refused. Knows shapes, not other files.

What needs the target's declarations (options, settings, levels) is checked by `loader`, after the shape is right.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    WithJsonSchema,
    model_validator,
)

from harness.study import quantities

LATENCIES = ("p50", "p90", "p95", "p99", "p999")
MINIMIZED = (*LATENCIES, "cpu_per_request", "peak_rss", "threads")
MAXIMIZED = ("throughput",)
MOST_LEVELS = 8
GUARDED = (*MINIMIZED, *MAXIMIZED, "error_ratio")

Duration = Annotated[
    float,
    BeforeValidator(quantities.duration_s),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(us|ms|s|m|min|h)$"}),
]
Size = Annotated[
    int,
    BeforeValidator(quantities.size_bytes),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(B|KiB|MiB|GiB|kB|MB|GB)$"}),
]
Share = Annotated[
    float,
    BeforeValidator(quantities.share),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}),
]


def _scalar(value: Any) -> Any:  # noqa: ANN401 - raw YAML
    if not isinstance(value, (str, bool, int, float)):
        raise ValueError(f"must be one value: text, a number, true or false; not {value!r:.60}")  # noqa: TRY004
    return value


def _form_of_levels(value: Any) -> str:  # noqa: ANN401 - raw YAML
    return "range" if isinstance(value, (dict, RangeFile)) else "levels"


Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "boolean", "integer", "number"]})]
Text = Annotated[str, StringConstraints(max_length=4096)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[^\r\n\x00]*$", max_length=4096)]


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TargetFile(Model):
    """The service under test: `template` (comes with the harness) or `path` (an own crate)."""

    template: Slug | None = Field(None, description="Name of a target that comes with the harness.")
    path: Text | None = Field(None, description="Folder of an own crate, relative to this file.")
    cpus: int = Field(1, ge=1, le=1024, description="Cores of its own.")
    memory: Size | None = Field(None, description="Memory limit, enforced by the docker backend.")
    set: dict[str, Scalar] = Field({}, description="Settings that the target declares, fixed by this study.")

    @model_validator(mode="after")
    def _one_form(self) -> TargetFile:
        if (self.template is None) == (self.path is None):
            raise ValueError("give exactly one of template and path")
        return self


class ExpectFile(Model):
    """What counts as success."""

    status: int = Field(200, ge=100, le=599)


class RequestFile(Model):
    """One kind of request of the mix."""

    name: Slug
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "GET"
    path: Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=4096)]
    headers: dict[HeaderName, HeaderValue] = {}
    json_: Any = Field(None, alias="json", description="Body, sent as compact JSON with its content type.")
    body: Annotated[str, StringConstraints(max_length=2**20)] | None = Field(None, description="Body as text.")
    weight: float = Field(1.0, gt=0, le=1e6, strict=False, description="Share of the mix, relative to the others.")
    expect: ExpectFile = ExpectFile()

    @model_validator(mode="after")
    def _one_body(self) -> RequestFile:
        if self.json_ is not None and self.body is not None:
            raise ValueError("give json or body, not both")
        return self


class LoadFile(Model):
    """The load profile."""

    model: Literal["open", "closed"] = "open"
    rate: float | None = Field(
        None, gt=0, le=1e6, strict=False, description="Requests a second, offered whatever comes."
    )
    arrivals: Literal["poisson", "uniform"] | None = Field(None, description="Law of the open model; default poisson.")
    connections: int = Field(64, ge=1, le=50_000)
    timeout: Duration = Field(2.0, gt=0, le=600, validate_default=False)
    requests: list[RequestFile] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _fits_its_model(self) -> LoadFile:
        if self.model == "open" and self.rate is None:
            raise ValueError("the open model needs rate: how many requests a second are offered")
        if self.model == "closed" and (self.rate is not None or self.arrivals is not None):
            raise ValueError(
                "the closed model has neither rate nor arrivals: its connections send as fast as they are answered"
            )
        return self


class WindowFile(Model):
    """Lengths of the parts of a window."""

    warmup: Duration = Field(2.0, ge=0, le=3600, validate_default=False)
    measure: Duration = Field(8.0, ge=0.5, le=3600, validate_default=False)
    drain: Duration | None = Field(None, gt=0, le=3600, description="Default: the load's time-out.")


class ObjectiveFile(Model):
    """What is made better: exactly one of `minimize` and `maximize`."""

    minimize: str | None = Field(None, json_schema_extra={"enum": [*MINIMIZED, None]})
    maximize: str | None = Field(None, json_schema_extra={"enum": [*MAXIMIZED, None]})
    of: Slug | None = Field(None, description="One kind of request; default all.")

    @model_validator(mode="after")
    def _one_direction(self) -> ObjectiveFile:
        if (self.minimize is None) == (self.maximize is None):
            raise ValueError("give exactly one of minimize and maximize")
        if self.minimize is not None and self.minimize not in MINIMIZED:
            raise ValueError(f"can minimize {', '.join(MINIMIZED)}; not {self.minimize!r}")
        if self.maximize is not None and self.maximize not in MAXIMIZED:
            raise ValueError(f"can maximize {', '.join(MAXIMIZED)}; not {self.maximize!r}")
        return self


class GuardFile(Model):
    """A limit that a recommendation must not break: a number, a size, or a share `of: baseline`."""

    metric: str = Field(json_schema_extra={"enum": list(GUARDED)})
    at_most: float | str | None = None
    at_least: float | str | None = None
    of: Literal["baseline"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _numbers_may_be_whole(cls, content: Any) -> Any:  # noqa: ANN401 - raw YAML
        if isinstance(content, dict):
            keys = ("at_most", "at_least")
            return {k: float(v) if k in keys and type(v) is int else v for k, v in content.items()}
        return content

    @model_validator(mode="after")
    def _one_side(self) -> GuardFile:
        if self.metric not in GUARDED:
            raise ValueError(f"can guard {', '.join(GUARDED)}; not {self.metric!r}")
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give exactly one of at_most and at_least")
        self.limit()
        return self

    def limit(self) -> float:
        """Return the limit: a fraction where it is relative, else in the metric's unit (ms for percentiles, bytes for RSS)."""
        raw = self.at_most if self.at_most is not None else self.at_least
        if self.of == "baseline":
            return quantities.share(raw)
        if isinstance(raw, float):
            return raw
        if self.metric == "peak_rss":
            return float(quantities.size_bytes(raw))
        if self.metric in LATENCIES:
            return quantities.duration_s(raw) * 1000
        if self.metric == "cpu_per_request":
            return quantities.duration_s(raw) * 1e6
        return quantities.share(raw)


class RangeFile(Model):
    """Levels from `low` to `high`: by `step`, or evenly in log2 (`log: true`), at most 8."""

    low: int
    high: int
    step: int | None = Field(None, ge=1)
    log: bool | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> RangeFile:
        if self.high < self.low:
            raise ValueError(f"high: must be at least low ({self.low})")
        if self.step is not None and self.log:
            raise ValueError("give step or log, not both")
        if self.log and self.low < 1:
            raise ValueError("low: must be at least 1 where levels are spaced in log2")
        return self


class BudgetFile(Model):
    """How much may be spent."""

    windows: int | None = Field(None, ge=20, le=10_000, description="Windows in all, calibration included.")
    time: Duration | None = Field(None, gt=0, description="Wall time.")


class PhasesFile(Model):
    """Explicit sizes instead of the plan that the budget gives."""

    calibrate: int = Field(4, ge=3, le=1000, description="Windows of the baseline against itself.")
    screen: int = Field(0, ge=0, le=100, description="Blocks of one window a level.")
    search: int = Field(0, ge=0, le=5000, description="Windows of the joint search.")
    race: int = Field(0, ge=0, le=1000, description="Windows of the race.")
    confirm: int = Field(6, ge=5, le=1000, description="Pairs of winner and baseline.")


class StudyFile(Model):
    """One study."""

    study: Slug = Field(description="Name: lower-case letters, digits, - and _.")
    target: TargetFile
    load: LoadFile
    window: WindowFile = WindowFile(drain=None)
    objective: ObjectiveFile
    guards: list[GuardFile] = Field([], max_length=16)
    knobs: dict[
        str,
        Annotated[
            Annotated[list[Scalar], Tag("levels")] | Annotated[RangeFile, Tag("range")], Discriminator(_form_of_levels)
        ],
    ] = Field(min_length=1, max_length=32)
    baseline: dict[str, Scalar] = Field({}, description="Deviations from Tokio's defaults, if any.")
    budget: BudgetFile = BudgetFile(windows=None, time=None)
    phases: PhasesFile | None = None
    min_effect: Share = Field(0.02, gt=0, lt=1, validate_default=False)
    seed: int = Field(1, ge=0, le=2**32 - 1)


def range_levels(spec: RangeFile) -> list[int]:
    """Return at most 8 levels, `low` and `high` among them: by the step, or evenly spaced in log2."""
    if spec.step is None and spec.low >= 1:
        return _rounded(spec.low * (spec.high / spec.low) ** (i / 7) for i in range(8))
    levels = [*range(spec.low, spec.high, spec.step or 1), spec.high]
    if len(levels) <= MOST_LEVELS:
        return levels
    return _rounded(levels[round(i * (len(levels) - 1) / 7)] for i in range(8))


def _rounded(points: Iterable[float]) -> list[int]:
    return sorted({round(point) for point in points})
