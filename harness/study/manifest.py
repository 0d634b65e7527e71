"""What a target declares, and the digest of all it is built from. Reads target.toml, Cargo.toml and sources; builds nothing."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.study.model import Declared, Level

TEMPLATES = Path(__file__).resolve().parents[2] / "target_templates"
RUNTIME_TEMPLATE = Path(__file__).resolve().parents[1] / "target" / "runtime.rs.j2"
BUILD_FLAGS = ("--cfg", "tokio_unstable", "-C", "target-feature=+crt-static")
"""The RUSTFLAGS of every variant: baseline and candidates always share them."""

_SKIPPED = {"target", ".git", "node_modules"}
_KINDS = ("choice", "integer", "number", "flag")


def template_names() -> tuple[str, ...]:
    """Return the names of the targets that come with the harness."""
    return tuple(sorted(path.parent.name for path in TEMPLATES.glob("*/target.toml")))


def read_toml(file: Path) -> dict[str, Any]:
    """Read a TOML file; StudyError names the file and the place of the fault."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(f"{file}: there is no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StudyError(f"{file}: cannot be read: {error}") from error


def declared(content: Mapping[str, Any], part: str, file: Path) -> tuple[Declared, ...]:
    """Return what `part` ("options" or "settings") of a target.toml declares; StudyError names what is wrong in it."""
    rows = content.get(part, {})
    if not isinstance(rows, dict):
        raise StudyError(f"{file}: [{part}] must be a table")
    return tuple(_row(name, row, f"{file}: [{part}.{name}]") for name, row in rows.items())


def _row(name: str, row: object, where: str) -> Declared:
    if not isinstance(row, dict) or row.get("kind") not in _KINDS or "default" not in row:
        raise StudyError(f"{where} needs kind (one of {', '.join(_KINDS)}), default and about")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise StudyError(f"{where}: a name is lower-case letters, digits and underscores")
    choices = tuple(str(choice) for choice in row.get("choices", ()))
    found = Declared(
        name, row["kind"], row["default"], str(row.get("about", "")), choices, row.get("low"), row.get("high")
    )
    try:
        parse_level(found, found.default)
    except ValueError as error:
        raise StudyError(f"{where}: default {error}") from error
    return found


def parse_level(option: Declared, level: object) -> Level:
    """Return a value of an option or setting in canonical form; ValueError says what is allowed."""
    if option.kind == "choice":
        if not isinstance(level, str) or level not in option.choices:
            raise ValueError(f"must be one of {', '.join(option.choices)}, not {level!r}")
        return level
    if option.kind == "flag":
        if not isinstance(level, bool):
            raise ValueError(f"must be true or false, not {level!r}")
        return level
    wanted = (int,) if option.kind == "integer" else (int, float)
    if isinstance(level, bool) or not isinstance(level, wanted):
        raise ValueError(f"must be a {'whole ' if option.kind == 'integer' else ''}number, not {level!r}")  # noqa: TRY004 - see quantities
    if (option.low is not None and level < option.low) or (option.high is not None and level > option.high):
        raise ValueError(f"must be from {option.low:g} to {option.high:g}, not {level!r}")
    return level if option.kind == "integer" else float(level)


def template_ground(package: str) -> str:
    """Return the digest of all that a template is built from, except its runtime.rs."""
    shared = [
        TEMPLATES / "Cargo.toml",
        TEMPLATES / "Cargo.lock",
        *_files(TEMPLATES / "kit"),
        *_files(TEMPLATES / package),
    ]
    return _digest(TEMPLATES, shared)


def crate_ground(crate: Path) -> str:
    """Return the digest of all that an own crate is built from, except its src/runtime.rs."""
    return _digest(crate, _files(crate))


def outside_dependencies(cargo: Mapping[str, Any], crate: Path) -> tuple[str, ...]:
    """Return the names of path dependencies that lie outside the crate's folder, which a copy of it would not find."""
    tables = [cargo.get(key, {}) for key in ("dependencies", "build-dependencies")]
    tables += [table.get("dependencies", {}) for table in cargo.get("target", {}).values()]
    return tuple(
        name
        for table in tables
        for name, row in table.items()
        if isinstance(row, dict) and "path" in row and crate.resolve() not in (crate / row["path"]).resolve().parents
    )


def _files(folder: Path) -> list[Path]:
    """Return the files below `folder` that can shape a build, without build outputs and version control."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not _SKIPPED & set(path.relative_to(folder).parts)
        and path != folder / "src" / "runtime.rs"
    ]


def _digest(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256(" ".join(BUILD_FLAGS).encode())
    digest.update(RUNTIME_TEMPLATE.read_bytes())
    for file in files:
        digest.update(b"\0" + str(file.relative_to(root)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
