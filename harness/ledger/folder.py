"""The run folder: where each file of one run lives. Owns the names and the making of folders, never their content."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import MachineError

CONFIRMATIONS = "confirm"
"""The folder inside a run's where its later confirmations are, each a run folder of its own."""

DIAGNOSES = "diagnoses"
"""Folder beside a study's runs that holds its diagnoses, so that nobody takes one for a run to resume or to compare."""


@dataclass(frozen=True)
class RunFolder:
    """One execution of a study: `results/<study>/<UTC stamp>/`.

    A later confirmation is in `<run>/confirm/<UTC stamp>/`, a diagnosis in `results/<study>/diagnoses/<UTC stamp>/`.
    """

    path: Path

    @property
    def run_id(self) -> str:
        """Name of the run, unique on this host: study and stamp, of a confirmation those of its run in front."""
        owner = self.path.parent
        if owner.name == DIAGNOSES:
            return f"{owner.parent.name}-diagnosis-{self.path.name}"
        within = f"{owner.parent.parent.name}-{owner.parent.name}-" if owner.name == CONFIRMATIONS else ""
        return f"{within}{owner.name}-{self.path.name}"

    @property
    def results(self) -> Path:
        """The folder that holds all runs, this one among them."""
        owner = self.path.parent
        if owner.name == CONFIRMATIONS:
            return RunFolder(owner.parent).results
        return owner.parent.parent if owner.name == DIAGNOSES else owner.parent

    @property
    def run_json(self) -> Path:
        """What was asked, where and with what it runs."""
        return self.path / "run.json"

    @property
    def windows_jsonl(self) -> Path:
        """First half of the ledger: a line a window."""
        return self.path / "windows.jsonl"

    @property
    def decisions_jsonl(self) -> Path:
        """Second half of the ledger: a line a decision."""
        return self.path / "decisions.jsonl"

    @property
    def children_json(self) -> Path:
        """Processes that the process backend started and that are not yet ended."""
        return self.path / "children.json"

    @property
    def diagnosis_json(self) -> Path:
        """What the rules found in the baseline windows, of a diagnosis only."""
        return self.path / "diagnosis.json"

    @property
    def inside_json(self) -> Path:
        """What a look inside a diagnostic build gave, of a deep diagnosis only; never part of the ledger."""
        return self.path / "inside.json"

    @property
    def stacks_txt(self) -> Path:
        """Where the CPU time went inside, a line for each stack."""
        return self.path / "stacks.txt"

    @property
    def tasks_txt(self) -> Path:
        """What the tasks inside waited for."""
        return self.path / "tasks.txt"

    @property
    def inside_window(self) -> Path:
        """Folder of the window of a diagnostic build, beside those that count and without a number."""
        return self.path / "windows" / "inside"

    @property
    def generator_log(self) -> Path:
        """What the load generator's process wrote."""
        return self.path / "generator.log"

    def window(self, n: int) -> Path:
        """Folder of window `n`: samples, series, log."""
        return self.path / "windows" / str(n)

    def fresh_window(self, n: int) -> Path:
        """Return the empty folder of window `n`; what a run that died in this window left there goes."""
        folder = self.window(n)
        with disk_errors(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder

    def variant(self, variant_id: str) -> Path:
        """Folder of one variant: runtime.rs, build log."""
        folder = self.path / "variants" / variant_id
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder


def create(results: Path, study: str, now: float, *, diagnosis: bool = False) -> RunFolder:
    """Make a new run folder named by the UTC time `now` (Unix seconds); never an existing one."""
    place = results / study / DIAGNOSES if diagnosis else results / study
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f"-{i}" for i in range(2, 100))):
        path = place / f"{stamp}{suffix}"
        with disk_errors(results):
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
        return RunFolder(path)
    raise MachineError(f"{place} already holds a hundred runs of {stamp}; is the clock right?")


def runs(results: Path, study: str) -> tuple[RunFolder, ...]:
    """Return the run folders of one study, oldest first."""
    found = sorted(path.parent for path in (results / study).glob("*/run.json"))
    return tuple(RunFolder(path) for path in found)


def confirmations(run: RunFolder) -> tuple[RunFolder, ...]:
    """Return the later confirmations of a run, oldest first."""
    return runs(run.path, CONFIRMATIONS)


_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space (`harness clean` thins old runs), then start again with --resume",
    errno.EDQUOT: "the disk quota is used up; free some space (`harness clean` thins old runs), then --resume",
    errno.EROFS: "it is on a read-only file system; give a writable folder with --results",
    errno.EACCES: "this user may not write there; give a writable folder with --results",
    errno.EPERM: "this user may not write there; give a writable folder with --results",
    errno.ENOTDIR: "a part of the path is a file, not a folder; give another folder with --results",
}


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what the file system refuses into a MachineError that names the place and the way out."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0)
        if advice is None:
            raise MachineError(f"cannot write {place}: {error.strerror or error}") from error
        raise MachineError(f"cannot write {place}: {advice}. What was measured so far is kept.") from error
