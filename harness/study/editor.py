"""The JSON Schema of the study file, from which editors complete and explain what is written.

Made from the models, the knob table and the templates; owns no rule of its own.
"""

from __future__ import annotations

from typing import Any

from harness.study import knobs, manifest
from harness.study.schema import AUTO, StudyFile

_FORM_OF_LEVEL: dict[str, dict[str, Any]] = {
    "flavor": {"enum": [*knobs.FLAVORS, "unset"]},
    "version": {"enum": [*knobs.TOKIO_VERSIONS, "unset"]},
    "flag": {"enum": [True, False, "unset"]},
    "integer": {"type": ["integer", "string"]},
    "duration": {"type": "string"},
    "size": {"type": "string"},
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the study file: its keys, and the name and meaning of every knob and template."""
    schema = StudyFile.model_json_schema(by_alias=True)
    properties = schema["properties"]
    levels = properties["knobs"]["additionalProperties"]
    properties["knobs"]["properties"] = {
        row.name: {"description": _sentence(row), **levels} for row in knobs.TABLE.values()
    }
    about = properties["knobs"].pop("description")
    properties["knobs"] = {"anyOf": [{"const": AUTO}, properties["knobs"]], "description": about}
    properties["baseline"]["properties"] = {
        row.name: {"description": _sentence(row), **_FORM_OF_LEVEL[row.kind]} for row in knobs.TABLE.values()
    }
    schema["$defs"]["TargetFile"]["properties"]["template"]["examples"] = list(manifest.template_names())
    return {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A study of harness"}


def _sentence(row: knobs.RuntimeKnob) -> str:
    flavors = "" if row.flavors == knobs.FLAVORS else f" Only {' and '.join(row.flavors)}."
    return f"{row.about}{flavors} Default: {row.default_text}."
