"""A deep diagnosis: one more window of the baseline, by its diagnostic build, to see what the service does inside.

The window is never scored and never in the ledger. What cannot be had is a sentence in inside.json; the diagnosis goes on.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from harness import loop
from harness import variant as variants
from harness.errors import MachineError
from harness.ledger.folder import RunFolder, disk_errors
from harness.ledger.ledger import Ledger, write_json
from harness.search import seeds
from harness.study.model import Study
from harness.target import build, diagnostic
from harness.target.service import Program, TargetFailed
from harness.variant import Step
from harness.window import run as window
from harness.window.inside import NOTHING, Inside, InsideLook
from harness.window.measurement import Measurement
from harness.window.run import Bench, Place

SCHEMA = 1
CONSOLE = "127.0.0.1:6669"
"""Where the program serves tokio-console if it is told to: the address that `tokio-console` looks at by itself."""

ROOM_BYTES = 512 * 2**20
"""Memory that the window of a diagnostic build gets beyond the study's limit."""


@dataclass(frozen=True)
class Found:
    """What one look gave. `measurement` is None where the program was not built, or the machine did not let it run."""

    inside: Inside = NOTHING
    missing: tuple[str, ...] = ()
    measurement: Measurement | None = None
    console: Mapping[str, str] = field(default_factory=dict)


def look(study: Study, ledger: Ledger, bench: Bench) -> None:
    """Run the window and write inside.json, stacks.txt and tasks.txt into the run folder, whatever came of it."""
    found = _found(study, ledger, bench)
    _write(ledger.folder, found)


def _found(study: Study, ledger: Ledger, bench: Bench) -> Found:
    obstacle = diagnostic.obstacle(study.target)
    if obstacle is not None:
        return Found(missing=(obstacle,))
    baseline = variants.baseline(study)
    try:
        program = build.build_diagnostic(study, baseline)
    except TargetFailed as failed:
        return Found(missing=(f"the diagnostic build failed: {failed.reason}",))
    except MachineError as error:
        return Found(missing=(f"there is no diagnostic build: {error}",))
    console = commands(program) if study.target.form == "template" else {}
    one = InsideLook()
    step = Step("calibrate", "baseline", 0, 0, 0, baseline, seeds.exploring_arrivals(study, 0))
    watched = replace(bench, study=_with_room(study), build=lambda _study, _variant: program, inside=one)
    try:
        measured = window.run(step, watched, _place(study, ledger))
    except MachineError as error:
        return Found(one.seen, (f"the window of the diagnostic build ended early: {error}",), console=console)
    told = one.seen.missing if measured.figures is not None else measured.reasons
    return Found(one.seen, told, measured, console)


def _with_room(study: Study) -> Study:
    """Return the study with memory for the profiler on top: it takes some 150 MiB, and must not have the service killed."""
    memory = study.target.memory_bytes
    return study if memory is None else replace(study, target=replace(study.target, memory_bytes=memory + ROOM_BYTES))


def _place(study: Study, ledger: Ledger) -> Place:
    folder = ledger.folder.inside_window
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return Place(folder, folder, loop.lateness_floor_ms(study, ledger.history), new_variant=False)


def commands(program: Program) -> dict[str, str]:
    """Return the two commands that show the program live: one starts it with its console's port open, one attaches."""
    environment = {
        **program.environment,
        "PORT": "8080",
        "ADMIN_PORT": "8081",
        "TOKIO_CONSOLE_BIND": CONSOLE,
    }
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
    return {
        "start": f"env {given} {shlex.quote(str(program.binary))}",
        "attach": f"tokio-console http://{CONSOLE}",
    }


def _write(folder: RunFolder, found: Found) -> None:
    texts = ((folder.stacks_txt, found.inside.stacks), (folder.tasks_txt, found.inside.tasks))
    for file, text in texts:
        if text is not None:
            _write_text(file, text)
    measured = found.measurement
    content = {
        "schema": SCHEMA,
        "missing": list(found.missing),
        "stacks_s": found.inside.stacks_s,
        "console": dict(found.console),
        "validity": None if measured is None else str(measured.validity),
        "reasons": [] if measured is None else list(measured.reasons),
        "figures": None if measured is None or measured.figures is None else asdict(measured.figures),
        "program_sha256": "" if measured is None else measured.image,
    }
    write_json(folder.inside_json, content)


def _write_text(file: Path, text: str) -> None:
    with disk_errors(file):
        file.write_text(text, encoding="utf-8")
