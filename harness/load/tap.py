"""Samples of a user's own locustfile, taken from Locust's request event before Locust rounds anything.

Owns the translation of one event into one row. What the event does not tell is left as the column's "unknown": users of
a locustfile decide themselves when they send, so a request is intended, handed over and sent at the same moment.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.load.job import COMPLETED, FAILED, TIMED_OUT, UNFINISHED
from harness.load.samples import Samples

_NS_PER_MS = 1_000_000


@dataclass
class Tap:
    """Listens to `events.request`; times are CLOCK_MONOTONIC nanoseconds, `timeout_s` is the load's time-out.

    `reported` counts the requests that were reported since the beginning, `answered` those of them that had a response.
    """

    timeout_s: float
    reported: int = 0
    answered: int = 0
    _rows: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    _epoch_to_monotonic_ns: int = field(default_factory=lambda: time.monotonic_ns() - time.time_ns())

    def took(
        self,
        response_time: float | None = None,
        response_length: int | None = None,
        exception: BaseException | None = None,
        start_time: float | None = None,
        response: Any = None,  # noqa: ANN401 - whatever the user's client gives
        **_: object,
    ) -> None:
        """Note one request. The arguments are those of Locust's event: milliseconds, bytes, seconds since 1970."""
        self.reported += 1
        latency_ns = int((response_time or 0.0) * _NS_PER_MS)
        if start_time is None:  # a client that does not tell when it began: it ends now
            started_ns = time.monotonic_ns() - latency_ns
        else:
            started_ns = int(start_time * 1e9) + self._epoch_to_monotonic_ns
        status = int(getattr(response, "status_code", 0) or 0)
        self.answered += status > 0
        outcome = COMPLETED if exception is None else FAILED
        if latency_ns > self.timeout_s * 1e9:
            outcome = TIMED_OUT
        done_ns = started_ns + latency_ns if outcome != TIMED_OUT and (status or outcome == COMPLETED) else 0
        self._rows.append((started_ns, done_ns, outcome, min(status, 2**15 - 1), min(response_length or 0, 2**31 - 1)))

    def samples(self, t0_ns: int, t1_ns: int, waiting: int) -> Samples:
        """Return the requests that began within [t0, t1), in that order.

        `waiting` users were still in a request when the drain ended. Locust reports nothing of those, so each is one
        unfinished request that began with the last moment of the window; when it was sent is not known.
        """
        rows = [row for row in self._rows if t0_ns <= row[0] < t1_ns]
        rows += [(t1_ns - 1, 0, UNFINISHED, 0, 0)] * waiting
        table = np.array(sorted(rows), dtype=np.int64).reshape(-1, 5)
        started, count = table[:, 0], len(table)
        sent = np.where(table[:, 2] == UNFINISHED, 0, started)
        return Samples(
            intended_ns=started,
            woken_ns=started,
            sent_ns=sent,
            done_ns=table[:, 1],
            outcome=table[:, 2].astype(np.int8),
            status=table[:, 3].astype(np.int16),
            bytes=table[:, 4].astype(np.int32),
            kind=np.zeros(count, dtype=np.int16),
            connection=np.full(count, -1, dtype=np.int32),
        )
