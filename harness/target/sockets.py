"""Who listens on a loopback port of this host. Reads /proc; opens no connection."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
# How /proc/net/tcp and tcp6 write the addresses that take connections to 127.0.0.1: itself, any, and both mapped to v6.
_LOOPBACK = {"0100007F", "00000000", "0" * 32, "0000000000000000FFFF00000100007F"}


@dataclass(frozen=True)
class Holder:
    """A process that listens on a port; pid and name are None where this user may not look."""

    pid: int | None
    name: str | None

    @property
    def words(self) -> str:
        """Who it is, for a sentence."""
        return f"pid {self.pid} {self.name}" if self.pid else "of another user"


def parse_listeners(text: str, port: int) -> frozenset[int]:
    """Return the socket inodes that listen for 127.0.0.1:`port`, from the text of /proc/net/tcp or tcp6."""
    found: set[int] = set()
    for line in text.splitlines()[1:]:
        fields = line.split()
        address, _, hexadecimal = fields[1].partition(":")
        if fields[3] == _LISTEN and int(hexadecimal, 16) == port and address in _LOOPBACK:
            found.add(int(fields[9]))
    return frozenset(found)


def listeners(port: int) -> frozenset[int]:
    """Return the socket inodes that listen for 127.0.0.1:`port` now."""
    return frozenset().union(*(parse_listeners(_text(f"/proc/net/{name}"), port) for name in ("tcp", "tcp6")))


def foreign_holder(port: int, pid: int) -> Holder | None:
    """Return who listens on `port` other than process `pid` and its descendants; None where there is nobody to name.

    Where this user may not see the sockets of `pid` (a container of root), None is all that can be said.
    """
    held = listeners(port)
    if not held:
        return None
    own: set[int] = set()
    for member in _tree(pid):
        inodes = _inodes(member)
        if inodes is None:
            return None
        own |= inodes
    others = held - own
    return _holder(others) if others else None


def _holder(inodes: frozenset[int]) -> Holder:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and inodes & (_inodes(int(folder.name)) or set()):
            return Holder(int(folder.name), _text(f"/proc/{folder.name}/comm").strip())
    return Holder(None, None)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _text(str(file)).split():
            yield from _tree(int(child))


def _inodes(pid: int) -> set[int] | None:
    """Return the inodes of the process's sockets; empty when it is gone, None when this user may not look."""
    found: set[int] = set()
    try:
        names = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208 - a scan of all processes is too slow with Path objects
    except PermissionError:
        return None
    except OSError:
        return found
    for name in names:
        try:
            link = os.readlink(f"/proc/{pid}/fd/{name}")  # noqa: PTH115 - the same
        except OSError:
            continue  # closed since it was listed
        if link.startswith("socket:["):
            found.add(int(link[8:-1]))
    return found


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
