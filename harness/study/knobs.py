"""The knob table: every setting of `tokio::runtime::Builder` that a study may name, and what it really does.

Owns names, bounds, defaults and the Rust of each; never decides what is worth trying. Checked against the sources of
Tokio 1.54.1; where `since` is later than the oldest of TOKIO_VERSIONS, against the sources of the version before too.
TABLE has a row for each setting that can be searched, NOT_SEARCHED the reason for each that cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.study import quantities
from harness.study.model import UNSET, Knob, Level, Target

Kind = Literal["flavor", "integer", "duration", "size", "flag", "version"]
PER_CORE = "thread_per_core"
"""Several runtimes of one thread each, which share the port by SO_REUSEPORT; as many as `worker_threads`."""

FLAVORS = ("multi_thread", "current_thread", PER_CORE)
IO_URING = "io_uring"
"""Cargo feature of a target that turns on Tokio's `io-uring`; a target without it does nothing by tokio::fs."""

TOKIO_VERSIONS = ("1.47", "1.51", "1.54")
"""Versions of Tokio that a template can be built with, oldest first; the last is the default. Each has a lock file."""


@dataclass(frozen=True)
class RuntimeKnob:
    """One row: a Builder setting with its bounds, its default, and the Rust it renders to.

    `low` and `high` bound integers, durations (seconds) and sizes (bytes); `why_low` and `why_high` say what lies
    beyond. `default` is the level that equals "unset" on every flavor it applies to, None where no level does;
    `stands_at` is then the number that puts "unset" in order among the levels. `since` is the first version of Tokio
    that has the setting. Without a `call` it is no call of the Builder: the version decides what is compiled.
    """

    name: str
    kind: Kind
    about: str
    default_text: str
    default: Level | None = None
    stands_at: float = 0
    low: float = 0
    high: float = 0
    why_low: str = ""
    why_high: str = ""
    flavors: tuple[str, ...] = FLAVORS
    stable: bool = True
    since: str = "1.0"
    call: str = ""

    def parse(self, level: object) -> Level:
        """Return the canonical form of a level as written in a study; ValueError says what is allowed."""
        return UNSET if level == UNSET else _PARSERS[self.kind](self, level)

    def rust(self, level: Level) -> str:
        """Return the Builder call that sets `level`."""
        return self.call.format(_RUST[self.kind](level))

    def magnitude(self, level: Level) -> float:
        """Return a number that orders the levels; "unset" stands where its default would."""
        in_force = self.default if level == UNSET else level
        return self.stands_at if in_force is None else _MAGNITUDE[self.kind](in_force)


def _integer(knob: RuntimeKnob, level: object) -> Level:
    if isinstance(level, bool) or not isinstance(level, int):
        words = f'must be a whole number or "unset", not {quantities.given(level)}'
        raise ValueError(words)  # noqa: TRY004 - see quantities
    return _bounded(knob, level, level, str)


def _duration(knob: RuntimeKnob, level: object) -> Level:
    seconds = quantities.duration_s(level)
    return _bounded(knob, quantities.duration_text(seconds), seconds, quantities.duration_text)


def _size(knob: RuntimeKnob, level: object) -> Level:
    size = quantities.size_bytes(level)
    return _bounded(knob, quantities.size_text(size), size, lambda value: quantities.size_text(int(value)))


def _bounded(knob: RuntimeKnob, level: Level, value: float, text: Callable[[float], str]) -> Level:
    if value < knob.low:
        raise ValueError(f"must be at least {text(knob.low)}: {knob.why_low}")
    if value > knob.high:
        raise ValueError(f"must be at most {text(knob.high)}: {knob.why_high}")
    return level


def _flag(_: RuntimeKnob, level: object) -> Level:
    if not isinstance(level, bool):
        words = f'must be true, false or "unset", not {quantities.given(level)}'
        raise ValueError(words)  # noqa: TRY004 - see quantities
    return level


def _flavor(_: RuntimeKnob, level: object) -> Level:
    if level not in FLAVORS:
        raise ValueError(f"must be {' or '.join(FLAVORS)}, not {quantities.given(level)}")
    return str(level)


def _version(_: RuntimeKnob, level: object) -> Level:
    if level not in TOKIO_VERSIONS:
        known = " or ".join(f'"{version}"' for version in TOKIO_VERSIONS)
        words = f"must be {known}, in quotes: a lock file is kept for each of them; not {quantities.given(level)}"
        raise ValueError(words)
    return str(level)


def _duration_rust(level: Level) -> str:
    microseconds = round(quantities.duration_s(level) * 1e6)
    for unit, length in (("secs", 1_000_000), ("millis", 1_000)):
        if microseconds % length == 0:
            return f"std::time::Duration::from_{unit}({microseconds // length})"
    return f"std::time::Duration::from_micros({microseconds})"


_PARSERS: dict[Kind, Callable[[RuntimeKnob, object], Level]] = {
    "flavor": _flavor,
    "integer": _integer,
    "duration": _duration,
    "size": _size,
    "flag": _flag,
    "version": _version,
}
_RUST: dict[Kind, Callable[[Level], str]] = {
    "flavor": lambda level: "current_thread" if level == PER_CORE else str(level),
    "integer": str,
    "duration": _duration_rust,
    "size": lambda level: str(quantities.size_bytes(level)),
    "flag": lambda _: "",
    "version": str,
}
_MAGNITUDE: dict[Kind, Callable[[Level], float]] = {
    "flavor": lambda level: FLAVORS.index(str(level)),
    "integer": float,
    "duration": quantities.duration_s,
    "size": quantities.size_bytes,
    "flag": float,
    "version": lambda level: TOKIO_VERSIONS.index(str(level)),
}

_PANICS = "0 panics when the runtime is built"
_U32 = 2**32 - 1
_MULTI = ("multi_thread",)

_ROWS = (
    RuntimeKnob(
        name="flavor",
        kind="flavor",
        about="The scheduler: worker threads that steal work from each other, one thread that does everything, or a runtime "
        "of one thread for each core, with connections of its own (thread_per_core, SO_REUSEPORT).",
        default_text="multi_thread",
        default="multi_thread",
        since="0.3",
        call="Builder::new_{}()",
    ),
    RuntimeKnob(
        name="worker_threads",
        kind="integer",
        about="How many threads poll tasks, on thread_per_core how many runtimes. All start with the runtime and none ever "
        "exits; more than cores helps only where tasks block their worker or others take the CPU.",
        default_text="the cores that the process may use",
        low=1,
        high=1024,
        why_low=_PANICS,
        why_high="all start at once, and the system may refuse the threads with a panic",
        flavors=("multi_thread", PER_CORE),
        since="0.3",
        call=".worker_threads({})",
    ),
    RuntimeKnob(
        name="max_blocking_threads",
        kind="integer",
        about="A cap on the threads of spawn_blocking, over a queue without limit. They start on demand; too low a cap "
        "queues jobs, and hangs where jobs wait for each other. Of thread_per_core each runtime has its own.",
        default_text="512",
        default=512,
        low=1,
        high=4096,
        why_low=_PANICS,
        why_high="more threads do not fit the process limit that each container gets",
        call=".max_blocking_threads({})",
    ),
    RuntimeKnob(
        name="thread_keep_alive",
        kind="duration",
        about="How long an idle thread of the blocking pool lives on. Workers never time out.",
        default_text="10s",
        default="10s",
        low=0,
        high=86400,
        why_low="a duration is not negative",
        why_high="a day outlives every window",
        since="0.3",
        call=".thread_keep_alive({})",
    ),
    RuntimeKnob(
        name="event_interval",
        kind="integer",
        about="After how many scheduler ticks a busy worker looks for I/O and timers. It also decides how fresh the "
        "per-worker metrics are.",
        default_text="61",
        default=61,
        low=1,
        high=1000,
        why_low=_PANICS,
        why_high="beyond it the runtime's own metrics go stale and busy time reads too low",
        since="1.19",
        call=".event_interval({})",
    ),
    RuntimeKnob(
        name="global_queue_interval",
        kind="integer",
        about="After how many ticks a worker looks into the global queue first. Any number, even 31, switches off the "
        "self-tuning of multi_thread; it acts only where tasks are woken from outside the workers.",
        default_text="31 on one thread, self-tuned on multi_thread",
        stands_at=31,
        low=1,
        high=_U32,
        why_low=_PANICS,
        why_high="Tokio takes a 32-bit number",
        since="1.19",
        call=".global_queue_interval({})",
    ),
    RuntimeKnob(
        name="max_io_events_per_tick",
        kind="integer",
        about="How many ready sockets one look at the operating system may return. Acts only where more are ready.",
        default_text="1024",
        default=1024,
        low=1,
        high=65536,
        why_low=_PANICS,
        why_high="the buffer is allocated at once, and absurd sizes panic",
        since="1.24",
        call=".max_io_events_per_tick({})",
    ),
    RuntimeKnob(
        name="max_io_events_per_busy_tick",
        kind="integer",
        about="The same for looks that do not wait because the worker still has tasks.",
        default_text="the same as max_io_events_per_tick",
        stands_at=1024,
        low=1,
        high=65536,
        why_low=_PANICS,
        why_high="the buffer is allocated at once, and absurd sizes panic",
        since="1.54",
        call=".max_io_events_per_busy_tick({})",
    ),
    RuntimeKnob(
        name="thread_stack_size",
        kind="size",
        about="Stack of workers and blocking threads. Virtual memory: only touched pages count.",
        default_text="2MiB",
        default="2MiB",
        low=65536,
        high=2**30,
        why_low="a handler on a smaller stack crashes under load, not at start",
        why_high="the system may refuse the address space",
        since="0.2",
        call=".thread_stack_size({})",
    ),
    RuntimeKnob(
        name="disable_lifo_slot",
        kind="flag",
        about="A task that was just woken goes to the queue that others can steal from, not to the front.",
        default_text="false",
        default=False,
        flavors=_MULTI,
        stable=False,
        since="1.21",
        call=".disable_lifo_slot({})",
    ),
    RuntimeKnob(
        name="enable_alt_timer",
        kind="flag",
        about="A timer wheel for each worker instead of one shared wheel; for many workers with many timers.",
        default_text="false",
        default=False,
        flavors=_MULTI,
        stable=False,
        since="1.49",
        call=".enable_alt_timer({})",
    ),
    RuntimeKnob(
        name="enable_eager_driver_handoff",
        kind="flag",
        about="The worker that looked for I/O wakes another one before it polls a task: less latency behind long "
        "polls, more wake-ups.",
        default_text="false",
        default=False,
        flavors=_MULTI,
        stable=False,
        since="1.52",
        call=".enable_eager_driver_handoff({})",
    ),
    RuntimeKnob(
        name="enable_sharded_blocking_queue",
        kind="flag",
        about="The queue of spawn_blocking is split, so that many threads contend less for it.",
        default_text="false",
        default=False,
        stable=False,
        since="1.54",
        call=".enable_sharded_blocking_queue({})",
    ),
    RuntimeKnob(
        name="enable_io_uring",
        kind="flag",
        about="Files that tokio::fs opens, reads and writes as a whole go by io_uring instead of the blocking pool; sockets do "
        "not. Needs Tokio's cargo features io-uring and fs; where the system forbids io_uring it changes nothing.",
        default_text="false",
        default=False,
        stable=False,
        since="1.48",
        call=".enable_io_uring({})",
    ),
    RuntimeKnob(
        name="tokio",
        kind="version",
        about="The version of Tokio that the service is built with; everything else in its lock file stays. A change of "
        "version can cost or gain more than any setting.",
        default_text=TOKIO_VERSIONS[-1],
        default=TOKIO_VERSIONS[-1],
        since=TOKIO_VERSIONS[0],
    ),
)

TABLE: dict[str, RuntimeKnob] = {row.name: row for row in _ROWS}
"""Every runtime knob by name, in the order in which its call is rendered."""


_CHANGES_TIMING = "it costs time in every poll or thread, so it is off in all scored windows"
_NAME_ONLY = "it names things and changes nothing that is measured"

NOT_SEARCHED: dict[str, str] = {
    "build": "every variant calls it",
    "build_local": "on multi_thread it panics, and a LocalRuntime is another kind of program",
    "enable_all": "every variant calls it",
    "enable_io": "sockets panic without it; every variant calls enable_all",
    "enable_time": "timers panic without it; every variant calls enable_all",
    "enable_metrics_poll_count_histogram": _CHANGES_TIMING,
    "enable_metrics_poll_time_histogram": _CHANGES_TIMING,
    "enable_metrics_schedule_latency_histogram": _CHANGES_TIMING,
    "metrics_poll_count_histogram_buckets": _CHANGES_TIMING,
    "metrics_poll_count_histogram_resolution": _CHANGES_TIMING,
    "metrics_poll_count_histogram_scale": _CHANGES_TIMING,
    "metrics_poll_time_histogram_configuration": _CHANGES_TIMING,
    "metrics_schedule_latency_histogram_configuration": _CHANGES_TIMING,
    "track_task_schedule_latency": _CHANGES_TIMING,
    "name": _NAME_ONLY,
    "new_current_thread": "write flavor: current_thread",
    "new_multi_thread": "write flavor: multi_thread",
    "on_after_task_poll": _CHANGES_TIMING,
    "on_before_task_poll": _CHANGES_TIMING,
    "on_task_spawn": _CHANGES_TIMING,
    "on_task_terminate": _CHANGES_TIMING,
    "on_thread_park": _CHANGES_TIMING,
    "on_thread_start": "it is code, not a value",
    "on_thread_stop": "it is code, not a value",
    "on_thread_unpark": _CHANGES_TIMING,
    "rng_seed": "it fixes the order of select! and where stealing starts: a source of noise, not a setting that serves better",
    "start_paused": "it stops the clock, for tests only; on multi_thread it panics",
    "thread_name": _NAME_ONLY,
    "thread_name_fn": _NAME_ONLY,
    "unhandled_panic": "ShutdownRuntime ends the service at the first panic, and panics itself on multi_thread",
}
"""Every other method of Builder, and why no study may search it. With TABLE this is all of Builder; a test compares."""


def canonical(values: Mapping[str, Level], default_workers: int) -> dict[str, Level]:
    """Return `values` without what changes nothing: unset, explicit defaults, knobs of the other flavor.

    `default_workers` is what Tokio resolves `worker_threads` to: the number of cores that the target is given.
    """
    flavor = values.get("flavor", UNSET)
    flavor = "multi_thread" if flavor == UNSET else flavor
    workers = values.get("worker_threads", UNSET)
    if flavor == PER_CORE and (default_workers if workers == UNSET else workers) == 1:
        # One runtime has nobody to share the port with.
        flavor, values = "current_thread", {**values, "flavor": "current_thread"}
    kept = {
        name: level
        for name, level in values.items()
        if level != UNSET and flavor in TABLE[name].flavors and not _is_default(TABLE[name], level)
    }
    if kept.get("worker_threads") == default_workers:
        del kept["worker_threads"]
    if flavor != "multi_thread" and kept.get("global_queue_interval") == 31:  # noqa: PLR2004 - Tokio's constant
        del kept["global_queue_interval"]
    if kept.get("max_io_events_per_busy_tick") == kept.get("max_io_events_per_tick", 1024):
        kept.pop("max_io_events_per_busy_tick", None)
    return dict(sorted(kept.items()))


def _is_default(row: RuntimeKnob, level: Level) -> bool:
    return row.default is not None and type(level) is type(row.default) and level == row.default


def builder_calls(values: Mapping[str, Level]) -> tuple[str, ...]:
    """Return the Builder expression of canonical `values`, one call an element, without the final `.build()`."""
    first = TABLE["flavor"].rust(values.get("flavor", "multi_thread"))
    not_set = {"flavor", "worker_threads"} if values.get("flavor") == PER_CORE else {"flavor"}
    set_knobs = [row for name, row in TABLE.items() if name in values and row.call and name not in not_set]
    return (first, ".enable_all()", *(row.rust(values[row.name]) for row in set_knobs))


def runtimes(values: Mapping[str, Level]) -> str:
    """Return how many runtimes canonical `values` mean, as Rust: "1" but on thread_per_core."""
    if values.get("flavor") != PER_CORE:
        return "1"
    return str(values.get("worker_threads", "std::thread::available_parallelism()?.get()"))


def needs_unstable(values: Mapping[str, Level]) -> tuple[str, ...]:
    """Return the knobs among canonical `values` whose Rust compiles only with `--cfg tokio_unstable`."""
    return tuple(name for name, row in TABLE.items() if name in values and not row.stable)


def cargo_features(values: Mapping[str, Level]) -> tuple[str, ...]:
    """Return the features of the target's crate that canonical `values` are built with."""
    return (IO_URING,) if values.get("enable_io_uring") is True else ()


def built_with(values: Mapping[str, Level]) -> str:
    """Return the version of Tokio, as major.minor, that canonical `values` are built with."""
    return str(values.get("tokio", TOKIO_VERSIONS[-1]))


def lacking(version: str) -> tuple[str, ...]:
    """Return the knobs that the Builder of that version of Tokio does not have yet."""
    return tuple(name for name, row in TABLE.items() if is_newer(row.since, version))


def is_newer(since: str, version: str) -> bool:
    """Return whether a version of Tokio, in numbers with dots, came after another one."""
    return _ordered(since) > _ordered(version)


def _ordered(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def resolved(values: Mapping[str, Level], default_workers: int) -> dict[str, Level]:
    """Return what Tokio makes of `values`: every knob with the value in force, in words where it is no constant."""
    flavor = values.get("flavor", "multi_thread")
    result: dict[str, Level] = {}
    for name, row in TABLE.items():
        if flavor in row.flavors:
            fallback: Level = default_workers if name == "worker_threads" else row.default_text
            result[name] = values.get(name, fallback)
    return result


def in_force(name: str, values: Mapping[str, Level], default_workers: int) -> Level | None:
    """Return the level of a knob that canonical `values` put in force.

    None where no constant says what Tokio takes, and where the knob means nothing under the flavor.
    """
    flavor = values.get("flavor", "multi_thread")
    if flavor not in TABLE[name].flavors:
        return None
    fallback = {
        "worker_threads": default_workers,
        "global_queue_interval": None if flavor == "multi_thread" else 31,
        "max_io_events_per_busy_tick": values.get("max_io_events_per_tick", 1024),
    }
    return values.get(name, fallback.get(name, TABLE[name].default))


def about(knob: Knob, target: Target) -> str:
    """Return the sentence that says what a searched knob does."""
    if knob.kind == "runtime":
        return TABLE[knob.name].about
    return next(option.about for option in target.options if option.name == knob.name)
