"""What leaves the build cache, and what it says when it cannot be used."""

import errno
import os
import time
from pathlib import Path

import pytest

from harness.errors import MachineError
from harness.target import build, cache
from harness.target.cache import Entry

HOUR = cache.IN_USE_S
NOW = 1_000_000.0


def entry(name, size, age):
    return Entry(Path(name), size, NOW - age)


def test_nothing_leaves_a_cache_that_fits():
    assert cache.leaving((entry("a", 60, 9 * HOUR), entry("b", 40, 8 * HOUR)), 100, NOW) == ()


def test_the_least_recently_used_leaves_first_and_no_more_than_needed():
    entries = (entry("new", 50, 2 * HOUR), entry("old", 50, 9 * HOUR), entry("older", 50, 10 * HOUR))

    assert [gone.path.name for gone in cache.leaving(entries, 100, NOW)] == ["older"]
    assert [gone.path.name for gone in cache.leaving(entries, 50, NOW)] == ["older", "old"]


def test_what_was_just_used_stays_even_if_the_cache_is_too_large():
    entries = (entry("in use", 500, HOUR / 2), entry("old", 50, 2 * HOUR))

    assert [gone.path.name for gone in cache.leaving(entries, 100, NOW)] == ["old"]


def test_trimming_removes_old_entries_and_says_which(tmp_path):
    for name, age in (("old", 2 * HOUR), ("new", 0)):
        folder = tmp_path / "bin" / name
        folder.mkdir(parents=True)
        (folder / "server").write_bytes(bytes(100_000))
        os.utime(folder, (time.time() - age,) * 2)

    said = build.trim(tmp_path, limit=150_000)

    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["new"]
    assert said == (f"removed {tmp_path / 'bin' / 'old'} from the build cache (0.1 MiB)",)


def test_trimming_a_cache_that_was_never_made_makes_none(tmp_path):
    assert build.trim(tmp_path / "none") == ()
    assert not (tmp_path / "none").exists()


def test_a_file_with_two_names_counts_once(tmp_path):
    folder = tmp_path / "cargo" / "flags"
    folder.mkdir(parents=True)
    (folder / "server").write_bytes(bytes(100_000))
    os.link(folder / "server", folder / "server-1f")

    assert 100_000 <= cache._entries(tmp_path)[0].size < 150_000


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        ("/somewhere", "/somewhere/tokio-harness"),
        ("", "~/.cache/tokio-harness"),
        ("relative", "~/.cache/tokio-harness"),
    ],
)
def test_the_cache_is_where_the_person_keeps_caches(monkeypatch, home, expected):
    monkeypatch.setenv("XDG_CACHE_HOME", home)

    assert cache.folder() == Path(expected).expanduser()


@pytest.mark.parametrize(("number", "advice"), [(errno.ENOSPC, "harness clean"), (errno.EROFS, "XDG_CACHE_HOME")])
def test_a_disk_that_refuses_is_a_fault_of_the_machine_with_a_way_out(tmp_path, number, advice):
    with pytest.raises(MachineError, match=advice), cache.disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
