"""Numbers as text, the same everywhere: as many digits as their interval supports, and a unit. Pure.

A bound is rounded away from the claim, so that what is printed is never more than what was shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
"""Stands where there is no figure."""
FEW_DIGITS = 3
"""Significant digits of a figure whose uncertainty is not known."""

UNITS = {
    "p50": "ms",
    "p90": "ms",
    "p95": "ms",
    "p99": "ms",
    "p999": "ms",
    "throughput": "requests/s",
    "capacity": "requests/s",
    "answered": "%",
    "cpu_per_request": "µs",
    "peak_rss": "MiB",
    "threads": "",
    "error_ratio": "%",
}
"""Unit in which each metric is shown. "answered" is throughput under open load: a share of what was offered."""

SCALE = {"peak_rss": 1 / 2**20, "answered": 100.0, "error_ratio": 100.0}
"""Factor from a metric's own unit to the one it is shown in, where they differ."""

WHOLE = {"threads"}
"""Metrics that are counts."""

NAMES = {
    "p999": "p99.9",
    "cpu_per_request": "CPU per request",
    "peak_rss": "peak memory (RSS)",
    "error_ratio": "error ratio",
    "answered": "throughput (answered / offered)",
}
"""What people call a metric, where its key is not that."""


def decimals(width: float | None, most: int = 3) -> int:
    """Return how many digits after the point an interval of this width supports: half of it reaches the last digit."""
    if width is None or not math.isfinite(width) or width <= 0:
        return 0
    return min(most, max(0, -math.floor(math.log10(width / 2))))


def number(value: float | None, width: float | None = None) -> str:
    """Return a number with the digits that `width` supports, or three significant ones where it is not known."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if width:
        return signed(f"{value:,.{decimals(width)}f}")
    if value == 0:
        return "0"
    digits = max(0, FEW_DIGITS - 1 - math.floor(math.log10(abs(value))))
    return signed(f"{value:,.{min(digits, 6)}f}")


def signed(text: str) -> str:
    """Return a formatted number with a true minus sign, and without one before zero."""
    if not text.startswith("-"):
        return text
    return text[1:] if not text.strip("-0.,") else MINUS + text[1:]


def percent(share: float, width: float | None = None, *, plus: bool = False) -> str:
    """Return a share as percent: "78 %", with a sign in front of gains when `plus`."""
    text = signed(f"{100 * share:{'+' if plus else ''}.{decimals(None if width is None else 100 * width)}f}")
    return f"{text.lstrip('+') if not text.strip('+0.') else text} %"


def at_least(share: float, width: float | None) -> str:
    """Return the lower bound of a gain, rounded down; a positive one keeps enough digits not to read as nothing."""
    digits = decimals(None if width is None else 100 * width)
    for places in range(digits, 4):
        floored = math.floor(100 * share * 10**places + 1e-9) / 10**places
        if floored != 0 or share <= 0:
            return f"{signed(f'{floored:.{places}f}')} %"
    return f"{100 * share:.1g} %"


def at_most(share: float, width: float | None) -> str:
    """Return the upper bound of a size, rounded up."""
    places = decimals(None if width is None else 100 * width)
    return f"{_outward(share, places, math.ceil).lstrip('+')} %"


def change_range(low: float | None, high: float | None) -> str:
    """Return an interval of relative changes, rounded outwards: "-82 to -77 %". An open end says so."""
    if low is None and high is None:
        return "unbounded"
    places = decimals(None if low is None or high is None else 100 * (high - low))
    first = "no bound below" if low is None else _outward(low, places, math.floor)
    second = "no bound above" if high is None else _outward(high, places, math.ceil)
    return f"{first} to {second} %" if high is not None else f"{first} % to {second}"


def _outward(share: float, places: int, towards: Callable[[float], int]) -> str:
    # Rounded first to what a float can tell, so that 0.07 does not become 7.000000000000001 and then 8.
    rounded = towards(round(100 * share * 10**places, 6)) / 10**places
    text = signed(f"{rounded:+.{places}f}")
    return text.lstrip("+") if rounded == 0 else text


def metric(name: str, of: str | None = None) -> str:
    """Return what people call a metric, of one kind of request where the study says so."""
    words = NAMES.get(name, name)
    return words if of is None else f"{words} of {of}"


def quantity(name: str, value: float | None, width: float | None = None) -> str:
    """Return a metric's value with its unit; `width` is in the metric's own unit."""
    if value is None:
        return NOTHING
    factor = SCALE.get(name, 1.0)
    if name in WHOLE:
        return f"{value:,.0f}"
    text = number(value * factor, None if width is None else width * factor)
    unit = UNITS.get(name, "")
    return f"{text} {unit}" if unit else text


def quantity_range(name: str, low: float, high: float) -> str:
    """Return two values of a metric as a range with one unit: "11.9 to 13.3 ms"."""
    unit = UNITS.get(name, "")
    first = quantity(name, low, high - low).removesuffix(f" {unit}")
    return f"{first} to {quantity(name, high, high - low)}"


def seconds(value: float | None) -> str:
    """Return a length of time: "0.42 s", "38 s", "5 min 12 s", "2 h 05 min"."""
    if value is None:
        return NOTHING
    if value < 10:  # noqa: PLR2004 - below ten seconds tenths matter
        return f"{value:.2f} s"
    whole = round(value)
    if whole < 120:  # noqa: PLR2004 - reads better than "1 min 58 s"
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"  # noqa: PLR2004


def size(value: int | None) -> str:
    """Return bytes in the unit that reads best."""
    if value is None:
        return "no limit"
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value} B"


def numbered(values: Sequence[int], most: int = 12) -> str:
    """Return window numbers as "3, 5 to 7, 9", at most `most` stretches of them."""
    stretches: list[list[int]] = []
    for value in sorted(values):
        if stretches and value == stretches[-1][-1] + 1:
            stretches[-1].append(value)
        else:
            stretches.append([value])
    shown = [str(s[0]) if len(s) == 1 else f"{s[0]} to {s[-1]}" for s in stretches[:most]]
    return ", ".join(shown) + (" …" if len(stretches) > most else "")


def bounded(text: str, most: int = 4000) -> str:
    """Return the last `most` characters of a foreign text, with a mark where it was cut."""
    return text if len(text) <= most else f"… {text[-most:]}"
