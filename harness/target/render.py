"""What a variant is made of: its runtime.rs and its environment. Pure, apart from reading the one template."""

from __future__ import annotations

from pathlib import Path

import jinja2

from harness import variant as variants
from harness.study import knobs
from harness.study.model import Level, Study
from harness.variant import Variant

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # noqa: S701 - the output is Rust, not HTML; calls come from the knob table only
    keep_trailing_newline=True,
)


def runtime_rs(study: Study, variant: Variant) -> str:
    """Return the Rust of the variant: an own crate's committed file where nothing of it changes, else rendered."""
    if study.target.own_runtime is not None and variants.is_verbatim(study, variant):
        return study.target.own_runtime
    values = variants.runtime_values(study, variant)
    calls = (*knobs.builder_calls(values), *((POLL_HISTOGRAM,) if study.poll_histogram else ()))
    return rendered(calls, knobs.runtimes(values))


POLL_HISTOGRAM = ".enable_metrics_poll_time_histogram()"
"""Counts poll times in Tokio's own buckets; needs `--cfg tokio_unstable`, which the templates are built with."""


def rendered(calls: tuple[str, ...], runtimes: str = "1") -> str:
    """Return a runtime.rs that makes these Builder calls, once for each of `runtimes`, a number in Rust."""
    return _TEMPLATES.get_template("runtime.rs.j2").render(calls=calls, runtimes=runtimes)


def environment(study: Study, variant: Variant) -> dict[str, str]:
    """Return OPT_<NAME> for every option and setting of the target, complete."""
    values = {**study.target.settings, **variants.option_values(study, variant)}
    return {f"OPT_{name.upper()}": text(level) for name, level in sorted(values.items())}


def text(level: Level) -> str:
    """Return a level as an environment variable holds it: 2.0 is "2", True is "true"."""
    if isinstance(level, bool):
        return str(level).lower()
    if isinstance(level, float) and level.is_integer():
        return str(int(level))
    return str(level)
