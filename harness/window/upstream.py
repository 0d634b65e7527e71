"""What a target forwards to: a server of fixed delay on the generator's cores, afresh for each window.

It stands on the generator's side: its end is a disturbance of the window, never the target's failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.load import null_servers
from harness.load.job import TargetRefused
from harness.load.null_servers import NullServer
from harness.target.service import TargetFailed


@dataclass(frozen=True)
class Upstream:
    """How to serve it: the program of the null server, and the delay of each answer (ms)."""

    program: Path
    delay_ms: float


class UpstreamEnded(Exception):  # noqa: N818 - an INVALID window, not an error of the harness
    """The upstream ended, and the target could not be measured without it."""


@contextmanager
def served(upstream: Upstream | None, cores: tuple[int, ...]) -> Iterator[NullServer | None]:
    """Serve it while the block runs; None where the target needs none. MachineError where it does not start.

    Raises UpstreamEnded in place of a failure of the target that came after its end.
    """
    if upstream is None:
        yield None
        return
    with null_servers.served(upstream.program, cores, round(upstream.delay_ms * 1000)) as server:
        try:
            yield server
        except (TargetFailed, TargetRefused) as fault:
            if (words := ended(server)) is not None:
                raise UpstreamEnded(f"the upstream did not survive the window: {words}") from fault
            raise


def ended(server: NullServer | None) -> str | None:
    """Return in words how it ended; None while it runs, and where there is none."""
    end = None if server is None else server.exited()
    return None if end is None else end.words
