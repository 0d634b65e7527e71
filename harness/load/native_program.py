"""Builds the native engine's programs from `native/`, once for each content of it and compiler, into the build cache."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from harness.errors import MachineError
from harness.target import cache as caches
from harness.target import cargo
from harness.target.service import TargetFailed

SOURCES = Path(__file__).resolve().parents[2] / "native"
PACKAGE = "harness-native"
PROGRAMS = ("drive", "null_server", "null_websocket")
"""The load engine, and servers of known delay to calibrate and test with: one for requests, one for messages."""

_MARK = "complete"


def built() -> Path:
    """Return the load engine's program; MachineError where this machine cannot build it."""
    return _folder() / "drive"


def null_server() -> Path:
    """Return the program of the server that answers at once or after a delay; MachineError as above."""
    return _folder() / "null_server"


def null_websocket() -> Path:
    """Return the program of the server that sends messages back; MachineError as above."""
    return _folder() / "null_websocket"


def _folder() -> Path:
    cache = caches.folder()
    with caches.locked(cache), caches.disk_errors(cache):
        toolchain = cargo.toolchain(SOURCES)
        entry = cache / "bin" / f"native-{_key(toolchain.version)}"
        if not (entry / _MARK).is_file():
            _build(cache, toolchain.triple, entry)
        caches.touch(entry)
    return entry


def _build(cache: Path, triple: str, entry: Path) -> None:
    into = cache / "cargo" / "native"
    into.mkdir(parents=True, exist_ok=True)
    try:
        programs = [cargo.build(SOURCES, PACKAGE, triple, cargo.Recipe(), into, binary=name) for name in PROGRAMS]
    except TargetFailed as failed:
        raise MachineError(f"the native load generator does not build: {failed.reason}\n{failed.log}") from failed
    entry.mkdir(parents=True, exist_ok=True)
    for program in programs:
        shutil.copy2(program, entry / program.name)
    (entry / _MARK).touch()


def _key(compiler: str) -> str:
    """Return the digest of all that decides the programs."""
    digest = hashlib.sha256(compiler.encode())
    for file in sorted([*SOURCES.glob("Cargo.*"), *(SOURCES / "src").rglob("*.rs")]):
        digest.update(os.fsencode(file.relative_to(SOURCES)) + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:24]
