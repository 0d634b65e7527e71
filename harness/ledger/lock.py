"""One run a host: an exclusive lock that dies with its holder and says who holds it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import MachineError

# The same file for every user and folder of the host, because two runs anywhere on it disturb each other.
HOST_LOCK = Path("/tmp/tokio-harness.lock")  # noqa: S108 - a lock of the host needs a place every user can reach


@contextmanager
def host_lock(run: str, wait_s: float, file: Path = HOST_LOCK) -> Iterator[None]:
    """Hold the host's lock for `run`, waiting up to `wait_s` seconds; MachineError names the holder otherwise."""
    descriptor = _open(file)
    try:
        _acquire(descriptor, wait_s, file)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()}, run {run}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    # Without O_CREAT first: a sticky folder refuses it on a file of another user.
    try:
        return os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise MachineError(
            f"cannot open the host's lock {file}: {error.strerror}; remove it or mend its mode"
        ) from error
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.fchmod(descriptor, 0o666)
    except OSError as error:
        raise MachineError(f"cannot make the host's lock {file}: {error.strerror}") from error
    return descriptor


def _acquire(descriptor: int, wait_s: float, file: Path) -> None:
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                holder = os.pread(descriptor, 4096, 0).decode(errors="replace").strip() or "another process"
                raise MachineError(
                    f"another run holds this host ({holder}). Two runs at once would disturb each other: wait for it, "
                    f"or give --wait SECONDS. The lock is {file}."
                ) from None
            time.sleep(min(0.2, max(0.0, end - time.monotonic())))
        else:
            return
