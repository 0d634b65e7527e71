"""A timer of the kernel on the event loop: wakes to some 40 us, where gevent's own timers count whole milliseconds.

Python has os.timerfd_create only from 3.13 on, hence ctypes.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from harness.load.engine import READABLE, Loop

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSTIME = 1
_NS = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _ITimerSpec(ctypes.Structure):
    _fields_ = (("it_interval", _TimeSpec), ("it_value", _TimeSpec))


class TimerFd:
    """One timerfd; `callback` runs on the loop each time that it has expired."""

    def __init__(self, loop: Loop, callback: Callable[[], None]) -> None:
        """Make the timer, not yet set. It is called before anything else that is ready, since lateness starts there."""
        self._fd = _LIBC.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = _ITimerSpec()
        self._callback = callback
        self._watcher = loop.io(self._fd, READABLE, priority=loop.MAXPRI)
        self._watcher.start(self._expired)

    def set(self, at_ns: int) -> None:
        """Expire at `at_ns` of CLOCK_MONOTONIC, or at once if that has passed."""
        value = self._spec.it_value
        value.tv_sec, value.tv_nsec = divmod(max(1, at_ns), _NS)
        if _LIBC.timerfd_settime(self._fd, _ABSTIME, ctypes.byref(self._spec), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """Give the timer back."""
        self._watcher.stop()
        self._watcher.close()
        os.close(self._fd)

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._callback()
