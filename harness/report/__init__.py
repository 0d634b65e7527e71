"""What people see of a run: page, runbook, summary and recommended files, made from the run folder alone.

Nothing outside the folder is read, so a report can be made again years later; nothing here runs, judges or prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.report.index import write as write_index
from harness.report.junit import write as write_junit
from harness.report.page import write as write_page
from harness.report.read import run as read_run
from harness.report.recommended import write as write_recommended
from harness.report.runbook import write as write_runbook
from harness.report.summary import write as write_summary

__all__ = ["write", "write_index"]


def write(folder: Path) -> dict[str, Any]:
    """Make report.html, runbook.md, recommended/, junit.xml and summary.json of the run in `folder`; return the summary.

    summary.json is written last and only once the run has its verdict: it is what says that a run has reached its end.
    Raises StudyError when `folder` holds no run that can be read, MachineError when it cannot be written.
    """
    run = read_run(folder)
    write_recommended(run)
    write_runbook(run)
    write_page(run)
    write_junit(run)
    return write_summary(run)
