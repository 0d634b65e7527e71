"""The sizes of all phases: rows that were simulated, what fits between them, and a study's own phases.

Pure arithmetic. Whatever a phase cannot use becomes confirmation pairs, because the claim is where windows pay most.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from harness.study.model import Phases

ALPHA = 0.05
"""One-sided chance of a false claim over all looks of a study."""

FIRST_LOOK_ALPHA = 0.01
"""Part of ALPHA that the first of two looks may use. A large gain passes it at once; the rest, which the last look keeps,
is worth more power than stopping early saves windows: 20 pairs see 9.6 %, with halves of ALPHA 10.1 (sigma 10 %)."""

TWO_LOOKS_FROM = 16
"""Pairs from which a first look at half of them pays."""

MOST_SCREEN_BLOCKS = 3


@dataclass(frozen=True)
class Row:
    """One simulated plan: windows of each phase, `screen` being the most that a screen may take; the rest is pairs."""

    windows: int
    calibrate: int
    screen: int
    search: int
    race: int
    finalists: int


WITHOUT_SCREEN = (
    Row(0, 0, 0, 0, 0, 0),
    Row(13, 2, 0, 1, 0, 0),
    Row(18, 3, 0, 3, 0, 0),
    Row(24, 4, 0, 8, 0, 0),
    Row(30, 4, 0, 10, 0, 0),
    Row(40, 4, 0, 15, 3, 2),
    Row(60, 8, 0, 21, 7, 3),
)
WITH_SCREEN = (
    Row(60, 6, 13, 12, 3, 2),
    Row(80, 8, 13, 19, 8, 3),
    Row(100, 10, 13, 25, 12, 4),
    Row(200, 10, 13, 81, 16, 4),
)
"""From 60 windows on a screen is worth its cost. Rows from 24 on were simulated; those below only scale them down."""

SEARCH_SHARE_BEYOND = 0.4
"""What the joint search gets of each window beyond the last row; the rest becomes pairs."""


@dataclass(frozen=True)
class Space:
    """How many one-off levels, of how many knobs, and how many different variants besides the baseline (None: many)."""

    one_offs: int
    variants: int | None
    knobs: int = 0


@dataclass(frozen=True)
class Plan:
    """Sizes of all phases: windows, but blocks of the screen and pairs of the confirmation.

    `one_offs` and `screen_baselines` are windows in each screen block, `finalists` how many enter the race, `attribute`
    blocks that explain a claim, which come on top because their width is not known yet. `interaction` blocks have at most
    `together` windows each, as many as there are single winners and two. `notes` are sentences for people.
    """

    calibrate: int
    one_offs: int = 0
    screen_blocks: int = 0
    screen_baselines: int = 0
    search: int = 0
    race: int = 0
    finalists: int = 0
    pairs: int = 0
    attribute: int = 0
    interaction: int = 0
    together: int = 0
    notes: tuple[str, ...] = ()

    @property
    def screen(self) -> int:
        """Windows of the screen."""
        return self.screen_blocks * (self.one_offs + self.screen_baselines)

    @property
    def windows(self) -> int:
        """Windows of all phases; runs again of lost windows and the attribution come on top."""
        return self.calibrate + self.screen + self.search + self.race + 2 * self.pairs + self.at_most_together

    @property
    def at_most_together(self) -> int:
        """The most windows that the check of the single winners together takes."""
        return self.interaction * self.together

    @property
    def new_variants(self) -> int:
        """The most variants besides the baseline that have to be built."""
        return (self.one_offs if self.screen_blocks else 0) + self.search

    @property
    def looks(self) -> tuple[int, ...]:
        """The declared looks, as numbers of pairs."""
        return looks(self.pairs)[0]

    @property
    def alphas(self) -> tuple[float, ...]:
        """The one-sided level of each look."""
        return looks(self.pairs)[1]


def looks(pairs: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the declared looks (numbers of pairs) and the one-sided level of each; the levels add up to 5 %."""
    if pairs < 1:
        return (), ()
    if pairs < TWO_LOOKS_FROM:
        return (pairs,), (ALPHA,)
    return (pairs // 2, pairs), (FIRST_LOOK_ALPHA, ALPHA - FIRST_LOOK_ALPHA)


def race_blocks(windows: int, entrants: int) -> tuple[int, ...]:
    """Return how many candidates run beside the baseline in each race block: halved after each, never below two."""
    sizes: list[int] = []
    size = entrants
    while size > 1 and windows > size:
        sizes.append(size)
        windows -= size + 1
        size = max(2, size // 2)
    return tuple(sizes)


def race_windows(windows: int, entrants: int) -> int:
    """Return how many of the windows given to the race it can use."""
    return sum(size + 1 for size in race_blocks(windows, entrants))


def of_budget(windows: int, space: Space) -> Iterator[Plan]:
    """Yield the plan of the budget, then ever smaller ones."""
    return (_sized(size, space) for size in range(windows, 0, -1))


def growing(space: Space) -> Iterator[Plan]:
    """Yield the plans of ever larger budgets."""
    return (_sized(size, space) for size in itertools.count(1))


def of_phases(phases: Phases, space: Space) -> Iterator[Plan]:
    """Yield the plan of the study's own phases, then ever smaller ones; the pairs are given up last."""
    wanted = asdict(phases)
    yield _of_sizes(wanted, space)
    for name, least in (
        ("race", 0),
        ("search", 1),
        ("interaction", 0),
        ("screen", 0),
        ("calibrate", 3),
        ("confirm", 1),
    ):
        while wanted[name] > least:
            wanted[name] -= 1
            yield _of_sizes(wanted, space)


def _sized(windows: int, space: Space) -> Plan:
    row = _row(windows)
    if space.variants == 0:
        return Plan(row.calibrate)
    blocks, baselines = _screen_blocks(row, space.one_offs)
    screen = blocks * (space.one_offs + baselines)
    moved = (
        row.screen - screen if blocks == 0 or screen > row.screen else 0
    )  # the screen's share goes to the search, or back
    search, finalists = (_at_most(size, space.variants) for size in (row.search + moved, row.finalists))
    race = race_windows(row.race, finalists)
    pairs, odd = divmod(windows - row.calibrate - screen - search - race, 2)
    return Plan(row.calibrate, space.one_offs, blocks, baselines, search + odd, race, finalists, pairs)


def _of_sizes(wanted: Mapping[str, int], space: Space) -> Plan:
    if space.variants == 0:
        return Plan(wanted["calibrate"])
    blocks = wanted["screen"] if space.one_offs else 0
    baselines = _baselines(blocks)
    finalists = _finalists(wanted["race"])
    race = race_windows(wanted["race"], finalists)
    sizes = (blocks, baselines, wanted["search"], race, finalists, wanted["confirm"], wanted["attribute"])
    checked = wanted["interaction"] if blocks and space.knobs > 1 and wanted["interaction"] > 1 else 0
    return Plan(wanted["calibrate"], space.one_offs, *sizes, checked, space.knobs + 2 if checked else 0)


def _row(windows: int) -> Row:
    """Return the sizes for a budget between two rows, rounded down."""
    rows = WITH_SCREEN if windows >= WITH_SCREEN[0].windows else WITHOUT_SCREEN
    at = [row.windows for row in rows]
    names = [field.name for field in fields(Row) if field.name != "windows"]
    sizes = {name: int(np.interp(windows, at, [getattr(row, name) for row in rows]) + 1e-9) for name in names}
    sizes["search"] += int(SEARCH_SHARE_BEYOND * max(0, windows - WITH_SCREEN[-1].windows))
    return Row(windows=windows, **sizes)


def _screen_blocks(row: Row, one_offs: int) -> tuple[int, int]:
    """Return (blocks, baselines in each) that fit; a single block may take half of the search's windows besides."""
    if row.screen == 0 or one_offs == 0:
        return 0, 0
    blocks = min(MOST_SCREEN_BLOCKS, row.screen // (one_offs + 1))
    if blocks < 2:  # noqa: PLR2004 - one block is the usual case, with a second baseline in it
        blocks = int(one_offs + _baselines(1) <= row.screen + row.search // 2)
    return blocks, _baselines(blocks)


def _baselines(blocks: int) -> int:
    """Return how many baselines stand in a screen block: two where it is the only one."""
    return (0, 2)[blocks] if blocks < 2 else 1  # noqa: PLR2004 - none, one, more


def _finalists(race: int) -> int:
    """Return how many may enter a race of so many windows, as in the simulated rows: 4 from 12, 3 from 7, 2 below."""
    return 4 if race >= 12 else 3 if race >= 7 else 2 if race >= 3 else 0  # noqa: PLR2004 - the rows


def _at_most(size: int, most: int | None) -> int:
    return size if most is None else min(size, most)
