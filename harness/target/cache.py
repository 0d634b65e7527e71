"""The build cache of this user: where it is, what may leave it. Owns names and sizes, never what is built.

src/<ground>/         copies of sources, in which only src/runtime.rs is ever replaced
cargo/<flags>/        cargo's target directory, one for each set of flags, because flags rebuild every crate
bin/<key>/            server and build.log of one program
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MachineError

MOST_BYTES = 5 * 2**30
IN_USE_S = 3600.0
"""What was used within this time may belong to a run that is going on, and stays."""

_PARTS = ("src", "cargo", "bin")


@dataclass(frozen=True)
class Entry:
    """One thing that can leave the cache: its size in bytes and when it was last used (Unix seconds)."""

    path: Path
    size: int
    used: float


def folder() -> Path:
    """Return where the cache is: $XDG_CACHE_HOME or ~/.cache, never made by this call."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "tokio-harness"


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Hold the cache for one build or one trimming; the lock dies with its holder."""
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(cache: Path) -> Iterator[None]:
    """Turn what the file system refuses into a MachineError that names the cache and the way out."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        advice = "free some space (`harness clean`)" if full else "set XDG_CACHE_HOME to a folder that can be written"
        raise MachineError(f"the build cache {cache} cannot be used: {error.strerror or error}; {advice}") from error


def touch(path: Path) -> None:
    """Note that an entry is used now."""
    os.utime(path)


def leaving(entries: tuple[Entry, ...], limit: int, now: float) -> tuple[Entry, ...]:
    """Return what has to go so that the rest fits `limit` bytes: least recently used first, nothing in use. Pure."""
    excess = sum(entry.size for entry in entries) - limit
    gone: list[Entry] = []
    for entry in sorted(entries, key=lambda entry: entry.used):
        if excess <= 0 or now - entry.used < IN_USE_S:
            break
        gone.append(entry)
        excess -= entry.size
    return tuple(gone)


def remove_excess(cache: Path, limit: int) -> tuple[str, ...]:
    """Remove what `leaving` names and return a sentence for each; the caller holds the lock."""
    gone = leaving(_entries(cache), limit, time.time())
    for entry in gone:
        shutil.rmtree(entry.path, ignore_errors=True)
    return tuple(f"removed {entry.path} from the build cache ({entry.size / 2**20:.1f} MiB)" for entry in gone)


def _entries(cache: Path) -> tuple[Entry, ...]:
    paths = [path for part in _PARTS if (cache / part).is_dir() for path in (cache / part).iterdir()]
    return tuple(Entry(path, _size(path), path.stat().st_mtime) for path in paths)


def _size(path: Path) -> int:
    """Return the bytes below `path`; a file with several names (cargo links its outputs) counts once."""
    seen: dict[int, int] = {}
    for root, _, names in os.walk(path):
        for name in names:
            try:
                found = os.lstat(f"{root}/{name}")
            except OSError:
                continue
            seen[found.st_ino] = found.st_blocks * 512
    return sum(seen.values())
