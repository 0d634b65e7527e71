"""The target of a study: a template that comes with the harness, or an own crate. Reads what it declares, builds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.study import knobs, manifest
from harness.study.faults import Faults, listed, nearest
from harness.study.model import Declared, Level, Target
from harness.study.schema import TargetFile

OwnRuntime = tuple[Mapping[str, Level], tuple[str, ...]]
"""What the committed runtime.rs of an own crate sets: levels that the table knows, and calls that it does not."""


def resolve(file: TargetFile, folder: Path, faults: Faults) -> tuple[Target | None, OwnRuntime]:
    """Return the target and what its own runtime.rs sets; None with faults where there is no such target."""
    if file.template is not None:
        return _template(file, file.template, faults), ({}, ())
    return _own_crate(file, (folder / str(file.path)).resolve(), faults)


def _template(file: TargetFile, name: str, faults: Faults) -> Target | None:
    names = manifest.template_names()
    if name not in names:
        words = f"there is no template {name!r}. {nearest(name, names)}There are: {listed(names)}"
        faults.add(words, "target", "template")
        return None
    crate = manifest.TEMPLATES / name
    content = manifest.read_toml(crate / "target.toml")
    return _described(
        file,
        content,
        faults,
        name=name,
        form="template",
        workspace=manifest.TEMPLATES,
        crate=crate,
        package=str(content.get("package", name)),
        ground=manifest.template_ground(name),
        has_admin=True,
    )


def _own_crate(file: TargetFile, crate: Path, faults: Faults) -> tuple[Target | None, OwnRuntime]:
    runtime, cargo_file = crate / "src" / "runtime.rs", crate / "Cargo.toml"
    for needed in (cargo_file, runtime):
        if not needed.is_file():
            faults.add(f"{needed} is missing: an own crate has Cargo.toml and src/runtime.rs", "target", "path")
            return None, ({}, ())
    cargo = manifest.read_toml(cargo_file)
    rust = runtime.read_text(encoding="utf-8", errors="replace")
    for words in _obstacles(cargo, cargo_file, runtime, rust):
        faults.add(words, "target", "path")
    declares = crate / "target.toml"
    content = manifest.read_toml(declares) if declares.is_file() else {}
    package = str(cargo.get("package", {}).get("name"))
    target = _described(
        file,
        content,
        faults,
        name=package,
        form="path",
        workspace=crate,
        crate=crate,
        package=package,
        ground=manifest.crate_ground(crate),
        has_admin=bool(content.get("admin", False)),
        own_runtime=rust,
    )
    return target, knobs.read_builder_calls(rust)


def _obstacles(cargo: Mapping[str, Any], cargo_file: Path, runtime: Path, rust: str) -> list[str]:
    """Return in words why a copy of the crate could not be built with another runtime.rs."""
    found = []
    if "pub fn build()" not in rust:
        found.append(f"{runtime} must have `pub fn build() -> std::io::Result<tokio::runtime::Runtime>`")
    if not isinstance(cargo.get("package", {}).get("name"), str):
        found.append(f"{cargo_file} has no [package] name: name the folder of the binary's crate")
    outside = manifest.outside_dependencies(cargo, cargo_file.parent)
    if outside:
        words = f"{cargo_file}: path dependencies outside the folder are not copied: {listed(outside)}"
        found.append(f"{words}. Move them inside the folder, or take them from a registry.")
    return found


def _described(file: TargetFile, content: Mapping[str, Any], faults: Faults, **fields: Any) -> Target:  # noqa: ANN401
    where = fields["crate"] / "target.toml"
    settings = manifest.declared(content, "settings", where)
    return Target(
        cpus=file.cpus,
        memory_bytes=file.memory,
        options=manifest.declared(content, "options", where),
        declared_settings=settings,
        settings=_settings(file, settings, fields["name"], faults),
        **fields,
    )


def _settings(file: TargetFile, declared: tuple[Declared, ...], target: str, faults: Faults) -> dict[str, Level]:
    """Return every setting: what the study fixes, the target's default elsewhere."""
    rows = {row.name: row for row in declared}
    values = {row.name: row.default for row in declared}
    for name, level in file.set.items():
        loc = ("target", "set", name)
        if name not in rows:
            words = f"{target} declares no setting {name}. {nearest(name, rows)}It has: {listed(rows)}"
            faults.add(words, *loc)
            continue
        parsed = faults.attempt(lambda row=rows[name], level=level: manifest.parse_level(row, level), *loc)  # type: ignore[misc]
        if parsed is not None:
            values[name] = parsed
    return values
