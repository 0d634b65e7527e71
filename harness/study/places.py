"""Where in the YAML text a fault lies: the node tree of the file, and the mark of each key. Refuses what YAML hides.

Equal keys, aliases and merge keys are refused: the first silently loses a line, the others make a small file huge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

MAX_DEPTH = 32


@dataclass(frozen=True, order=True)
class Fault:
    """One thing to mend: where (1-based line and column), which key, and what to write instead."""

    line: int
    column: int
    key: str
    words: str

    def text(self, file: str) -> str:
        """Return the fault as one line."""
        key = f" {self.key}:" if self.key else ""
        return f"{file}:{self.line}:{self.column}{key} {self.words}"


def compose(text: str) -> yaml.Node | None:
    """Return the node tree of a YAML text with safe tags; yaml.YAMLError where it is no YAML, ValueError for aliases."""
    if any(isinstance(event, yaml.AliasEvent) for event in _events(text)):
        raise ValueError("anchors and aliases (&name, *name) are not supported: write the value out")
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _events(text: str) -> list[yaml.Event]:
    events: list[yaml.Event] = []
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        events.append(event)
    return events


def equal_keys(node: yaml.Node | None, key: str = "") -> list[Fault]:
    """Return a fault for every key that stands twice in one mapping, of which YAML would keep only the last."""
    faults: list[Fault] = []
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, value in node.value:
            where = f"{key}.{name.value}".lstrip(".")
            if name.value in seen:
                words = f"stands here and in line {seen[name.value]}: keep one"
                faults.append(Fault(name.start_mark.line + 1, name.start_mark.column + 1, where, words))
            seen[str(name.value)] = name.start_mark.line + 1
            faults += equal_keys(value, where)
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            faults += equal_keys(value, f"{key}[{index}]")
    return faults


def fault_at(node: yaml.Node | None, loc: Sequence[str | int], words: str) -> Fault:
    """Return a fault at the key that `loc` leads to, or at the nearest parent that exists."""
    mark = node.start_mark if node is not None else None
    for part in loc:
        found = _step(node, part)
        if found is None:
            continue  # a part that names a model inside a union, or a missing key: the parent's place stays
        key, node = found
        mark = key.start_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return Fault(line, column, _path(loc), words)


def _step(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _path(loc: Sequence[str | int]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")
