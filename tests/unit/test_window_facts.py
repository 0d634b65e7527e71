"""Whose CPU time is whose: what the watch counted at both ends, as shares of the cores."""

import pytest

from harness.window import facts
from harness.window.cores import core_map
from harness.window.host import CpuUse
from harness.window.measurement import HostFacts
from harness.window.watch import Account, Watch

APART, SHARED = core_map((0, 1), 1), core_map((0,), 1)
SECOND = 1_000_000_000


def seen(upstream_pid, used, cores=APART, upstream=0.1):
    """Return the facts of one second: target 0.6 of a core, generator 0.2, harness 0.05; `used` by core, by anybody."""
    watch = Watch(1, lambda: (2,), None, (), upstream_pid)
    watch.first = Account(0, 0, 0, 0, CpuUse(dict.fromkeys(used, 0), dict.fromkeys(used, 0)), upstream_ns=0)
    used_ns = {core: int(share * SECOND) for core, share in used.items()}
    watch.last = Account(
        SECOND,
        int(0.6 * SECOND),
        int(0.2 * SECOND),
        int(0.05 * SECOND),
        CpuUse(used_ns, dict.fromkeys(used, 0)),
        upstream_ns=None if upstream is None else int(upstream * SECOND),
    )
    return facts.with_watch(HostFacts(), watch, cores, None)


def test_the_cpu_of_the_upstream_is_neither_foreign_nor_the_generators():
    told = seen(3, {0: 0.35, 1: 0.6})

    assert told.foreign_cpu == pytest.approx(0)
    assert (told.generator_cpu, told.harness_cpu, told.upstream_cpu) == pytest.approx((0.2, 0.05, 0.1))


def test_what_others_use_beside_an_upstream_is_foreign():
    assert seen(3, {0: 0.55, 1: 0.6}).foreign_cpu == pytest.approx(0.2)


def test_on_a_shared_core_the_upstream_is_counted_apart_too():
    assert seen(3, {0: 0.95}, SHARED).foreign_cpu == pytest.approx(0)


def test_without_an_upstream_the_same_time_is_foreign():
    told = seen(None, {0: 0.35, 1: 0.6}, upstream=None)

    assert told.upstream_cpu is None
    assert told.foreign_cpu == pytest.approx(0.1)


def test_where_the_upstreams_time_is_not_known_its_cores_are_not_judged():
    told = seen(3, {0: 0.9, 1: 0.6}, upstream=None)

    assert told.upstream_cpu is None
    assert told.foreign_cpu == pytest.approx(0)
