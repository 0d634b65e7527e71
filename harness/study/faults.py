"""Faults of a study file in words: what to write instead, never what the validator is called."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.errors import StudyError
from harness.study import places
from harness.study.model import Level
from harness.study.places import Fault

Loc = tuple[str | int, ...]

_TYPES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_LENGTHS = {"too_short": "at least {min_length}", "too_long": "at most {max_length}"}
_FORM_OF_LEVELS = {"levels", "range"}


class Faults:
    """Collects every fault of one file, each at its place in the text."""

    def __init__(self, root: yaml.Node | None) -> None:
        """`root` is the node tree of the file."""
        self._root = root
        self._found: set[Fault] = set(places.equal_keys(root))

    def __bool__(self) -> bool:
        """Whether there is any fault."""
        return bool(self._found)

    def add(self, words: str, *loc: str | int) -> None:
        """Add one fault at the key that `loc` leads to."""
        self._found.add(places.fault_at(self._root, loc, words))

    def attempt(self, act: Callable[[], Level], *loc: str | int) -> Level | None:
        """Return what `act` returns; a ValueError of it becomes a fault, and None."""
        try:
            return act()
        except ValueError as error:
            self.add(str(error), *loc)
            return None

    def add_all(self, error: ValidationError, allowed: Callable[[Loc], list[str]]) -> None:
        """Add every fault that pydantic found; `allowed` names the known keys at a place."""
        for found in error.errors(include_url=False):
            loc = _without_tags(found["loc"])
            words = _words(found, loc, allowed)
            key, _, rest = words.partition(": ")
            if found["type"] == "value_error" and key.isidentifier():
                loc, words = (*loc, key), rest  # a check of the whole mapping that blames one key
            self.add(words, *loc)

    def error(self, path: Path) -> StudyError:
        """Return all of it as one error, a line each, sorted by place."""
        return StudyError("\n".join(fault.text(str(path)) for fault in sorted(self._found)))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean x? " for the known name nearest to `name`, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]}? " if near else ""


def listed(names: Iterable[str]) -> str:
    """Return names as a list in words."""
    return ", ".join(names) or "none"


def _without_tags(loc: Loc) -> Loc:
    """Drop what pydantic adds to the place of a knob's levels: the name of the form that it took them for."""
    tagged = len(loc) > 2 and loc[0] == "knobs" and loc[2] in _FORM_OF_LEVELS  # noqa: PLR2004 - knobs, name, tag
    return (*loc[:2], *loc[3:]) if tagged else loc


def _words(found: Any, loc: Loc, allowed: Callable[[Loc], list[str]]) -> str:  # noqa: ANN401 - pydantic's record
    kind, context = found["type"], found.get("ctx", {})
    given = repr(found["input"])
    given = given if len(given) <= 60 else f"{given[:57]}..."  # noqa: PLR2004 - one line of a terminal
    if kind == "extra_forbidden":
        known = allowed(loc[:-1])
        return f"is no known key. {nearest(str(loc[-1]), known)}Allowed: {listed(known)}"
    if kind in _BOUNDS:
        word, bound = _BOUNDS[kind]
        return f"must be {word} {context[bound]}, not {given}"
    if kind in _LENGTHS:
        return f"must have {_LENGTHS[kind].format(**context)} of them, not {context['actual_length']}"
    fixed = {
        "missing": "is missing",
        "value_error": str(context.get("error")),
        "string_pattern_mismatch": f"{given} is not of the form {context.get('pattern')}",
        "literal_error": f"must be {context.get('expected')}, not {given}",
        "string_too_long": f"must be at most {context.get('max_length')} characters long",
    }
    if kind in _TYPES:
        return f"{_TYPES[kind]}, not {given}"
    return fixed.get(kind) or f"{found['msg'][0].lower()}{found['msg'][1:]}, not {given}"
