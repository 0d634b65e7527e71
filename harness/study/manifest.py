"""What a target declares, and the digest of all that it is built from.

Owns target.toml and what of a folder shapes a build. Reads target.toml and sources; builds nothing, runs nothing.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.study.faults import listed, nearest
from harness.study.knobs import TABLE, TOKIO_VERSIONS, is_newer
from harness.study.model import Declared, Level
from harness.study.quantities import given

TEMPLATES = Path(__file__).resolve().parents[2] / "target_templates"
RUNTIME_TEMPLATE = Path(__file__).resolve().parents[1] / "target" / "runtime.rs.j2"
BUILD_FLAGS = ("--cfg", "tokio_unstable", "-C", "target-feature=+crt-static")
"""The RUSTFLAGS of every variant: baseline and candidates always share them."""

_SKIPPED = {"target", ".git", "node_modules"}
"""Folders at the top of a crate that no build reads."""

MOST_DELAY_MS = 60_000.0
"""The longest delay of an upstream: no load waits longer for an answer."""

_MOST_BYTES = 2**20
_SINCE = re.compile(r"# since Tokio ([0-9.]+)$", re.MULTILINE)
_KINDS = ("choice", "integer", "number", "flag")
_KEYS = ("name", "about", "package", "admin", "upstream", "options", "settings")
_ROW_KEYS = ("kind", "default", "about", "choices", "low", "high")


def template_names() -> tuple[str, ...]:
    """Return the names of the targets that come with the harness."""
    return tuple(sorted(path.parent.name for path in TEMPLATES.glob("*/target.toml")))


def read_text(file: Path) -> str:
    """Read a text file that a study names; StudyError names the file and why it cannot be read."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise StudyError(f"{file}: is larger than {_MOST_BYTES:,} bytes")
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StudyError(f"{file}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{file}: is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise StudyError(f"{file}: cannot be read: {error.strerror}") from error


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file; StudyError names the file and the place of the fault."""
    try:
        return tomllib.loads(read_text(file))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise StudyError(f"{file}: is no TOML: {error}") from error


def declared(content: Mapping[str, Any], file: Path) -> tuple[tuple[Declared, ...], tuple[Declared, ...]]:
    """Return the (options, settings) of a target.toml; StudyError names every fault in it."""
    unknown = sorted(content.keys() - _KEYS)
    faults = [f"{key} is no known key. {nearest(key, _KEYS)}Allowed: {listed(_KEYS)}" for key in unknown]
    if not isinstance(content.get("admin", False), bool):
        faults.append("admin must be true or false: whether the service answers on $ADMIN_PORT")
    options, settings = (_part(content, part, faults) for part in ("options", "settings"))
    both = {row.name for row in options} & {row.name for row in settings}
    faults += [f"[options.{name}] is a setting too: keep one" for name in sorted(both)]
    faults += _upstream_faults(content, settings)
    if faults:
        raise StudyError("\n".join(f"{file}: {fault}" for fault in faults))
    return options, settings


def upstream_delay(content: Mapping[str, Any]) -> str | None:
    """Return the setting that says how long the upstream takes (ms), of a target.toml that `declared` has read.

    None where the target needs no upstream.
    """
    return str(content["upstream"]["delay"]) if "upstream" in content else None


def _upstream_faults(content: Mapping[str, Any], settings: tuple[Declared, ...]) -> Iterator[str]:
    """Yield what is wrong with the upstream that a target says it needs."""
    if "upstream" not in content:
        return
    upstream, numbers = content["upstream"], [row for row in settings if row.kind in {"integer", "number"}]
    if not isinstance(upstream, dict) or upstream.keys() != {"delay"}:
        yield "[upstream] needs delay and nothing else: the setting that says how long it takes, in milliseconds"
        return
    found = next((row for row in numbers if row.name == upstream["delay"]), None)
    if found is None:
        names = listed(row.name for row in numbers)
        yield f"[upstream] delay must be a setting that is a number, not {given(upstream['delay'])}. There are: {names}"
    elif found.low is None or found.low < 0 or found.high is None or found.high > MOST_DELAY_MS:
        yield f"[settings.{found.name}] is the upstream's delay: it needs low and high, from 0 to {MOST_DELAY_MS:g}"


def _part(content: Mapping[str, Any], part: str, faults: list[str]) -> tuple[Declared, ...]:
    rows = content.get(part, {})
    if not isinstance(rows, dict):
        faults.append(f"[{part}] must be a table")
        return ()
    found = []
    for name, row in rows.items():
        try:
            found.append(_row(name, row))
        except ValueError as error:
            faults.append(f"[{part}.{name}] {error}")
    return tuple(found)


def _row(name: str, row: object) -> Declared:
    """Return one declaration; ValueError says what is wrong in it."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) or name in TABLE:
        raise ValueError("needs another name: lower-case letters, digits and _, and no knob of Tokio's runtime")
    if not isinstance(row, dict) or row.get("kind") not in _KINDS or "default" not in row or not row.get("about"):
        raise ValueError(f"needs kind (one of {listed(_KINDS)}), default and about")
    unknown = sorted(row.keys() - _ROW_KEYS)
    if unknown:
        raise ValueError(f"has the unknown key {unknown[0]}. Allowed: {listed(_ROW_KEYS)}")
    choices, bounds = _choices(row), _bounds(row)
    found = Declared(name, row["kind"], row["default"], str(row["about"]), choices, *bounds)
    try:
        return Declared(name, row["kind"], parse_level(found, row["default"]), found.about, choices, *bounds)
    except ValueError as error:
        raise ValueError(f"default {error}") from error


def _choices(row: Mapping[str, Any]) -> tuple[str, ...]:
    choices = row.get("choices", [])
    fit = isinstance(choices, list) and all(isinstance(choice, str) for choice in choices)
    if not fit or not all(re.fullmatch(r"[!-~]{1,64}", choice) for choice in choices):
        raise ValueError("choices must be a list of single words")
    if (row["kind"] == "choice") != bool(choices):
        raise ValueError("needs choices exactly where its kind is choice")
    return tuple(choices)


def _bounds(row: Mapping[str, Any]) -> tuple[float | None, float | None]:
    low, high = row.get("low"), row.get("high")
    for bound in (low, high):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float))):
            raise ValueError(f"low and high must be numbers, not {given(bound)}")
    if low is not None and high is not None and low > high:
        raise ValueError(f"high must be at least low ({low:g})")
    return low, high


def parse_level(option: Declared, level: object) -> Level:
    """Return a value of an option or setting in canonical form; ValueError says what is allowed."""
    if option.kind == "choice":
        if not isinstance(level, str) or level not in option.choices:
            near = nearest(str(level), option.choices) if isinstance(level, str) else ""
            raise ValueError(f"must be one of {listed(option.choices)}, not {given(level)}. {near}".rstrip(". "))
        return level
    if option.kind == "flag":
        if not isinstance(level, bool):
            raise ValueError(f"must be true or false, not {given(level)}")
        return level
    whole = option.kind == "integer"
    if isinstance(level, bool) or not isinstance(level, int if whole else (int, float)) or not math.isfinite(level):
        raise ValueError(f"must be a {'whole ' if whole else ''}number, not {given(level)}")
    if option.low is not None and level < option.low:
        raise ValueError(f"must be at least {option.low:g}, not {given(level)}")
    if option.high is not None and level > option.high:
        raise ValueError(f"must be at most {option.high:g}, not {given(level)}")
    return level if whole else float(level)


def lock_file(version: str) -> Path:
    """Return the lock file by which the templates are built with that version of Tokio, given as major.minor."""
    newest = version == TOKIO_VERSIONS[-1]
    return TEMPLATES / "Cargo.lock" if newest else TEMPLATES / "locks" / f"tokio-{version}.lock"


def for_version(cargo: str, version: str) -> str:
    """Return a Cargo.toml without the lines that say `# since Tokio X.Y` of a later version than `version`.

    A feature that an older Tokio lacks may not even be named: cargo resolves all features of all crates of a workspace.
    """
    lines = cargo.splitlines(keepends=True)
    return "".join(line for line in lines if not (said := _SINCE.search(line)) or not is_newer(said[1], version))


def template_ground(package: str) -> str:
    """Return the digest of all that a template is built from, except its runtime.rs."""
    shared = [TEMPLATES / "Cargo.toml", *map(lock_file, TOKIO_VERSIONS)]
    folders = (TEMPLATES / ".cargo", TEMPLATES / "kit", TEMPLATES / package)
    return _digest(TEMPLATES, [*shared, *(file for folder in folders for file in _files(folder))])


def crate_ground(crate: Path) -> str:
    """Return the digest of all that an own crate is built from, except its src/runtime.rs."""
    return _digest(crate, _files(crate))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder` that can shape a build, in a fixed order, without build outputs."""
    for base, folders, names in os.walk(folder):
        here = Path(base)
        folders[:] = sorted(name for name in folders if here != folder or name not in _SKIPPED)
        for name in sorted(names):
            if here / name != folder / "src" / "runtime.rs" and (here / name).is_file():
                yield here / name


def _digest(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256(" ".join(BUILD_FLAGS).encode())
    try:
        digest.update(RUNTIME_TEMPLATE.read_bytes())
        for path in files:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            digest.update(b"\0" + os.fsencode(path.relative_to(root)) + b"\0" + content)
    except OSError as error:
        raise StudyError(f"{error.filename}: cannot be read: {error.strerror}; it is part of the target") from error
    return digest.hexdigest()
