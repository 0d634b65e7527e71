"""A flame graph: stacks with their counts as a tree, and the tree drawn as SVG. Pure.

Every name comes out of a service, so it is data: it reaches the picture as escaped text, bounded in length, and nothing
else of it does. The picture holds no script and no reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from markupsafe import Markup

from harness.report.drawing import INK, MUTED, OTHER, TESTED

WIDTH, ROW, MARGIN = 1160.0, 17, 2
NARROWEST = 1.2
"""Frames that would be narrower (pixels) are left out with all that they call."""

MOST_DEEP = 90
"""Rows at most. Where stacks are deeper, what lies innermost is kept and the outermost frames are cut."""

MOST_FRAMES = 4000
MOST_NAME = 300
_STANDARD = ("std::", "core::", "alloc::", "__rust")
_LETTER = 6.3  # pixels of a letter of the picture's size, on average
_FEWEST_LETTERS = 4


@dataclass
class Frame:
    """A function under the ones that called it: samples in which it was on the stack, and those where it was on top."""

    name: str
    count: int = 0
    own: int = 0
    calls: dict[str, Frame] = field(default_factory=dict)


@dataclass(frozen=True)
class Share:
    """A function and the shares of all samples in which it was on the stack, and on top of it."""

    name: str
    on_stack: float
    on_top: float


def stacks(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield (stack, count) of each line of `thread;outermost;...;innermost count`; what is no such line is left out."""
    for line in text.splitlines():
        names, _, count = line.rpartition(" ")
        if names and count.isascii() and count.isdigit() and int(count) > 0:
            yield tuple(name.strip()[:MOST_NAME] or "?" for name in names.split(";")), int(count)


def tree(text: str) -> Frame:
    """Return the stacks as a tree with a root that stands for all samples; empty where there are none.

    Frames of the standard library between others are left out, and what all stacks of a thread have in common is one.
    """
    found = [(_without_standard(names), count) for names, count in stacks(text)]
    common = _common(names for names, _ in found)
    root = Frame("all")
    for names, count in found:
        root.count += count
        here = root
        for name in _shortened(names, common[names[0]]):
            here = here.calls.setdefault(name, Frame(name))
            here.count += count
        here.own += count
    return root


def _without_standard(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a stack without the standard library's frames, except the thread in front and what is innermost."""
    return (names[0], *(name for name in names[1:-1] if not name.lstrip("<&").startswith(_STANDARD)), *names[1:][-1:])


def _common(found: Iterable[tuple[str, ...]]) -> dict[str, int]:
    """Return how many frames all stacks of each thread share from the outermost on, the innermost never among them."""
    first: dict[str, tuple[str, ...]] = {}
    shared: dict[str, int] = {}
    for names in found:
        known = first.setdefault(names[0], names)
        same = next((n for n, pair in enumerate(zip(known, names, strict=False)) if pair[0] != pair[1]), len(names))
        shared[names[0]] = min(shared.get(names[0], len(names)), same, len(names) - 1)
    return shared


def _shortened(names: tuple[str, ...], shared: int) -> tuple[str, ...]:
    """Return the thread and what its stacks do not share, cut at the outer end where that is still too deep."""
    rest = names[max(1, shared) :]
    left_out = ("...",) if shared > 1 or len(rest) > MOST_DEEP - 2 else ()
    return (names[0], *left_out, *rest[-MOST_DEEP + 2 :])


def hottest(text: str, package: str, most: int = 8) -> tuple[Share, ...]:
    """Return the service's own functions by the share of samples in which they were on the stack, the most first."""
    on_stack, on_top, total = Counter[str](), Counter[str](), 0
    for names, count in stacks(text):
        total += count
        own = [name for name in names if is_own(name, package)]
        on_stack.update(dict.fromkeys(own, count))
        if own:
            on_top[own[-1]] += count
    rows = sorted(on_stack, key=lambda name: (-on_stack[name], -on_top[name], name))
    return tuple(Share(name, on_stack[name] / total, on_top[name] / total) for name in rows[:most])


def is_own(name: str, package: str) -> bool:
    """Whether a function is of the service's own crate: `payments::pay`, or `<payments::Check as ...>::run`."""
    return name.lstrip("<&").startswith(f"{package.replace('-', '_')}::")


def svg(root: Frame, package: str) -> Markup:
    """Return the tree as an SVG element, callers below and what they call on top, one's own functions in colour."""
    placed = sorted(_placed(root, 0.0, 0, WIDTH / max(1, root.count)), key=lambda box: -box[2])[:MOST_FRAMES]
    rows = 1 + max((depth for _, _, _, depth in placed), default=0)
    height = rows * ROW + 2 * MARGIN
    picture = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH:g} {height}",
            "font-family": "ui-monospace, Menlo, Consolas, monospace",
            "font-size": "10.5",
            "role": "img",
        },
    )
    for frame, x, width, depth in placed:
        _draw(picture, frame, x, width, height - MARGIN - (depth + 1) * ROW, package, root.count)
    return Markup(ET.tostring(picture, encoding="unicode"))  # noqa: S704 - the serializer escapes the names


def _placed(frame: Frame, x: float, depth: int, scale: float) -> Iterator[tuple[Frame, float, float, int]]:
    width = frame.count * scale
    if width < NARROWEST:
        return
    yield frame, x, width, depth
    for name in sorted(frame.calls):
        called = frame.calls[name]
        yield from _placed(called, x, depth + 1, scale)
        x += called.count * scale


def _draw(picture: ET.Element, frame: Frame, x: float, width: float, y: float, package: str, total: int) -> None:
    colour = TESTED if is_own(frame.name, package) else OTHER
    box = ET.SubElement(picture, "g")
    share = f"{100 * frame.count / max(1, total):.1f} %"
    ET.SubElement(box, "title").text = _printable(f"{frame.name}: {share}, {frame.count} samples")
    where = {"x": f"{x:.2f}", "y": f"{y:.1f}", "width": f"{max(0.4, width - 0.6):.2f}", "height": str(ROW - 1)}
    ET.SubElement(
        box, "rect", {**where, "fill": colour, "fill-opacity": "0.55", "stroke": MUTED, "stroke-width": "0.2"}
    )
    letters = int((width - 6) / _LETTER)
    if letters >= _FEWEST_LETTERS:
        label = ET.SubElement(box, "text", {"x": f"{x + 3:.2f}", "y": f"{y + 12:.1f}", "fill": INK})
        label.text = _printable(_short(frame.name, letters))


def _short(name: str, letters: int) -> str:
    """Return a name in as many letters: its end says the most, but a crate's name in front is worth keeping."""
    return name if len(name) <= letters else f"{name[: letters - 2]}.."


def _printable(text: str) -> str:
    """Return the text without what XML cannot hold."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
