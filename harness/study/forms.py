"""The forms of single values in a study file: quantities with units, names, paths, headers.

Owns what a value must look like, in words and as a pattern for editors; knows no key that uses them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from harness.study import quantities
from harness.study.quantities import given


@dataclass(frozen=True)
class Form:
    """The form of a text: what to write, the regular expression that it must match, and how long it may be."""

    words: str
    pattern: str
    most: int = 4096

    def check(self, value: str) -> str:
        """Return `value` where it has the form; ValueError says what to write."""
        if len(value) > self.most or not re.fullmatch(self.pattern, value):
            raise ValueError(f"{self.words}, not {given(value)}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """Check after the value is known to be text."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, _: CoreSchema, __: GetJsonSchemaHandler) -> dict[str, Any]:
        """Tell editors the form."""
        return {"type": "string", "pattern": f"^{self.pattern}$", "maxLength": self.most}


def _scalar(value: Any) -> Any:  # noqa: ANN401 - raw YAML
    if not isinstance(value, (str, bool, int, float)):
        words = f"must be one value (text, a number, true or false), not {given(value)}"
        raise ValueError(words)  # noqa: TRY004 - pydantic gives a ValueError its place
    return value


def _written(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern})


Duration = Annotated[float, BeforeValidator(quantities.duration_s), _written(quantities.pattern(quantities.DURATIONS))]
Size = Annotated[int, BeforeValidator(quantities.size_bytes), _written(quantities.pattern(quantities.SIZES))]
Share = Annotated[float, BeforeValidator(quantities.share), _written(rf"^{quantities.NUMBER}\s*%$")]
Scalar = Annotated[Any, BeforeValidator(_scalar), WithJsonSchema({"type": ["string", "boolean", "integer", "number"]})]
Slug = Annotated[
    str, Form("write a name of lower-case letters, digits, - and _, at most 64", "[a-z0-9][a-z0-9_-]{0,63}", 64)
]
Folder = Annotated[str, Form("write the path of a folder, at most 4096 characters", r"[^\x00-\x1f]+")]
FileName = Annotated[str, Form("write the path of a file, at most 4096 characters", r"[^\x00-\x1f]+")]
RequestPath = Annotated[
    str, Form("write a path that starts with / and has no spaces (a space is %20), at most 4096 characters", "/[!-~]*")
]
HeaderName = Annotated[str, Form("write a header's name, such as X-Tenant", r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", 128)]
HeaderValue = Annotated[str, Form("write a header's value as one line of ASCII", r"[\t -~]*")]
Settings = Annotated[dict[str, Scalar], Field(max_length=64)]
