"""Constraints between knobs: a small expression language with a parser of its own. Nothing is ever evaluated as code.

Grammar, from loosest to tightest; spaces mean nothing:

    either      both ("or" both)*
    both        negated ("and" negated)*
    negated     "not" negated | comparison
    comparison  sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)?
    sum         product (("+" | "-") product)*
    product     signed (("*" | "/") signed)*
    signed      "-" signed | NUMBER | QUANTITY | 'text' | "true" | "false" | "unset" | NAME | "(" either ")"

A knob stands for the level in force: durations in seconds, sizes in bytes, an unset knob with Tokio's default. Where no
default is a constant, or the knob means nothing under the variant's flavor, its value is unknown; so is a division by
zero. What rests on something unknown is unknown too ("and" with something false is false all the same), and a
constraint that is unknown does not bind. `knob == unset` asks whether the setter is called.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from harness.study import knobs, quantities
from harness.study.faults import listed, nearest
from harness.study.model import UNSET, Level

Kind = Literal["number", "text", "truth"]
Value = float | str | bool | None
"""What an expression comes to; None: unknown."""

MOST_LENGTH = 300
MOST_DEPTH = 20
"""Parentheses, signs and nots inside each other; deeper is no constraint that a person reads."""

NO_VALUE = "unset is no value: ask `knob == unset` or `knob != unset`"

_TOKEN = re.compile(
    r"(?P<number>[0-9]+(\.[0-9]+)?[A-Za-z]*)|(?P<name>[A-Za-z_]\w*)|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<sign><=|>=|==|!=|[-+*/()<>])|(?P<space>\s+)|(?P<wrong>.)",
    re.ASCII | re.DOTALL,
)
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CALCULATE: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class Wrong(ValueError):  # noqa: N818 - a ValueError that knows its place
    """The text is no constraint; `at` is the character, counted from 1, at which it goes wrong."""

    def __init__(self, at: int, words: str) -> None:
        """Put the place in front of the words."""
        super().__init__(f"at character {at}: {words}")


@dataclass(frozen=True)
class InForce:
    """The canonical values of one variant, as a constraint sees them."""

    values: Mapping[str, Level]
    default_workers: int

    def of(self, name: str) -> Value:
        """Return the value in force of a knob or option, None where it is unknown."""
        if name not in knobs.TABLE:
            return self.values.get(name)
        level = knobs.in_force(name, self.values, self.default_workers)
        is_quantity = level is not None and knobs.TABLE[name].kind in {"duration", "size"}
        return knobs.TABLE[name].magnitude(level) if is_quantity and level is not None else level


class Node(Protocol):
    """A part of an expression."""

    def value(self, now: InForce) -> Value:
        """Return what it comes to."""

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        """Return what kind of thing it is, where names have `kinds`; Wrong where that does not go together."""

    def names(self) -> tuple[str, ...]:
        """Return the knobs and options it names."""


@dataclass(frozen=True)
class Constraint:
    """One constraint as it was written, and what it means."""

    text: str
    meaning: Node

    def holds(self, values: Mapping[str, Level], default_workers: int) -> bool:
        """Whether canonical `values` are permitted: the constraint is true, or does not bind."""
        return self.meaning.value(InForce(values, default_workers)) is not False


def parse(text: str) -> Constraint:
    """Return the constraint that `text` says; Wrong names the place at which it is none."""
    if len(text) > MOST_LENGTH:
        raise Wrong(MOST_LENGTH, f"a constraint is at most {MOST_LENGTH} characters long; make two of it")
    reader = _Reader(tuple(_tokens(text)), len(text) + 1)
    meaning = reader.either()
    reader.end()
    return Constraint(text, meaning)


def check(constraint: Constraint, kinds: Mapping[str, Kind]) -> None:
    """Raise Wrong unless the constraint is a yes or no over names that have `kinds`."""
    if constraint.meaning.kind(kinds) != "truth":
        raise Wrong(1, "a constraint says yes or no: compare with <, <=, >, >=, == or !=")


@dataclass(frozen=True)
class _Constant:
    of: float | str | bool

    def value(self, _: InForce) -> Value:
        return self.of

    def kind(self, _: Mapping[str, Kind]) -> Kind:
        return "truth" if isinstance(self.of, bool) else "text" if isinstance(self.of, str) else "number"

    def names(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class _Name:
    name: str
    at: int

    def value(self, now: InForce) -> Value:
        return now.of(self.name)

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        if self.name == UNSET:
            raise Wrong(self.at, NO_VALUE)
        if self.name not in kinds:
            advice = f"{nearest(self.name, kinds)}There are: {listed(kinds)}. A level that is text stands in quotes"
            raise Wrong(self.at, f"{self.name} is neither a knob of the runtime nor an option of the target. {advice}")
        return kinds[self.name]

    def names(self) -> tuple[str, ...]:
        return (self.name,)


@dataclass(frozen=True)
class _IsUnset:
    name: _Name

    def value(self, now: InForce) -> Value:
        return self.name.name not in now.values

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        self.name.kind(kinds)
        if self.name.name not in knobs.TABLE:
            raise Wrong(self.name.at, f"{self.name.name} is an option of the target, and an option is never unset")
        return "truth"

    def names(self) -> tuple[str, ...]:
        return self.name.names()


@dataclass(frozen=True)
class _Not:
    of: Node
    at: int

    def value(self, now: InForce) -> Value:
        of = self.of.value(now)
        return None if of is None else not of

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        _expect(self.of.kind(kinds), "truth", "not", self.at)
        return "truth"

    def names(self) -> tuple[str, ...]:
        return self.of.names()


@dataclass(frozen=True)
class _Joined:
    """Two parts with "and" or "or" between them."""

    left: Node
    right: Node
    word: str
    at: int

    def value(self, now: InForce) -> Value:
        both = (self.left.value(now), self.right.value(now))
        decides = self.word == "or"  # one part that is true settles an "or", one that is false an "and"
        return decides if decides in both else None if None in both else not decides

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        for part in (self.left, self.right):
            _expect(part.kind(kinds), "truth", self.word, self.at)
        return "truth"

    def names(self) -> tuple[str, ...]:
        return (*self.left.names(), *self.right.names())


@dataclass(frozen=True)
class _Compared:
    left: Node
    right: Node
    sign: str
    at: int

    def value(self, now: InForce) -> Value:
        left, right = self.left.value(now), self.right.value(now)
        if left is None or right is None:
            return None
        if self.sign in {"==", "!="}:
            return (left == right) == (self.sign == "==")
        return _COMPARE[self.sign](float(left), float(right))

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        left, right = self.left.kind(kinds), self.right.kind(kinds)
        if left != right:
            raise Wrong(self.at, f"{self.sign} compares a {left} with a {right}, which are never alike")
        if self.sign in _COMPARE:
            _expect(left, "number", self.sign, self.at)
        return "truth"

    def names(self) -> tuple[str, ...]:
        return (*self.left.names(), *self.right.names())


@dataclass(frozen=True)
class _Calculated:
    left: Node
    right: Node
    sign: str
    at: int

    def value(self, now: InForce) -> Value:
        left, right = self.left.value(now), self.right.value(now)
        if left is None or right is None or (self.sign == "/" and float(right) == 0):
            return None
        return _CALCULATE[self.sign](float(left), float(right))

    def kind(self, kinds: Mapping[str, Kind]) -> Kind:
        for part in (self.left, self.right):
            _expect(part.kind(kinds), "number", self.sign, self.at)
        return "number"

    def names(self) -> tuple[str, ...]:
        return (*self.left.names(), *self.right.names())


def _expect(found: Kind, wanted: Kind, sign: str, at: int) -> None:
    if found != wanted:
        wants = {"number": "numbers", "truth": "comparisons", "text": "text"}[wanted]
        raise Wrong(at, f"{sign} takes {wants}, not a {found}")


@dataclass(frozen=True)
class _Token:
    form: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        form, at = str(found.lastgroup), found.start() + 1
        if form == "wrong":
            raise Wrong(at, f"{quantities.given(found.group())} has no meaning in a constraint")
        if form != "space":
            yield _Token(form, found.group(), at)


class _Reader:
    """Reads tokens by recursive descent, one method for each line of the grammar."""

    def __init__(self, tokens: tuple[_Token, ...], end: int) -> None:
        self._tokens = (*tokens, _Token("end", "", end))
        self._next = 0
        self._depth = 0

    def either(self) -> Node:
        left = self._both()
        while token := self._take("or"):
            left = _Joined(left, self._both(), token.text, token.at)
        return left

    def end(self) -> None:
        token = self._tokens[self._next]
        if token.form != "end":
            hint = "; join comparisons by `and`" if token.text in {*_COMPARE, "==", "!="} else ""
            raise Wrong(token.at, f"{quantities.given(token.text)} does not belong here{hint}")

    def _both(self) -> Node:
        left = self._negated()
        while token := self._take("and"):
            left = _Joined(left, self._negated(), token.text, token.at)
        return left

    def _negated(self) -> Node:
        token = self._take("not")
        return self._comparison() if token is None else _Not(self._deeper(self._negated, token), token.at)

    def _comparison(self) -> Node:
        left = self._sum()
        token = self._take(*_COMPARE, "==", "!=")
        return left if token is None else self._against(left, token)

    def _against(self, left: Node, sign: _Token) -> Node:
        right = self._sum()
        if not _is_unset(left) and not _is_unset(right):
            return _Compared(left, right, sign.text, sign.at)
        name = right if _is_unset(left) else left
        if sign.text not in {"==", "!="} or not isinstance(name, _Name):
            raise Wrong(sign.at, NO_VALUE)
        return _IsUnset(name) if sign.text == "==" else _Not(_IsUnset(name), sign.at)

    def _sum(self) -> Node:
        return self._chain(self._product, "+", "-")

    def _product(self) -> Node:
        return self._chain(self._signed, "*", "/")

    def _chain(self, part: Callable[[], Node], *signs: str) -> Node:
        left = part()
        while token := self._take(*signs):
            left = _Calculated(left, part(), token.text, token.at)
        return left

    def _signed(self) -> Node:
        token = self._tokens[self._next]
        if self._take("-"):
            return _Calculated(_Constant(0.0), self._deeper(self._signed, token), "-", token.at)
        if self._take("("):
            inner = self._deeper(self.either, token)
            if not self._take(")"):
                raise Wrong(self._tokens[self._next].at, f"the ( at character {token.at} is not closed")
            return inner
        if token.form in {"end", "sign"} or token.text in {"and", "or", "not"}:
            found = "the end" if token.form == "end" else quantities.given(token.text)
            raise Wrong(token.at, f"a knob, a number or a level in quotes is missing before {found}")
        self._next += 1
        return _plain(token)

    def _deeper(self, read: Callable[[], Node], token: _Token) -> Node:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise Wrong(token.at, f"nested deeper than {MOST_DEPTH}; make two constraints of it")
        node = read()
        self._depth -= 1
        return node

    def _take(self, *texts: str) -> _Token | None:
        token = self._tokens[self._next]
        if token.form == "text" or token.text not in texts:
            return None
        self._next += 1
        return token


def _is_unset(node: Node) -> bool:
    return isinstance(node, _Name) and node.name == UNSET


def _plain(token: _Token) -> Node:
    if token.form == "number":
        return _Constant(_number(token))
    if token.form == "text":
        return _Constant(token.text[1:-1])
    return _Constant(token.text == "true") if token.text in {"true", "false"} else _Name(token.text, token.at)


def _number(token: _Token) -> float:
    """Return a plain number, a duration in seconds or a size in bytes."""
    unit = token.text.lstrip("0123456789.")
    try:
        if unit in quantities.DURATIONS:
            return quantities.duration_s(token.text)
        return float(quantities.size_bytes(token.text)) if unit else float(token.text)
    except ValueError as error:
        units = listed((*quantities.DURATIONS, *quantities.SIZES))
        raise Wrong(token.at, f"{token.text} is no quantity; the units are {units}") from error
