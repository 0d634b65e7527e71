"""Writes the files of a report: each is either the old one or the whole new one, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import MachineError
from harness.ledger.folder import disk_errors


def replace(file: Path, content: str | bytes) -> None:
    """Write `content` to `file`, making its folder; MachineError where the file system refuses."""
    if file.parent.exists() and not file.parent.is_dir():
        raise MachineError(f"cannot write {file}: {file.parent} is no folder; move it away and make the report again")
    draft = file.with_name(f".{file.name}.draft")
    with disk_errors(file):
        file.parent.mkdir(exist_ok=True)
        with draft.open("wb") as out:
            out.write(content.encode() if isinstance(content, str) else content)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)


def remove(file: Path) -> None:
    """Remove `file` if it is there; MachineError where the file system refuses."""
    with disk_errors(file):
        file.unlink(missing_ok=True)
