"""The append-only ledger of a run: two files of lines, flushed and synced, read back whole. The only truth of a run.

A line torn by a crash is dropped at the next opening; any other damaged line is refused, never skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from harness.errors import StudyError
from harness.ledger.folder import RunFolder, disk_errors
from harness.ledger.record import DecisionRecord, History, WindowRecord
from harness.variant import Decision, Step
from harness.window.measurement import Measurement

Line = TypeVar("Line", bound=BaseModel)


class Ledger:
    """The ledger of one run folder, with all of it in memory as `history`."""

    def __init__(self, folder: RunFolder) -> None:
        """Open the ledger of `folder`, making empty files where there are none and cutting a torn last line."""
        self.folder = folder
        for file in (folder.windows_jsonl, folder.decisions_jsonl):
            with disk_errors(file):
                file.touch()
                _cut_torn_line(file)
        self.history = read_history(folder)

    def append_window(self, step: Step, measurement: Measurement) -> WindowRecord:
        """Write one window to the disk and to the history; the record is durable when this returns."""
        record = window_record(self.history, step, measurement)
        _append(self.folder.windows_jsonl, record.model_dump_json())
        self.history = self.history.model_copy(update={"windows": (*self.history.windows, record)})
        return record

    def append_decision(self, decision: Decision, at: float) -> DecisionRecord:
        """Write one decision, taken at Unix time `at`, to the disk and to the history."""
        record = decision_record(self.history, decision, at)
        _append(self.folder.decisions_jsonl, record.model_dump_json())
        self.history = self.history.model_copy(update={"decisions": (*self.history.decisions, record)})
        return record


def window_record(history: History, step: Step, measurement: Measurement) -> WindowRecord:
    """Return the line that `measurement` of `step` makes after `history`."""
    return WindowRecord(
        n=len(history.windows) + 1,
        after=len(history.decisions),
        phase=step.phase,
        role=step.role,
        block=step.block,
        position=step.position,
        attempt=step.attempt,
        variant=step.variant.id,
        values=dict(step.variant.values),
        proposed=dict(step.proposed),
        schedule_seed=step.schedule_seed,
        started=measurement.started,
        ended=measurement.ended,
        validity=measurement.validity,
        reasons=measurement.reasons,
        metrics=measurement.figures,
        by_request=dict(measurement.by_request),
        host=measurement.host,
        server=measurement.server,
        stages=measurement.stages,
        in_force=dict(measurement.in_force),
        image=measurement.image,
        new_variant=measurement.new_variant,
        log=measurement.log,
    )


def decision_record(history: History, decision: Decision, at: float) -> DecisionRecord:
    """Return the line that `decision` makes after `history`."""
    return DecisionRecord(
        k=len(history.decisions) + 1,
        after=len(history.windows),
        kind=decision.kind,
        at=at,
        content=dict(decision.content),
    )


def read_history(folder: RunFolder) -> History:
    """Read both halves of the ledger; a torn last line is passed over, any other damage raises StudyError."""
    windows = _read(folder.windows_jsonl, WindowRecord.model_validate_json)
    decisions = _read(folder.decisions_jsonl, DecisionRecord.model_validate_json)
    for number, window in enumerate(windows, start=1):
        if window.n != number:
            raise _moved(folder.windows_jsonl, number, f"window {window.n}, not {number}")
    for number, decision in enumerate(decisions, start=1):
        if decision.k != number:
            raise _moved(folder.decisions_jsonl, number, f"decision {decision.k}, not {number}")
        if decision.after > len(windows):
            what = f"a decision after window {decision.after}, of which there are {len(windows)}"
            raise _moved(folder.decisions_jsonl, number, what)
    return History(windows=tuple(windows), decisions=tuple(decisions))


def _moved(file: Path, line: int, what: str) -> StudyError:
    return StudyError(
        f"{file}:{line} is {what}: lines were removed or moved by hand. Put the file back as it was, or start again with "
        "--fresh."
    )


def _read(file: Path, parse: Callable[[str], Line]) -> list[Line]:
    if not file.exists():
        return []
    text = file.read_bytes().decode("utf-8", errors="replace")
    lines = text.split("\n")[:-1]  # what follows the last newline is empty, or torn
    return [_parsed(file, number, line, parse) for number, line in enumerate(lines, start=1)]


def _parsed(file: Path, number: int, line: str, parse: Callable[[str], Line]) -> Line:
    try:
        return parse(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StudyError(
            f"{file}:{number} cannot be read as a line of the ledger ({where or 'JSON'}: {first['msg']}). It was "
            "changed by hand or written by another version. Put it back as it was, or start again with --fresh."
        ) from error


def _cut_torn_line(file: Path) -> None:
    content = file.read_bytes()
    if content and not content.endswith(b"\n"):
        with file.open("rb+") as out:
            out.truncate(content.rfind(b"\n") + 1)
            os.fsync(out.fileno())


def _append(file: Path, line: str) -> None:
    with disk_errors(file), file.open("ab") as out:
        out.write(line.encode() + b"\n")
        out.flush()
        os.fsync(out.fileno())


def write_json(file: Path, content: object) -> None:
    """Write `content` as JSON so that the file is either the old one or the whole new one."""
    draft = file.with_name(f".{file.name}.draft")
    with disk_errors(file):
        with draft.open("w", encoding="utf-8") as out:
            json.dump(content, out, indent=1, sort_keys=True)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
