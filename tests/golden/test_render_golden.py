"""The Rust of every row of the knob table, as it is built, measured and recommended."""

from pathlib import Path

import pytest

from harness.study import knobs
from harness.target import render

TEMPLATES = Path(__file__).resolve().parents[2] / "target_templates"
LEVELS = {"flavor": "current_thread", "integer": 7, "duration": "1s", "size": "4MiB", "flag": True}

DEFAULT = """\
//! The runtime of this service, built by `tokio::runtime::Builder`.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Builds the runtime; every setting that is not named here keeps Tokio's default.
pub fn build() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
}
"""


def test_nothing_set_renders_tokios_defaults_byte_for_byte():
    assert render.rendered(knobs.builder_calls({})) == DEFAULT


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("*/src/runtime.rs")), ids=lambda file: file.parts[-3])
def test_a_template_has_the_rendered_default_committed(file):
    assert file.read_text(encoding="utf-8") == DEFAULT


@pytest.mark.parametrize("name", [name for name, row in knobs.TABLE.items() if row.call])
def test_a_knob_renders_its_call(name, snapshot):
    row = knobs.TABLE[name]
    level = row.parse(LEVELS[row.kind])

    assert render.rendered(knobs.builder_calls({name: level})) == snapshot


def test_all_knobs_together_render_in_the_order_of_the_table(snapshot):
    values = {name: row.parse(LEVELS[row.kind]) for name, row in knobs.TABLE.items() if row.call and name != "flavor"}

    assert render.rendered(knobs.builder_calls(values)) == snapshot


@pytest.mark.parametrize("values", [{}, {"worker_threads": 4, "event_interval": 7}], ids=["cores", "four"])
def test_thread_per_core_renders_as_many_runtimes(values, snapshot):
    values = {"flavor": "thread_per_core", **values}

    assert render.rendered(knobs.builder_calls(values), knobs.runtimes(values)) == snapshot


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("*/src/main.rs")), ids=lambda file: file.parts[-3])
def test_a_template_is_served_by_one_runtime_or_several(file):
    assert "::serve(runtime.into())," in file.read_text(encoding="utf-8")


def test_a_duration_below_a_second_is_exact(snapshot):
    level = knobs.TABLE["thread_keep_alive"].parse("250ms")

    assert render.rendered(knobs.builder_calls({"thread_keep_alive": level})) == snapshot
