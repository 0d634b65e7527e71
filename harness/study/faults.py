"""Faults of a study file in words: what to write instead, never what the validator is called.

Owns the wording and the list of faults of one file; decides nothing about what is right.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.errors import StudyError
from harness.study import places
from harness.study.places import Fault
from harness.study.quantities import given

Loc = tuple[str | int, ...]

MOST_FAULTS = 40
"""More lines than a person reads at once."""

_SENTENCES = {
    "string_type": "must be text, not {given}",
    "int_type": "must be a whole number, not {given}",
    "int_from_float": "must be a whole number, not {given}",
    "float_type": "must be a number, not {given}",
    "float_parsing": "must be a number, not {given}",
    "finite_number": "must be a number, not {given}",
    "bool_type": "must be true or false, not {given}",
    "list_type": "must be a list, not {given}",
    "dict_type": "must be a mapping, not {given}",
    "model_type": "must be a mapping, not {given}",
    "model_attributes_type": "must be a mapping, not {given}",
    "literal_error": "must be {expected}, not {given}",
    "string_too_long": "must be at most {max_length} characters long",
    "too_short": "must have at least {min_length} of them, not {actual_length}",
    "too_long": "must have at most {max_length} of them",
    "missing": "is missing",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_TAGS = {("knobs",): (2, {"levels", "range"}), ("load", "arrivals"): (2, {"law", "changing"})}
"""Where pydantic puts the form that a value was taken for into its place: at which position, and its words."""


class Blame(ValueError):  # noqa: N818 - a ValueError that names the key it blames
    """A check of a whole mapping found one of its keys at fault."""

    def __init__(self, key: str, words: str) -> None:
        """Keep the key beside the words."""
        super().__init__(words)
        self.key = key


class Faults:
    """Collects every fault of one file, each at its place in the text."""

    def __init__(self, root: yaml.Node | None) -> None:
        """`root` is the node tree of the file."""
        self._root = root
        self._found: set[Fault] = set(places.key_faults(root)[: 2 * MOST_FAULTS])
        self._misshapen: list[Loc] = []

    def __bool__(self) -> bool:
        """Whether there is any fault."""
        return bool(self._found)

    def add(self, words: str, *loc: str | int, rests_on: Sequence[Loc] = ()) -> None:
        """Add one fault at the key that `loc` leads to, unless something that it rests on is at fault itself."""
        if not any(_touch(bad, place) for bad in self._misshapen for place in rests_on):
            self._found.add(places.fault_at(self._root, loc, words))

    def add_all(self, error: ValidationError, allowed: Callable[[Loc], tuple[str, ...]]) -> None:
        """Add every fault of the file's shape; `allowed` names the known keys at a place."""
        for found in error.errors(include_url=False)[: 2 * MOST_FAULTS]:  # to look up a place takes time
            loc = _without_tags(found["loc"])
            blamed = getattr(found.get("ctx", {}).get("error"), "key", None)
            self._misshapen.append(loc)
            self.add(_words(found, loc, allowed), *loc, *(() if blamed is None else (blamed,)))

    def error(self, path: Path) -> StudyError:
        """Return all of it as one error, a line each, sorted by place."""
        lines = [fault.text(str(path)) for fault in sorted(self._found)]
        more = [f"{path}: and more like these"] if len(lines) > MOST_FAULTS else []
        return StudyError("\n".join(lines[:MOST_FAULTS] + more))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean x? " for the known name nearest to `name`, or nothing."""
    near = difflib.get_close_matches(name[:64], list(known), n=1)
    return f"Did you mean {near[0]}? " if near else ""


def listed(names: Iterable[str]) -> str:
    """Return names as a list in words."""
    return ", ".join(names) or "none"


def _touch(one: Loc, other: Loc) -> bool:
    """Whether one place lies within the other."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _without_tags(loc: Loc) -> Loc:
    """Drop what pydantic adds to a place: the form that a knob's levels were taken for, the mark of a key."""
    loc = loc[:-1] if loc[-1:] == ("[key]",) else loc
    for begin, (position, tags) in _TAGS.items():
        if loc[: len(begin)] == begin and len(loc) > position and loc[position] in tags:
            return (*loc[:position], *loc[position + 1 :])
    return loc


_NOT_THERE: dict[Loc, str] = {
    ("load", "tls"): "is not there: the load is plain HTTP/1.1 to the target's own port, which speaks no TLS",
}
"""Keys that a person may look for, and why there is none."""


def _words(found: Any, loc: Loc, allowed: Callable[[Loc], tuple[str, ...]]) -> str:  # noqa: ANN401 - pydantic's record
    kind, context, value = found["type"], found.get("ctx", {}), found["input"]
    if kind == "extra_forbidden":
        known = allowed(loc[:-1])
        if loc in _NOT_THERE:
            return f"{_NOT_THERE[loc]}. Allowed: {listed(known)}"
        return f"is no known key. {nearest(str(loc[-1]), known)}Allowed: {listed(known)}"
    if kind in _BOUNDS:
        word, bound = _BOUNDS[kind]
        return f"must be {word} {context[bound]}, not {given(value)}"
    if kind in _SENTENCES:
        return _SENTENCES[kind].format(given=given(value), **context)
    return str(context.get("error") or found["msg"])
