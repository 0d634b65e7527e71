"""The knob table: what a study may set, what Tokio makes of it, what is refused before anything is built."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.study import knobs, own_runtime
from harness.study.model import UNSET

TWO_LEVELS = {
    "flavor": ("multi_thread", "current_thread"),
    "duration": ("250ms", "60s"),
    "size": ("1MiB", "8MiB"),
    "flag": (True, False),
    "integer": (7, 300),
    "version": ("1.47", "1.51"),
}
BUILDER = {name: row for name, row in knobs.TABLE.items() if row.call}

assignments = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from((UNSET, *TWO_LEVELS[row.kind], *((row.default,) if row.default is not None else ())))
        for name, row in BUILDER.items()
    },
)


@pytest.mark.parametrize("name", BUILDER)
def test_every_knob_has_a_level_that_renders_a_call(name):
    row = knobs.TABLE[name]
    level = next(level for level in TWO_LEVELS[row.kind] if knobs.canonical({name: level}, 1))

    calls = knobs.builder_calls(knobs.canonical({name: level}, default_workers=1))

    assert len(calls) == (2 if name == "flavor" else 3)
    assert "{" not in "".join(calls)


@pytest.mark.parametrize("name", [name for name, row in knobs.TABLE.items() if row.kind == "integer"])
def test_zero_is_refused_because_tokio_panics(name):
    with pytest.raises(ValueError, match=r"must be at least 1: 0 panics"):
        knobs.TABLE[name].parse(0)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("event_interval", 1001),
        ("max_io_events_per_tick", 2**63),
        ("worker_threads", 5000),
        ("thread_stack_size", "1B"),
        ("thread_keep_alive", 5),
        ("worker_threads", True),
        ("worker_threads", "4"),
        ("disable_lifo_slot", 1),
        ("flavor", "multi"),
        ("max_blocking_threads", "512"),
        ("max_blocking_threads", 20_000),
        ("thread_keep_alive", "2d"),
        ("thread_keep_alive", "48h"),
        ("thread_keep_alive", "9" * 400 + "s"),
        ("thread_stack_size", "2GiB"),
        ("global_queue_interval", 2**32),
        ("enable_alt_timer", "on"),
        ("worker_threads", None),
        ("worker_threads", 4.0),
        ("tokio", 1.47),
        ("tokio", "1.48"),
        ("tokio", "1.47.5"),
    ],
)
def test_levels_that_cannot_work_are_refused(name, level):
    with pytest.raises(ValueError, match=r"must be|write"):
        knobs.TABLE[name].parse(level)


@pytest.mark.parametrize("row", knobs.TABLE.values(), ids=lambda row: row.name)
def test_a_row_says_all_that_a_person_needs(row):
    said = asdict(row)

    assert [key for key in ("about", "default_text", "since", "flavors") if not said[key]] == []
    assert bool(row.call) == (row.kind != "version")
    if row.kind in {"integer", "duration", "size"}:
        assert row.low < row.high
        assert row.why_low
        assert row.why_high


@pytest.mark.parametrize("row", knobs.TABLE.values(), ids=lambda row: row.name)
def test_a_parsed_level_parses_to_itself(row):
    parsed = [row.parse(level) for level in (UNSET, *TWO_LEVELS[row.kind])]

    assert [row.parse(level) for level in parsed] == parsed


def test_the_unstable_knobs_are_those_that_tokio_hides_behind_its_flag():
    unstable = knobs.needs_unstable(dict.fromkeys(knobs.TABLE, 1))

    assert unstable == (
        "disable_lifo_slot",
        "enable_alt_timer",
        "enable_eager_driver_handoff",
        "enable_sharded_blocking_queue",
        "enable_io_uring",
    )


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("max_blocking_threads", 512),
        ("thread_keep_alive", 10),
        ("thread_stack_size", 2 * 2**20),
        ("global_queue_interval", 31),
        ("max_io_events_per_busy_tick", 1024),
        ("disable_lifo_slot", 0),
    ],
)
def test_unset_stands_in_order_where_its_default_does(name, number):
    assert knobs.TABLE[name].magnitude(UNSET) == number


def test_a_busy_tick_equal_to_the_tick_is_the_default():
    assert knobs.canonical({"max_io_events_per_busy_tick": 1024}, 1) == {}
    assert knobs.canonical({"max_io_events_per_tick": 8, "max_io_events_per_busy_tick": 8}, 1) == {
        "max_io_events_per_tick": 8
    }


@pytest.mark.parametrize(
    ("level", "call"), [("2s", "from_secs(2)"), ("250ms", "from_millis(250)"), ("10us", "from_micros(10)")]
)
def test_a_duration_renders_in_the_largest_unit_that_is_exact(level, call):
    rendered = knobs.TABLE["thread_keep_alive"].rust(level)

    assert rendered == f".thread_keep_alive(std::time::Duration::{call})"


@pytest.mark.parametrize(
    "row", [row for row in knobs.TABLE.values() if row.default is not None], ids=lambda row: row.name
)
def test_an_explicit_default_is_the_same_as_unset(row):
    assert knobs.canonical({row.name: row.default}, default_workers=4) == {}


def test_workers_equal_to_the_cores_are_the_default():
    assert knobs.canonical({"worker_threads": 4}, default_workers=4) == {}
    assert knobs.canonical({"worker_threads": 4}, default_workers=2) == {"worker_threads": 4}


def test_knobs_of_the_other_flavor_are_dropped():
    values = {"flavor": "current_thread", "worker_threads": 3, "disable_lifo_slot": True, "event_interval": 7}

    assert knobs.canonical(values, 1) == {"flavor": "current_thread", "event_interval": 7}


def test_one_runtime_for_each_core_of_one_is_a_single_one():
    assert knobs.canonical({"flavor": "thread_per_core"}, 1) == {"flavor": "current_thread"}
    assert knobs.canonical({"flavor": "thread_per_core", "worker_threads": 1}, 4) == {"flavor": "current_thread"}
    assert knobs.canonical({"flavor": "thread_per_core", "worker_threads": 2}, 1) == {
        "flavor": "thread_per_core",
        "worker_threads": 2,
    }


def test_thread_per_core_keeps_what_a_runtime_of_one_thread_knows_and_drops_the_rest():
    values = {"flavor": "thread_per_core", "disable_lifo_slot": True, "event_interval": 7, "global_queue_interval": 31}

    assert knobs.canonical(values, 2) == {"flavor": "thread_per_core", "event_interval": 7}


def test_the_workers_of_thread_per_core_are_its_runtimes_and_no_call():
    values = {"flavor": "thread_per_core", "worker_threads": 3}

    assert knobs.builder_calls(values) == ("Builder::new_current_thread()", ".enable_all()")
    assert knobs.runtimes(values) == "3"
    assert knobs.runtimes({"worker_threads": 3}) == "1"
    assert knobs.in_force("worker_threads", {"flavor": "thread_per_core"}, 2) == 2


def test_31_is_the_default_of_the_global_queue_interval_only_on_current_thread():
    assert knobs.canonical({"global_queue_interval": 31}, 1) == {"global_queue_interval": 31}
    assert knobs.canonical({"global_queue_interval": 31, "flavor": "current_thread"}, 1) == {"flavor": "current_thread"}


@given(assignments)
def test_canonical_form_is_stable_and_keeps_what_is_built(values):
    once = knobs.canonical(values, default_workers=2)

    assert knobs.canonical(once, default_workers=2) == once
    assert knobs.canonical(dict(reversed(values.items())), default_workers=2) == once
    assert UNSET not in once.values()


@given(assignments, assignments)
def test_equal_canonical_forms_are_exactly_the_equal_builder_calls(one, other):
    one, other = knobs.canonical(one, 2), knobs.canonical(other, 2)

    assert (one == other) == (knobs.builder_calls(one) == knobs.builder_calls(other))


def test_unset_renders_no_call():
    assert knobs.builder_calls({}) == ("Builder::new_multi_thread()", ".enable_all()")


@given(assignments)
def test_what_is_rendered_is_read_back(values):
    wanted = knobs.canonical(values, default_workers=2)

    found, unknown = own_runtime.read_builder_calls("\n".join((*knobs.builder_calls(wanted), ".build()")))

    assert knobs.canonical(found, default_workers=2) == wanted
    assert unknown == ()


def test_the_resolved_baseline_says_what_tokio_uses():
    resolved = knobs.resolved({}, default_workers=1)

    assert (resolved["worker_threads"], resolved["max_blocking_threads"], resolved["flavor"]) == (
        1,
        "512",
        "multi_thread",
    )
    assert "worker_threads" not in knobs.resolved({"flavor": "current_thread"}, default_workers=1)


@pytest.mark.cargo
def test_the_two_tables_together_are_all_of_tokios_builder():
    home = Path.home() / ".cargo" / "registry" / "src"
    sources = sorted(home.glob("*/tokio-1.54.1/src/runtime/builder.rs"))
    assert sources, "the pinned Tokio is not in cargo's registry: build a target first"
    public = set(re.findall(r"^ +pub fn (\w+)", sources[0].read_text(), re.MULTILINE))

    assert {"flavor"} | public - {"new_multi_thread", "new_current_thread"} <= set(BUILDER) | set(knobs.NOT_SEARCHED)
    assert set(BUILDER) | set(knobs.NOT_SEARCHED) <= {"flavor"} | public


def test_what_an_older_tokio_lacks_is_what_came_later():
    assert knobs.lacking("1.54") == ()
    assert knobs.lacking("1.51") == (
        "max_io_events_per_busy_tick",
        "enable_eager_driver_handoff",
        "enable_sharded_blocking_queue",
    )
    assert set(knobs.lacking("1.47")) - set(knobs.lacking("1.51")) == {"enable_alt_timer", "enable_io_uring"}


def test_the_default_version_is_no_change():
    assert knobs.canonical({"tokio": "1.54"}, 1) == {}
    assert knobs.canonical({"tokio": "1.47", "flavor": "current_thread"}, 1) == {
        "flavor": "current_thread",
        "tokio": "1.47",
    }


def test_a_version_of_tokio_is_no_call_of_the_builder():
    assert knobs.builder_calls({"tokio": "1.47"}) == knobs.builder_calls({})


@pytest.mark.parametrize(("level", "features"), [(True, ("io_uring",)), (False, ())])
def test_io_uring_is_compiled_in_for_the_variants_that_enable_it(level, features):
    assert knobs.cargo_features({"enable_io_uring": level}) == features


def test_no_setting_is_in_both_tables():
    assert set(knobs.TABLE) & set(knobs.NOT_SEARCHED) == set()
