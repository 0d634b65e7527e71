"""The load of a study: from its file's keys to the profile, with the files that it names (bodies, a trace, a locustfile).

Reads those files and says what is wrong with them; runs nothing. What they hold becomes part of the study's digest.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.study import quantities, schema
from harness.study.faults import Faults, Loc
from harness.study.model import Load, Piece, Request, WebSocket, WindowTimes
from harness.study.quantities import given
from harness.study.schema import ArrivalsFile, LoadFile

MOST_REQUESTS = 20_000_000
"""In one window: their schedule is computed beforehand and their samples are kept, so memory sets the limit."""
MOST_BODY_BYTES = 16 * 2**20
MOST_TRACE_BYTES = 64 * 2**20
MOST_TRACED = 1_000_000
MOST_PIECES = 100_000
_SHOWN = 40


class Loads:
    """Makes the profile of one study; `digests` are the SHA-256 of the files that it read, in the study's order."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        """`folder` is where the paths of the study start."""
        self._folder, self._faults = folder, faults
        self.digests: list[str] = []

    def profile(self, file: LoadFile, times: WindowTimes) -> Load:
        """Return the profile; its faults are added."""
        self._check_names(file)
        trace_s = self._trace(file, times)
        requests = tuple(self._request(request, index) for index, request in enumerate(file.requests)) or (_ANY,)
        websocket = _websocket(file)
        length_s = times.warmup_s + times.measure_s
        rate = len(trace_s) / length_s if trace_s else file.rate
        load = Load(
            model=file.model,
            rate=rate,
            arrivals=_law(file),
            connections=file.connections,
            timeout_s=file.timeout,
            requests=requests if websocket is None else self._messages(requests, websocket),
            engine=file.engine,
            pieces=self._pieces(file, times),
            trace_s=trace_s,
            think_s=file.think or 0.0,
            keep_alive=file.keep_alive,
            websocket=websocket,
            locustfile=self._locustfile(file),
        )
        self._check_volume(load, times)
        return load

    def _check_names(self, file: LoadFile) -> None:
        names = [request.name for request in file.requests]
        for index, name in enumerate(names):
            if name in names[:index]:
                words = f"the name {name} stands twice: each kind of request needs its own"
                self._faults.add(words, "load", "requests", index, "name")

    def _request(self, file: schema.RequestFile, index: int) -> Request:
        headers = dict(file.headers)
        body = (file.body or "").encode()
        if file.json_ is not None:
            body = json.dumps(file.json_, separators=(",", ":"), ensure_ascii=False).encode()
            if all(name.lower() != "content-type" for name in headers):
                headers["Content-Type"] = "application/json"
        if file.body_file is not None:
            body = self._bytes(file.body_file, MOST_BODY_BYTES, "load", "requests", index, "body_file") or b""
        return Request(
            name=file.name,
            method=file.method,
            path=file.path,
            headers=tuple(headers.items()),
            body=body,
            weight=file.weight,
            expect_status=file.expect.status,
            expect_contains=(file.expect.contains or "").encode(),
        )

    def _messages(self, requests: tuple[Request, ...], about: WebSocket) -> tuple[Request, ...]:
        """Return the messages of a WebSocket, whose status is that of its handshake; their faults are added."""
        for index, request in enumerate(requests):
            where = ("load", "requests", index)
            if about.delivery == "broadcast" and b"{id}" not in request.body:
                words = (
                    f"{request.name} needs a body with {{id}} in it, by which a broadcast message is told from others"
                )
                self._faults.add(words, *where)
            if not about.binary and not _is_text(request.body):
                self._faults.add("the body is no UTF-8 text; with `websocket: {binary: true}` any bytes can go", *where)
        return tuple(replace(request, expect_status=SWITCHING) for request in requests)

    def _bytes(self, name: str, most: int, *loc: str | int) -> bytes | None:
        """Return what a file holds; None with a fault where it cannot be read."""
        path = self._folder / name
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                self._faults.add(f"{path} is no regular file", *loc)
                return None
            if status.st_size > most:
                self._faults.add(f"{path} is {status.st_size:,} bytes large; it can be {most:,}", *loc)
                return None
            content = path.read_bytes()
        except OSError as error:
            self._faults.add(f"cannot read {path}: {error.strerror}", *loc)
            return None
        self.digests.append(hashlib.sha256(content).hexdigest())
        return content

    def _trace(self, file: LoadFile, times: WindowTimes) -> tuple[float, ...]:
        """Return the recorded times within a window (s from the start of warm-up), each a line of the trace."""
        if not isinstance(file.arrivals, ArrivalsFile) or file.arrivals.trace is None:
            return ()
        loc = ("load", "arrivals", "trace")
        content = self._bytes(file.arrivals.trace, MOST_TRACE_BYTES, *loc)
        if content is None:
            return ()
        try:
            recorded = _times(content)
        except ValueError as error:
            self._faults.add(f"{self._folder / file.arrivals.trace}{error}", *loc)
            return ()
        length_s = times.warmup_s + times.measure_s
        inside = tuple(time_s for time_s in recorded if time_s < length_s)
        if not any(time_s >= times.warmup_s for time_s in inside):
            words = (
                f"the trace ends at {recorded[-1] if recorded else 0:g} s, before the measured stretch begins "
                f"({times.warmup_s:g} s, after warm-up)"
            )
            self._faults.add(words, *loc, rests_on=[("window",)])
        return inside

    def _pieces(self, file: LoadFile, times: WindowTimes) -> tuple[Piece, ...]:
        law, rate = file.arrivals, file.rate
        if not isinstance(law, ArrivalsFile) or rate is None:
            return ()
        warmup = Piece(times.warmup_s, rate, rate)
        if law.ramp is not None:
            return (warmup, Piece(times.measure_s, rate, law.ramp.to))
        if law.steps is not None:
            each_s, last = times.measure_s / law.steps.count, law.steps.count - 1
            rates = [rate + (law.steps.to - rate) * step / last for step in range(law.steps.count)]
            return (warmup, *(Piece(each_s, step, step) for step in rates))
        if law.bursts is None:
            return ()
        if (times.warmup_s + times.measure_s) / (law.bursts.on + law.bursts.off) > MOST_PIECES / 2:
            self._faults.add("the bursts are too short: a window would have too many", "load", "arrivals", "bursts")
            return ()
        return _bursts(law.bursts, rate, times)

    def _locustfile(self, file: LoadFile) -> Path | None:
        if file.locustfile is None:
            return None
        loc = ("load", "locustfile")
        path = (self._folder / file.locustfile).resolve()
        content = self._bytes(file.locustfile, MOST_BODY_BYTES, *loc)
        if content is not None:
            try:
                compile(content, str(path), "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None)
                where = f"{path}:{line}" if line else str(path)
                self._faults.add(f"{where} is no Python: {getattr(error, 'msg', None) or error}", *loc)
        return path

    def _check_volume(self, load: Load, times: WindowTimes) -> None:
        """Refuse more requests in a window than memory can hold."""
        offered = (load.peak_rate or 0.0) * (times.warmup_s + times.measure_s)
        if load.pieces:
            offered = sum(piece.length_s * (piece.rate + piece.to_rate) / 2 for piece in load.pieces)
        if offered > MOST_REQUESTS and not load.trace_s:
            words = f"{offered:,.0f} requests in one window are more than can be kept ({MOST_REQUESTS:,})"
            rests_on: list[Loc] = [("load", "rate"), ("window",)]
            self._faults.add(
                f"{words}: lower the rate, or measure for a shorter time", "load", "rate", rests_on=rests_on
            )


SWITCHING = 101
"""What the handshake of a WebSocket is answered with (RFC 6455, 4.2.2)."""


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


_ANY = Request("all", "GET", "/", (), b"", 1.0, 200)
"""Stands for all that a locustfile sends."""


def _law(file: LoadFile) -> Any:  # noqa: ANN401 - one of model.Law, which the schema holds to
    if file.model == "closed":
        return None
    return file.arrivals.law if isinstance(file.arrivals, ArrivalsFile) else file.arrivals or "poisson"


def _websocket(file: LoadFile) -> WebSocket | None:
    if file.engine != "websocket" or not file.requests:
        return None
    about = file.websocket or schema.WebSocketFile()
    return WebSocket(file.requests[0].path, about.delivery, about.idle, about.binary, about.idle_path or "")


def _bursts(bursts: schema.BurstsFile, rate: float, times: WindowTimes) -> tuple[Piece, ...]:
    """Return warm-up and measurement in turns of `on` and `off`, an `on` beginning where the measurement does.

    All windows then measure the same turns, however long warm-up is; it begins within a turn.
    """
    on, off = rate * bursts.factor, rate * (bursts.on + bursts.off - bursts.factor * bursts.on) / bursts.off
    turn_s = bursts.on + bursts.off
    begun_s = times.warmup_s - math.ceil(times.warmup_s / turn_s) * turn_s  # at or before 0, the start of warm-up
    end_s = times.warmup_s + times.measure_s
    pieces = []
    turns = math.ceil((end_s - begun_s) / turn_s)
    for turn in range(turns):
        at_s = begun_s + turn * turn_s
        for begin_s, stop_s, of in ((at_s, at_s + bursts.on, on), (at_s + bursts.on, at_s + turn_s, max(0.0, off))):
            inside_s = min(stop_s, end_s) - max(begin_s, 0.0)
            if inside_s > 0:
                pieces.append(Piece(inside_s, of, of))
    return tuple(pieces)


def _times(content: bytes) -> list[float]:
    """Return the numbers of a trace in rising order; ValueError with the line that is at fault, after a colon."""
    found: list[float] = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found.append(_time(text, number, found[-1] if found else 0.0))
        if len(found) > MOST_TRACED:
            raise ValueError(f":{number} is the first line too many: a trace has at most {MOST_TRACED:,} times")
    return found


def _time(text: str, number: int, before: float) -> float:
    try:
        time_s = float(text)
    except ValueError:
        time_s = math.nan
    if not 0 <= time_s < math.inf:
        raise ValueError(f":{number} must be a time in seconds from 0 on, not {given(text[:_SHOWN])}")
    if time_s < before:
        raise ValueError(f":{number} goes back in time: {time_s:g} s after {before:g} s; sort the trace")
    return time_s


def drain_s(file: schema.StudyFile, faults: Faults) -> float:
    """Return how long the last answers are waited for: the load's time-out where the study does not say."""
    timeout_s = file.load.timeout
    asked_s = timeout_s if file.window.drain is None else file.window.drain
    if asked_s < timeout_s:
        timeout, drain = quantities.duration_text(timeout_s), quantities.duration_text(asked_s)
        words = f"{drain} is shorter than load.timeout ({timeout}), so requests in flight could not end"
        rests_on: list[Loc] = [("load", "timeout"), ("window", "drain")]
        faults.add(f"{words}: give {timeout} or more", "window", "drain", rests_on=rests_on)
    return asked_s
