"""A variant -> a program, built at most once. Owns the order of a build; cargo is run by `cargo`, kept by `cache`.

Sources are copied, and only src/runtime.rs of the copy is replaced: nothing of the person's own is ever written to.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness import variant as variants
from harness.errors import StudyError
from harness.study import knobs, manifest
from harness.study.model import Study, Target
from harness.target import cache as caches
from harness.target import cargo, diagnostic, render
from harness.target.service import Program
from harness.variant import Variant

_LOCK = "Cargo.lock"
_SCORED = cargo.Recipe(manifest.BUILD_FLAGS)
_SKIPPED = shutil.ignore_patterns("target", ".git", "node_modules")


def build(study: Study, variant: Variant) -> Program:
    """Return the program of `variant`; variants that differ in options only share it.

    Raises TargetFailed with cargo's last lines when it does not compile, MachineError when this machine cannot compile.
    """
    return _built(study, variant, lambda _version, _triple: _SCORED)


def build_diagnostic(study: Study, variant: Variant) -> Program:
    """Return the program of `variant` with what looks inside it, which is never scored; raises what `build` does."""

    def recipe(version: str, triple: str) -> cargo.Recipe:
        return diagnostic.recipe(study.target.form, version, triple)

    built = _built(study, variant, recipe)
    return replace(built, environment={**built.environment, **diagnostic.SURROUNDINGS})


def _built(study: Study, variant: Variant, recipe_for: Callable[[str, str], cargo.Recipe]) -> Program:
    """Return the program by what `recipe_for` makes of Tokio's version and the triple."""
    begun = time.monotonic()
    cache = caches.folder()
    runtime_rs = render.runtime_rs(study, variant)
    with caches.locked(cache), caches.disk_errors(cache):
        values = variants.runtime_values(study, variant)
        version = knobs.built_with(values)
        sources = _sources(cache, study.target, version)
        toolchain = cargo.toolchain(sources)
        # An own crate's committed file may call for a feature that the crate itself turns on.
        features = tuple(name for name in knobs.cargo_features(values) if name in study.target.features)
        made = recipe_for(version, toolchain.triple)
        recipe = replace(made, features=(*made.features, *features))
        entry = cache / "bin" / _key(study.target, version, runtime_rs, toolchain, recipe)
        cached = (entry / "server").is_file()
        if not cached:
            _replace_runtime(sources, study.target, runtime_rs)
            cargo_folder = _cargo_folder(cache, recipe)
            built = cargo.build(sources, study.target.package, toolchain.triple, recipe, into=cargo_folder)
            _keep(built, cargo_folder / cargo.LOG, entry)
        for used in (entry, sources):
            caches.touch(used)
    return Program(
        variant_id=variant.id,
        binary=entry / "server",
        digest=_sha256(entry / "server"),
        environment=render.environment(study, variant),
        runtime_rs=runtime_rs,
        build_s=time.monotonic() - begun,
        cached=cached,
        cargo_lock=_lock(sources),
    )


def trim(cache: Path | None = None, limit: int = caches.MOST_BYTES) -> tuple[str, ...]:
    """Bring the build cache under `limit` bytes and return a sentence for each thing that went."""
    cache = cache or caches.folder()
    if not cache.is_dir():
        return ()
    with caches.locked(cache), caches.disk_errors(cache):
        return caches.remove_excess(cache, limit)


def _sources(cache: Path, target: Target, version: str) -> Path:
    """Return the folder with the copy of the target's sources, made once for each content and version of Tokio."""
    lock = manifest.lock_file(version).relative_to(manifest.TEMPLATES)
    older = target.form == "template" and lock.name != _LOCK
    copy = cache / "src" / (target.ground[:16] + (f"-tokio-{version}" if older else ""))
    if copy.is_dir():
        return copy
    partial = copy.with_name(f".{copy.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(target.workspace, partial, ignore=_SKIPPED, ignore_dangling_symlinks=True)
    if _ground_now(target) != target.ground:
        shutil.rmtree(partial)
        raise StudyError(f"{target.crate}: its sources changed after the study was read; start again")
    if older:
        shutil.copyfile(partial / lock, partial / _LOCK)
        for file in partial.glob("*/Cargo.toml"):
            file.write_text(manifest.for_version(file.read_text(encoding="utf-8"), version), encoding="utf-8")
    partial.rename(copy)
    # Only a new ground makes the cache grow for long; its own variants add a few MiB each.
    caches.remove_excess(cache, caches.MOST_BYTES)
    return copy


def _lock(sources: Path) -> str | None:
    lock = sources / _LOCK
    return lock.read_text(encoding="utf-8") if lock.is_file() else None


def _ground_now(target: Target) -> str:
    return (
        manifest.template_ground(target.crate.name)
        if target.form == "template"
        else manifest.crate_ground(target.crate)
    )


def _key(target: Target, version: str, runtime_rs: str, toolchain: cargo.Toolchain, recipe: cargo.Recipe) -> str:
    """Return the digest of all that decides the program. The compiler counts: two versions are no fair comparison."""
    # The flags of what is scored are part of the ground.
    more = () if recipe == _SCORED else (recipe.folder, *recipe.features)
    parts = (target.ground, target.package, version, runtime_rs, toolchain.version, *more)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _replace_runtime(sources: Path, target: Target, runtime_rs: str) -> None:
    """Write the one rendered file; written for every build, so that its time stamp has cargo compile it again."""
    crate = sources / target.crate.relative_to(target.workspace)
    (crate / "src" / "runtime.rs").write_text(runtime_rs, encoding="utf-8")


def _cargo_folder(cache: Path, recipe: cargo.Recipe) -> Path:
    folder = cache / "cargo" / recipe.folder
    folder.mkdir(parents=True, exist_ok=True)
    caches.touch(folder)
    return folder


def _keep(built: Path, log: Path, entry: Path) -> None:
    """Copy a program into the cache; it gets its name when it is whole and on disk, even if the machine crashes."""
    entry.mkdir(parents=True, exist_ok=True)
    shutil.copy2(log, entry / log.name)
    partial = entry / "server.partial"
    shutil.copy2(built, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(entry / "server")


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
