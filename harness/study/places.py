"""Where in the YAML text a fault lies, and the plain values of the text: its node tree, read as YAML 1.2 reads it.

Owns all contact with the YAML library. Refuses what YAML hides: equal keys (all but the last would be lost), aliases
(a small file becomes huge), tags and deep nesting. Words that older YAML turns into something else (`on`, `010`,
`1:30`) stay text, as in the editors that the JSON Schema is for; so a fault shows them as they were written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 32
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same in C where it is there: ten times as fast
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_FRACTION = re.compile(r"[-+]?((0|[1-9][0-9]{0,99})(\.[0-9]{0,99})?|\.[0-9]{1,99})([eE][-+]?[0-9]{1,4})?")


@dataclass(frozen=True, order=True)
class Fault:
    """One thing to mend: where (1-based line and column), which key, and what to write instead."""

    line: int
    column: int
    key: str
    words: str

    def text(self, file: str) -> str:
        """Return the fault as one line; characters that would steer a terminal are shown as codes."""
        key = f" {self.key}:" if self.key else ""
        return printable(f"{file}:{self.line}:{self.column}{key} {self.words}")


class Unreadable(Exception):  # noqa: N818 - named for what the text is
    """The text is no YAML that a study may be written in; `fault` says where and why."""

    def __init__(self, mark: Any, words: str) -> None:  # noqa: ANN401 - the library has two kinds of mark
        """Keep the place and the reason."""
        super().__init__(words)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        self.fault = Fault(line, column, "", words)


def compose(text: str) -> yaml.Node | None:
    """Return the node tree of one YAML document, None where it is empty. Raises Unreadable."""
    try:
        _refuse_what_hides(text)
        return yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        why = error.problem or error.context
        raise Unreadable(error.problem_mark or error.context_mark, f"this is no YAML: {why}") from error
    except yaml.YAMLError as error:  # the reader's: it has no mark
        why = str(error).splitlines()[0]
        raise Unreadable(None, f"this is no YAML: {why}") from error


def value(node: yaml.Node | None) -> object:
    """Return the plain value of a node: what JSON has, with text as the keys of every mapping."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: value(of_key) for key, of_key in node.value if isinstance(key, yaml.ScalarNode)}
    if isinstance(node, yaml.SequenceNode):
        return [value(item) for item in node.value]
    if node is None:
        return None
    quoted = isinstance(node, yaml.ScalarNode) and node.style
    return node.value if quoted else _plain(str(node.value))


def _plain(text: str) -> object:
    """Read a scalar without quotes by the core schema of YAML 1.2, less its octal, hexadecimal and infinite numbers."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FRACTION.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _refuse_what_hides(text: str) -> None:
    """Raise Unreadable on aliases, tags and deep nesting, from the stream of events: before any tree is built."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Unreadable(event.start_mark, "anchors and aliases (&name, *name) are not taken: write the value out")
        if getattr(event, "tag", None):
            raise Unreadable(event.start_mark, "tags (!name) are not taken: leave it out; quotes make a value text")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise Unreadable(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")


def key_faults(node: yaml.Node | None, key: str = "") -> list[Fault]:
    """Return a fault for every key that stands twice in one mapping, and for every key that is no single word."""
    faults: list[Fault] = []
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, of_name in node.value:
            if not isinstance(name, yaml.ScalarNode):
                faults.append(_at(name, key, "a key is one word, not a list or a mapping"))
                continue
            where = f"{key}.{name.value}".lstrip(".")
            if name.value in seen:
                faults.append(_at(name, where, f"stands here and in line {seen[name.value]}: keep one"))
            seen[name.value] = name.start_mark.line + 1
            faults += key_faults(of_name, where)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            faults += key_faults(item, f"{key}[{index}]")
    return faults


def fault_at(node: yaml.Node | None, loc: Sequence[str | int], words: str) -> Fault:
    """Return a fault at the key that `loc` leads to; for a key that is not there, at the nearest parent that is."""
    place = node
    for part in loc:
        found = _step(node, part)
        if found is None:
            break
        place, node = found
    return _at(place, _path(loc), words)


def printable(text: str) -> str:
    """Return text in which every character that is not to be seen is shown as its code."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def _at(node: yaml.Node | None, key: str, words: str) -> Fault:
    line, column = (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)
    return Fault(line, column, key if len(key) <= 120 else f"{key[:117]}...", words)  # noqa: PLR2004 - a line's length


def _step(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, of_key) for key, of_key in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _path(loc: Sequence[str | int]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")
