"""recommended/: the very files that were measured, copied from the run folder. Nothing in it is rendered anew."""

from __future__ import annotations

import json
from typing import Any

from harness.ledger import provenance
from harness.report import files
from harness.report.read import Run

COPIED = ("runtime.rs", "Cargo.lock")


def write(run: Run) -> None:
    """Write recommended/ for what the verdict recommends; remove what an earlier report left and is not recommended."""
    folder = run.folder.path / "recommended"
    variant_id = variant(run)
    kept = None if variant_id is None else run.folder.path / "variants" / variant_id
    for name in COPIED:
        source = None if kept is None else kept / name
        if source is not None and source.is_file():
            files.replace(folder / name, source.read_bytes())
        else:
            files.remove(folder / name)
    if variant_id is None:
        files.remove(folder / "variant.json")
    else:
        text = json.dumps(description(run, variant_id), indent=1, sort_keys=True)
        files.replace(folder / "variant.json", text + "\n")


def variant(run: Run) -> str | None:
    """Return the id of the recommended variant: the winner if the run recommends it, else the baseline; None undecided."""
    if run.verdict is None:
        return None
    return run.verdict.winner_id if run.recommends_winner else run.baseline.id


def description(run: Run, variant_id: str) -> dict[str, Any]:
    """Return variant.json: what the recommended variant sets, and with which versions it was measured."""
    measured = kept_description(run, variant_id)
    better, pinned = run.recommends_winner, pinned_tokio(run)
    values = next(
        (record.values for record in run.history.windows if record.variant == variant_id), run.baseline.values
    )
    options = {option.name for option in run.study.target.options}
    return {
        "run": run.id,
        "id": variant_id,
        "change": dict(run.verdict.winner) if better and run.verdict else {},
        "runtime": {name: level for name, level in values.items() if name not in options},
        "options": {name: level for name, level in values.items() if name in options},
        "settings": dict(run.study.target.settings),
        "environment": environment(run, variant_id),
        "program_sha256": measured.get("program_sha256"),
        "versions": {**run.versions, **({"tokio": pinned} if pinned else {})},
        "found_on": {"cores": run.study.target.cpus, "cpu_model": run.host.get("cpu_model"), "backend": run.backend},
    }


def pinned_tokio(run: Run) -> str | None:
    """Return the exact version of Tokio that is recommended, None where that is the baseline's."""
    chosen = variant(run)
    lock = run.folder.path / "variants" / str(chosen) / "Cargo.lock"
    return None if chosen is None else provenance.locked_version(lock, "tokio")


def environment(run: Run, variant_id: str) -> dict[str, str]:
    """Return the environment variables that the measured service was given; empty where they were not kept."""
    given = kept_description(run, variant_id).get("environment")
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}


def kept_description(run: Run, variant_id: str) -> dict[str, Any]:
    """Return what was written about the variant when it was built, empty where it is not there."""
    try:
        content = json.loads((run.folder.path / "variants" / variant_id / "variant.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def runtime_rs(run: Run, variant_id: str) -> str | None:
    """Return the measured runtime.rs of a variant, None where it was not kept."""
    try:
        return (run.folder.path / "variants" / variant_id / "runtime.rs").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
