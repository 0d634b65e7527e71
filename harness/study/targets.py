"""The target of a study: a template that comes with the harness, or an own crate.

Decides whether a folder can be measured at all and says why not. Reads what is declared; builds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.study import manifest, own_runtime
from harness.study.faults import Faults, listed, nearest
from harness.study.model import Declared, Level, Target
from harness.study.schema import TargetFile

OwnRuntime = tuple[Mapping[str, Level], tuple[str, ...]]
"""What the committed runtime.rs of an own crate sets: levels that the table knows, and what could not be read."""

_DEPENDENCIES = ("dependencies", "dev-dependencies", "build-dependencies")


def resolve(file: TargetFile, folder: Path, faults: Faults) -> tuple[Target | None, OwnRuntime]:
    """Return the target and what its own runtime.rs sets; None with faults where there is no such target."""
    if file.template is not None:
        return _template(file, file.template, faults), ({}, ())
    try:
        return _own_crate(file, (folder / str(file.path)).resolve(), faults)
    except StudyError as error:
        for line in str(error).splitlines():
            faults.add(line, "target", "path")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        faults.add(f"is no folder that can be read: {error.strerror}", "target", "path")
    return None, ({}, ())


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
    cargo, rust = manifest.read_toml(cargo_file), manifest.read_text(runtime)
    for words in _obstacles(cargo, cargo_file, runtime, rust):
        faults.add(words, "target", "path")
    declares = crate / "target.toml"
    content = manifest.read_toml(declares) if declares.is_file() else {}
    package = str(_table(cargo, "package").get("name"))
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
    return target, own_runtime.read_builder_calls(rust)


def _obstacles(cargo: Mapping[str, Any], cargo_file: Path, runtime: Path, rust: str) -> Iterator[str]:
    """Yield in words why a copy of the crate could not be built with another runtime.rs."""
    crate, package = cargo_file.parent, _table(cargo, "package")
    if "pub fn build()" not in rust:
        yield f"{runtime} must have `pub fn build() -> std::io::Result<tokio::runtime::Runtime>`"
    if not isinstance(package.get("name"), str):
        yield f"{cargo_file} has no [package] name: name the folder of the binary's crate"
    if not (crate / "src" / "main.rs").is_file() and not cargo.get("bin"):
        yield f"{cargo_file} has no binary: the crate needs src/main.rs or [[bin]]"
    inherits = any(isinstance(value, dict) and value.get("workspace") is True for value in _values(cargo))
    if "workspace" not in cargo and (inherits or "workspace" in package):
        yield (
            f"{cargo_file} inherits from a workspace, which is not copied with the crate: write out what says "
            "`workspace = true`, or name a crate that stands alone"
        )
    outside = sorted(set(_outside(cargo, crate)))
    if outside:
        words = f"{cargo_file}: path dependencies outside the folder are not copied: {listed(outside)}"
        yield f"{words}. Move them inside the folder, or take them from a registry."


def _outside(cargo: Mapping[str, Any], crate: Path) -> Iterator[str]:
    """Yield the names of path dependencies, of any kind, that lie outside the crate's folder."""
    for name, row in _dependencies(cargo):
        path = row.get("path") if isinstance(row, dict) else None
        if isinstance(path, str) and not (crate / path).resolve().is_relative_to(crate):
            yield name


def _dependencies(cargo: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield (name, row) of every dependency of a Cargo.toml; patches and those of one platform or the workspace too."""
    platforms = [row for row in _table(cargo, "target").values() if isinstance(row, dict)]
    for owner in (cargo, *platforms):
        for kind in _DEPENDENCIES:
            yield from _table(owner, kind).items()
    yield from _table(_table(cargo, "workspace"), "dependencies").items()
    for source in _table(cargo, "patch").values():
        yield from source.items() if isinstance(source, dict) else ()


def _values(cargo: Mapping[str, Any]) -> Iterator[object]:
    """Yield all that may say `workspace = true` in a Cargo.toml."""
    yield from _table(cargo, "package").values()
    yield cargo.get("lints")
    yield from (row for _, row in _dependencies(cargo))


def _table(owner: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the table under `key`; an empty one where there is none, for cargo itself names what is malformed."""
    found = owner.get(key)
    return found if isinstance(found, dict) else {}


def _described(file: TargetFile, content: Mapping[str, Any], faults: Faults, **fields: Any) -> Target:  # noqa: ANN401
    options, settings = manifest.declared(content, fields["crate"] / "target.toml")
    values = _settings(file, settings, fields["name"], faults)
    delay = manifest.upstream_delay(content)
    cargo = manifest.read_toml(fields["crate"] / "Cargo.toml")
    return Target(
        cpus=file.cpus,
        memory_bytes=file.memory,
        options=options,
        declared_settings=settings,
        settings=values,
        upstream_ms=None if delay is None else float(values[delay]),
        features=tuple(_table(cargo, "features")),
        **fields,
    )


def _settings(file: TargetFile, declared: tuple[Declared, ...], target: str, faults: Faults) -> dict[str, Level]:
    """Return every setting: what the study fixes, the target's default elsewhere."""
    rows = {row.name: row for row in declared}
    values = {row.name: row.default for row in declared}
    for name, level in file.set.items():
        if name not in rows:
            words = f"{target} declares no setting {name[:64]}. {nearest(name, rows)}It has: {listed(rows)}"
            faults.add(words, "target", "set", name)
            continue
        try:
            values[name] = manifest.parse_level(rows[name], level)
        except ValueError as error:
            faults.add(str(error), "target", "set", name)
    return values
