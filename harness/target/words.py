"""How a service ended and what it last wrote, in words and bounded. Pure."""

from __future__ import annotations

import signal

from harness.target.service import Exit

MOST_LOG_BYTES = 16 * 1024
SIGNAL_BASE = 128


def ending(code: int | None, *, oom_killed: bool = False) -> Exit:
    """Return the end of a service from its exit code, 128 + n for signal n; None: it ended, but nobody knows how."""
    if oom_killed:
        return Exit(code, oom_killed=True, words="killed by the kernel: it reached its memory limit")
    if code is None:
        return Exit(None, oom_killed=False, words="ended, and its exit code is not known")
    if code > SIGNAL_BASE:
        return Exit(code, oom_killed=False, words=f"killed by {_signal_name(code - SIGNAL_BASE)}")
    return Exit(code, oom_killed=False, words=f"ended with exit code {code}")


def tail(written: bytes, lines: int) -> str:
    """Return the last `lines` lines, at most 16 KiB of them, with undecodable bytes replaced."""
    text = written[-MOST_LOG_BYTES:].decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:]) if lines > 0 else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
