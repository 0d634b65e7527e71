"""The surface through single windows: it ranks better than they do, and neither drift nor arrivals rank a variant."""

import numpy as np
import pytest

from harness.judge import surface
from harness.judge.surface import Seen

LEVELS = (8, 5, 6)


def place(levels):
    return tuple(surface.ordered(int(at), of) for at, of in zip(levels, LEVELS, strict=True))


def truth(levels):
    """Return a surface with its lowest point at (5, 1, 4), where the first two knobs act together too."""
    w, e, q = (at / (of - 1) for at, of in zip(levels, LEVELS, strict=True))
    return 0.4 * (w - 0.7) ** 2 + 0.3 * (e - 0.25) ** 2 + 0.2 * (q - 0.8) ** 2 + 0.2 * (w - 0.7) * (e - 0.25)


def drawn(seed, many=40):
    rng = np.random.default_rng(seed)
    return rng, [tuple(rng.integers(LEVELS)) for _ in range(many)]


def seen(variants, y, arrivals=None):
    arrivals = arrivals or [0] * len(variants)
    return tuple(Seen(place(v), n, a, value) for n, (v, a, value) in enumerate(zip(variants, arrivals, y, strict=True)))


def heights(windows, variants):
    return surface.through(windows).heights([place(v) for v in variants])


def test_it_picks_a_truly_better_variant_than_the_best_single_window_does():
    by_surface, by_window = [], []
    for seed in range(40):
        rng, tried = drawn(seed)
        y = [truth(v) + 0.2 * rng.standard_normal() for v in tried]
        by_surface.append(truth(tried[int(np.argmin(heights(seen(tried, y), tried)))]))
        by_window.append(truth(tried[int(np.argmin(y))]))

    assert np.mean(by_surface) < 0.8 * np.mean(by_window)


def test_it_tells_a_variant_that_was_never_measured_by_its_neighbours():
    rng, tried = drawn(1, 60)
    windows = seen(tried, [truth(v) + 0.02 * rng.standard_normal() for v in tried])
    fresh = [(5, 1, 4), (0, 4, 0), (7, 1, 4)]

    assert heights(windows, fresh) == pytest.approx([truth(v) for v in fresh], abs=0.1)


def test_what_the_arrivals_of_a_block_favour_ranks_no_variant():
    """Each variant of the second half is measured in a block that reads 50 % lower; none of that is the variant's own."""
    rng, tried = drawn(2)
    y, arrivals = [truth(v) + 0.03 * rng.standard_normal() for v in tried], [0] * 20 + [7] * 20
    lucky = [value - 0.5 * (block == 7) for value, block in zip(y, arrivals, strict=True)]
    plain, moved = heights(seen(tried, y, arrivals), tried), heights(seen(tried, lucky, arrivals), tried)

    assert np.subtract(plain, plain[0]) == pytest.approx(np.subtract(moved, moved[0]), abs=0.05)
    assert max(moved[20:]) > min(moved[:20])


def test_a_host_that_slows_down_ranks_no_variant():
    """The same 12 variants three times over, while the host becomes 60 % slower: the last round reads worst."""
    rng, twelve = drawn(3, 12)
    tried = [*twelve, *twelve[:6], *drawn(4, 18)[1]]
    y = [truth(v) + 0.6 * n / len(tried) + 0.02 * rng.standard_normal() for n, v in enumerate(tried)]
    found = heights(seen(tried, y), tried)

    assert np.corrcoef(found, [truth(v) for v in tried])[0, 1] > 0.8
    assert np.corrcoef(y, [truth(v) for v in tried])[0, 1] < 0.7


def test_without_windows_it_is_flat():
    assert surface.through(()).heights([place((0, 0, 0)), place((1, 1, 1))]) == [0.0, 0.0]


def test_without_knobs_it_is_flat():
    assert surface.through((Seen((), 1, 0, 3.0), Seen((), 2, 0, 4.0))).heights([()]) == [0.0]


def test_one_window_says_the_same_of_every_variant():
    assert heights(seen([(0, 0, 0)], [3.0]), [(0, 0, 0), (7, 4, 5)]) == pytest.approx([3.0, 3.0])


def test_windows_that_all_read_the_same_make_it_flat():
    _, tried = drawn(5, 10)

    assert heights(seen(tried, [2.0] * 10), [(0, 0, 0), (7, 4, 5)]) == pytest.approx([2.0, 2.0])


def test_levels_without_order_are_equally_far_apart():
    one, two, three = (np.array(surface.unordered(at, 3)) for at in range(3))

    assert [((a - b) ** 2).sum() for a, b in ((one, two), (two, three), (one, three))] == pytest.approx([1, 1, 1])
