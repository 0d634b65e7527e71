"""What people see of a run: page, runbook, summary and recommended files, made from the run folder alone.

Nothing outside the folder is read, so a report can be made again years later; nothing here runs, judges or prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.report.page import write as write_page
from harness.report.read import run as read_run
from harness.report.recommended import write as write_recommended
from harness.report.runbook import write as write_runbook
from harness.report.summary import write as write_summary


def write(folder: Path) -> dict[str, Any]:
    """Make report.html, runbook.md, recommended/ and summary.json of the run in `folder`; return the summary.

    summary.json is written last and only once the run has its verdict: it is what says that a run has reached its end.
    Raises StudyError when `folder` holds no run that can be read, MachineError when it cannot be written.
    """
    run = read_run(folder)
    write_recommended(run)
    write_runbook(run)
    write_page(run)
    return write_summary(run)
