"""Servers of known delay, where nothing is to be measured: what calibration drives, and what a target forwards to.

Each is a process of its own on given cores, listens on 127.0.0.1 only, and dies with who started it: by the kernel's
signal, and because its standard input ends. Measures nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import MachineError
from harness.load import native_program
from harness.target import words
from harness.target.service import Exit
from harness.target.starting import LAUNCH

_START_LIMIT_S = 10.0


@dataclass(frozen=True)
class NullServer:
    """A running null server."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def exited(self) -> Exit | None:
        """Return how it ended, or None while it runs."""
        code = self.process.poll()
        return None if code is None else words.ending(words.SIGNAL_BASE - code if code < 0 else code)


def null_server(cores: tuple[int, ...], delay_us: int = 0) -> AbstractContextManager[NullServer]:
    """Serve on `cores` of 127.0.0.1 and answer each request `delay_us` after it came; ends with the block."""
    return served(native_program.null_server(), cores, delay_us)


def null_websocket(cores: tuple[int, ...], delay_us: int = 0) -> AbstractContextManager[NullServer]:
    """Serve likewise and send each message back over its WebSocket `delay_us` after it came."""
    return served(native_program.null_websocket(), cores, delay_us)


@contextmanager
def served(program: Path, cores: tuple[int, ...], delay_us: int) -> Iterator[NullServer]:
    """Serve by `program`, one of the two; MachineError where it does not start."""
    command = [str(program), "--delay-us", str(delay_us)]
    pinned = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), ",".join(map(str, cores)), *command]
    with subprocess.Popen(pinned, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line.strip().isdigit():
                raise MachineError(f"the null server did not start (exit code {process.wait(_START_LIMIT_S)})")
            yield NullServer(process, int(line))
        finally:
            process.kill()
