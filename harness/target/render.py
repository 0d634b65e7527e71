"""A variant's runtime.rs: one small template over the lines that the knob table gives. Pure text, nothing written."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, StrictUndefined, Template

from harness import variant as variants
from harness.study import knobs
from harness.study.manifest import RUNTIME_TEMPLATE
from harness.study.model import Study
from harness.variant import Variant


def runtime_rs(study: Study, variant: Variant) -> str:
    """Return the Rust source of the variant's runtime; an own crate's committed file where the variant changes nothing."""
    if study.target.own_runtime is not None and variants.is_verbatim(study, variant):
        return study.target.own_runtime
    return _template().render(calls=knobs.builder_calls(variants.runtime_values(study, variant)))


@cache
def _template() -> Template:
    # Autoescape is for HTML; in Rust it would turn quotes into entities.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    return environment.from_string(RUNTIME_TEMPLATE.read_text(encoding="utf-8"))
