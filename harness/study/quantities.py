"""Quantities with units, as people write them in a study: durations, sizes, shares. Text in, plain numbers out."""

from __future__ import annotations

import re

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZE = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6, "GB": 10**9}


def duration_s(text: object) -> float:
    """Return seconds for text such as "250ms", "2s", "1.5m"; ValueError says how to write it."""
    return _parsed(text, _DURATION, 'a duration with its unit, such as "250ms", "2s" or "30m"')


def size_bytes(text: object) -> int:
    """Return bytes for text such as "512MiB"; ValueError says how to write it."""
    return round(_parsed(text, _SIZE, 'a size with its unit, such as "64KiB" or "512MiB"'))


def share(text: object) -> float:
    """Return a fraction of 1 for text such as "5%"; ValueError says how to write it."""
    if isinstance(text, str) and (found := re.fullmatch(rf"{_NUMBER}\s*%", text.strip())):
        return float(found.group(1)) / 100
    raise ValueError('write a share with its sign, such as "5%"')


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
        if size and size % _SIZE[unit] == 0:
            return f"{size // _SIZE[unit]}{unit}"
    return f"{size}B"


def _parsed(text: object, units: dict[str, float] | dict[str, int], wanted: str) -> float:
    if isinstance(text, bool) or not isinstance(text, str):
        raise ValueError(f"write {wanted}")  # noqa: TRY004 - pydantic turns ValueError into a fault with a place
    found = re.fullmatch(rf"{_NUMBER}\s*([A-Za-z]*)", text.strip())
    if found is None or found.group(2) not in units:
        known = ", ".join(units)
        unit = f'; "{found.group(2)}" is no unit (known: {known})' if found and found.group(2) else ""
        raise ValueError(f"write {wanted}{unit}")
    return float(found.group(1)) * units[found.group(2)]
