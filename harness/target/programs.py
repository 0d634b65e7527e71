"""The small programs of the claims lab: compiled against the Tokio that the targets are pinned to, and run.

A program prints lines of a name and a number. One that is not meant to compile gives the compiler's first words.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import MachineError
from harness.study import manifest
from harness.target import cache as caches
from harness.target import cargo, words
from harness.target.service import TargetFailed

PACKAGE = "claims"
RUN_LIMIT_S = 60.0
STABLE_FLAGS = tuple(flag for flag in manifest.BUILD_FLAGS if flag not in {"--cfg", "tokio_unstable"})


@dataclass(frozen=True)
class Compiled:
    """What the compiler made of a program: the file, or its first error; one of them is None."""

    binary: Path | None
    error: str | None


@cache
def digest(crate: Path) -> str:
    """Return what identifies the programs, their lock file and the compiler: the same gives the same answers."""
    files = sorted(path for path in crate.rglob("*") if path.is_file() and "target" not in path.parts)
    parts = [cargo.toolchain(crate).version.encode(), *(path.read_bytes() for path in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def compiled(crate: Path, name: str, *, unstable: bool) -> Compiled:
    """Compile program `name` with or without `tokio_unstable`; MachineError where this machine cannot compile."""
    flags = manifest.BUILD_FLAGS if unstable else STABLE_FLAGS
    cache = caches.folder()
    with caches.locked(cache), caches.disk_errors(cache):
        sources = _copied(cache, crate)
        recipe = cargo.Recipe(flags)
        into = cache / "cargo" / recipe.folder
        into.mkdir(parents=True, exist_ok=True)
        caches.touch(into)
        try:
            built = cargo.build(sources, PACKAGE, cargo.toolchain(sources).triple, recipe, into=into, binary=name)
        except TargetFailed as failed:
            return Compiled(None, str(failed).removeprefix("the variant does not build: "))
        kept = sources / f"{name}.{'unstable' if unstable else 'stable'}"
        shutil.copy2(built, kept)
    return Compiled(kept, None)


def figures(program: Path) -> dict[str, float]:
    """Run a program and return what it printed; MachineError where it fails or is not done within a minute."""
    env = {name: value for name, value in cargo.environment(os.environ).items() if not name.startswith("RUST")}
    try:
        done = subprocess.run([str(program)], env=env, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise MachineError(f"{program.name} of the claims lab was not done within {RUN_LIMIT_S:g} s") from error
    if done.returncode != 0:
        raise MachineError(f"{program.name} of the claims lab failed:\n{words.tail(done.stderr.encode(), 10)}")
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def tokio_line(crate: Path, file: str, part: str) -> tuple[str, int]:
    """Return (version, line number) of the line of the pinned Tokio's source that holds `part`.

    MachineError where there is none: a quoted line has to be there.
    """
    version, folder = _tokio(crate)
    lines = (folder / file).read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, 1) if part in line]
    if not found:
        raise MachineError(f"{file} of tokio {version} has no line with {part!r}: the claims table is stale")
    return version, found[0]


@cache
def _tokio(crate: Path) -> tuple[str, Path]:
    """Return version and source folder of the Tokio that the crate's lock file pins; asked of cargo once."""
    here = cargo.toolchain(crate).triple  # the crates of other systems are not needed, so they are not fetched
    done = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", here],
        cwd=crate,
        env=cargo.environment(os.environ),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode != 0:
        raise MachineError(f"cargo metadata failed:\n{words.tail(done.stderr.encode(), 5)}")
    (tokio,) = (row for row in json.loads(done.stdout)["packages"] if row["name"] == "tokio")
    return tokio["version"], Path(tokio["manifest_path"]).parent


def _copied(cache: Path, crate: Path) -> Path:
    """Return the copy of the crate in the cache, made once for each content: nothing is built beside the sources."""
    copy = cache / "src" / f"claims-{digest(crate)}"
    if not copy.is_dir():
        partial = copy.with_name(f".{copy.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(crate, partial, ignore=shutil.ignore_patterns("target"))
        partial.rename(copy)
    caches.touch(copy)
    return copy
