"""Quantities with units, as people write them in a study: durations, sizes, shares. Text in, plain numbers out.

Owns the units and the one text form of each quantity; knows nothing of who asks for it, and never guesses a unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NUMBER = r"[0-9]{1,15}(\.[0-9]{1,9})?"
"""A plain decimal number; bounded, so that no quantity overflows."""

DURATIONS: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
SIZES: Mapping[str, float] = {
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}


def duration_s(text: object) -> float:
    """Return seconds for text such as "250ms", "2s", "1.5m"; ValueError says how to write it."""
    return _parsed(text, DURATIONS, 'a duration with its unit, such as "250ms", "2s" or "30m"')


def size_bytes(text: object) -> int:
    """Return bytes for text such as "512MiB"; ValueError says how to write it."""
    return round(_parsed(text, SIZES, 'a size with its unit, such as "64KiB" or "512MiB"'))


def share(text: object) -> float:
    """Return a fraction of 1 for text such as "5%"; ValueError says how to write it."""
    if isinstance(text, str) and re.fullmatch(rf"{NUMBER}\s*%", text.strip()):
        return float(text.strip().removesuffix("%")) / 100
    raise ValueError(f'write a share with its sign, such as "5%", not {given(text)}')


def pattern(units: Mapping[str, float]) -> str:
    """Return the regular expression of a quantity in `units`, for the JSON Schema."""
    return rf"^{NUMBER}\s*({'|'.join(units)})$"


def duration_text(seconds: float) -> str:
    """Return the one text form of a duration: whole seconds as "2s", otherwise milliseconds, otherwise microseconds."""
    microseconds = round(seconds * 1e6)
    for unit, length in (("s", 1_000_000), ("ms", 1_000)):
        if microseconds % length == 0:
            return f"{microseconds // length}{unit}"
    return f"{microseconds}us"


def size_text(size: int) -> str:
    """Return the one text form of a size: the largest binary unit that divides it."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % SIZES[unit] == 0:
            return f"{size // int(SIZES[unit])}{unit}"
    return f"{size}B"


def given(value: object) -> str:
    """Return what somebody wrote, for the end of a sentence; long texts are cut, collections only named."""
    if isinstance(value, (Mapping, list, tuple)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else f"{value[:57]}...")  # noqa: PLR2004 - one line of a terminal
    return str(value)[:60]


def _parsed(text: object, units: Mapping[str, float], wanted: str) -> float:
    if not isinstance(text, str):
        raise ValueError(f"write {wanted}, not {given(text)}")  # noqa: TRY004 - pydantic gives a ValueError a place
    found = re.fullmatch(rf"({NUMBER})\s*([A-Za-z]*)", text.strip())
    if found is None or not found.group(3):
        raise ValueError(f"write {wanted}, not {given(text)}")
    if found.group(3) not in units:
        raise ValueError(f"write {wanted}; {given(found.group(3))} is none of the units {', '.join(units)}")
    return float(found.group(1)) * units[found.group(3)]
