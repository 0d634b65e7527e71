"""What the committed src/runtime.rs of an own crate sets: its Builder calls, read from the Rust text.

Reads literals only and says what it could not read. Never compiles, never runs, never guesses a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.study import quantities
from harness.study.knobs import TABLE, RuntimeKnob
from harness.study.model import Level

_COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.DOTALL)
_NEW = re.compile(r"::\s*new_(multi_thread|current_thread)\s*\(\s*\)")
_BUILD = re.compile(r"\.\s*build(_local)?\s*\(")
_CALL = re.compile(r"\.\s*([a-z_][a-z0-9_]*)\s*\(")
_BRANCH = re.compile(r"\b(if|match|for|while|loop)\b")
_INTEGER = re.compile(r"([0-9][0-9_]*?)(?:_?(?:u8|u16|u32|u64|usize|i32|i64))?")
_DURATION = re.compile(r"(?:(?:std|core|tokio)::time::)?Duration::from_(secs|millis|micros)\((.*)\)", re.DOTALL)
_SECONDS = {"secs": 1.0, "millis": 1e-3, "micros": 1e-6}
_ALWAYS = {"enable_all", "enable_io", "enable_time"}
"""Calls that every rendered runtime makes too, with `enable_all`."""


def read_builder_calls(rust: str) -> tuple[dict[str, Level], tuple[str, ...]]:
    """Return (levels that the knob table knows, what it could not read, as written).

    The second part is what a variant that is rendered anew cannot keep: a hook, a computed number, a branch.
    """
    source = _without_comments(rust)
    mask = _COMMENT_OR_TEXT.sub(lambda found: '"' + " " * (len(found[0]) - 2) + '"', source)
    begin = _NEW.search(mask)
    if begin is None:
        return {}, ("no Builder::new_multi_thread() or Builder::new_current_thread()",)
    values: dict[str, Level] = {"flavor": begin[1]}
    unknown = ["more than one Builder"] if _NEW.search(mask, begin.end()) else []
    end = _BUILD.search(mask, begin.end())
    last = end.start() if end else len(mask)
    unknown += [f"`{branch}` between its calls" for branch in _BRANCH.findall(mask[begin.end() : last])]
    for name, argument in _calls(source, mask, begin.end(), last):
        if name in _ALWAYS:
            continue
        level = _level(TABLE[name], argument) if name in TABLE else None
        if level is None:
            unknown.append(f".{name}({argument})")
        else:
            values[name] = level
    return values, tuple(unknown)


def _without_comments(rust: str) -> str:
    return _COMMENT_OR_TEXT.sub(lambda found: " " if found[0].startswith(("//", "/*")) else found[0], rust)


def _calls(source: str, mask: str, at: int, last: int) -> Iterator[tuple[str, str]]:
    """Yield (name, argument) of each method call in between; calls inside an argument belong to it."""
    while (found := _CALL.search(mask, at, last)) is not None:
        at = _closing(mask, found.end())
        yield found[1], " ".join(source[found.end() : at].split())


def _closing(mask: str, at: int) -> int:
    """Return where the parenthesis closes that was opened just before `at`."""
    depth = 1
    for index in range(at, len(mask)):
        depth += (mask[index] == "(") - (mask[index] == ")")
        if depth == 0:
            return index
    return len(mask)


def _level(row: RuntimeKnob, argument: str) -> Level | None:
    """Return the level that a literal argument means; None where it is no literal, or no level a study may name."""
    try:
        written = _written(row, argument.rstrip(" ,"))
        return None if written is None else row.parse(written)
    except ValueError:
        return None


def _written(row: RuntimeKnob, argument: str) -> Level | None:
    if row.kind == "flag":
        return None if argument else True
    if row.kind == "duration":
        found = _DURATION.fullmatch(argument)
        number = _product(found[2]) if found else None
        return None if number is None or found is None else quantities.duration_text(number * _SECONDS[found[1]])
    number = _product(argument)
    return quantities.size_text(number) if row.kind == "size" and number is not None else number


def _product(text: str) -> int | None:
    """Return the value of an integer literal, or of several multiplied: `2 * 1024 * 1024`."""
    number = 1
    for factor in text.split("*"):
        found = _INTEGER.fullmatch(factor.strip())
        if found is None:
            return None
        number *= int(found[1].replace("_", ""))
    return number
