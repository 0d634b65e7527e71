"""From a variant to a program: cargo, in a cache keyed by content, so that the same program is never built twice.

Sources are copied into the cache and only src/runtime.rs is replaced there; the user's folder is never written to.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness import variant as variants
from harness.errors import MachineError
from harness.study.manifest import BUILD_FLAGS
from harness.study.model import Level, Study
from harness.target import render
from harness.target.service import Program, TargetFailed
from harness.variant import Variant

BUILD_LIMIT_S = 900.0
CACHE_LIMIT_BYTES = 5 * 2**30
_COPIED_WITHOUT = shutil.ignore_patterns("target", ".git", "results")


def cache_folder() -> Path:
    """Return the build cache of this user: $XDG_CACHE_HOME/tokio-harness, or ~/.cache/tokio-harness."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "tokio-harness"


def build(study: Study, variant: Variant) -> Program:
    """Return the variant's program, building it when no earlier build had the same content.

    TargetFailed when it does not compile; MachineError when cargo, a compiler or a crate is missing.
    """
    begun = time.monotonic()
    rust = render.runtime_rs(study, variant)
    key = hashlib.sha256(f"{study.target.ground}\0{rust}".encode()).hexdigest()[:24]
    cache = cache_folder()
    binary = cache / "bin" / key / "server"
    with _locked(cache):
        cached = binary.exists()
        if cached:
            os.utime(binary.parent)
        else:
            _compile(study, rust, cache, binary)
        digest = hashlib.sha256(binary.read_bytes()).hexdigest()
    return Program(
        variant_id=variant.id,
        binary=binary,
        digest=digest,
        environment=environment(study, variant),
        runtime_rs=rust,
        build_s=time.monotonic() - begun,
        cached=cached,
    )


def environment(study: Study, variant: Variant) -> dict[str, str]:
    """Return the OPT_* variables that carry options and settings to the service."""
    values = {**study.target.settings, **variants.option_values(study, variant)}
    return {f"OPT_{name.upper()}": level_text(level) for name, level in sorted(values.items())}


def level_text(level: Level) -> str:
    """Return a level as the service reads it: `true`, `2`, `0.25`, `inline`."""
    if isinstance(level, bool):
        return str(level).lower()
    if isinstance(level, float):
        return f"{level:.12g}"
    return str(level)


def host_triple() -> str:
    """Return the triple that rustc builds for on this host; a static binary needs it named."""
    text = _answer(["rustc", "-vV"])
    found = re.search(r"^host: (\S+)$", text, re.MULTILINE)
    if found is None:
        raise MachineError("`rustc -vV` names no host; is this rustc?")
    return found.group(1)


def cargo_environment(caller: Mapping[str, str], target_folder: Path) -> dict[str, str]:
    """Return the environment for cargo: the caller's without what would change the build silently.

    RUSTFLAGS and CARGO_* of the caller would make two people measure different programs; where cargo and rustup keep
    their files, and how to reach the network, stays.
    """
    kept = {"CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"}
    cleared = ("CARGO_", "RUST", "TOKIO_")
    clean = {name: value for name, value in caller.items() if name in kept or not name.startswith(cleared)}
    network = {name: value for name, value in caller.items() if name.startswith(("CARGO_HTTP_", "CARGO_NET_"))}
    flags = {"RUSTFLAGS": " ".join(BUILD_FLAGS), "CARGO_TARGET_DIR": str(target_folder), "CARGO_TERM_COLOR": "never"}
    return {**clean, **network, **flags}


def trim(limit_bytes: int = CACHE_LIMIT_BYTES) -> tuple[str, ...]:
    """Keep the cache below its limit, least recently used entries first; return what went, in words."""
    cache = cache_folder()
    if not cache.is_dir():
        return ()
    with _locked(cache):
        entries = [path for part in ("bin", "src", "cargo") for path in (cache / part).glob("*")]
        entries.sort(key=lambda path: path.stat().st_mtime)
        sizes = {path: _size(path) for path in entries}
        total, gone = sum(sizes.values()), []
        for path in entries:
            if total <= limit_bytes:
                break
            shutil.rmtree(path, ignore_errors=True)
            total -= sizes[path]
            gone.append(f"removed {path} from the build cache ({sizes[path] / 2**20:.0f} MiB)")
        return tuple(gone)


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise MachineError(
            f"the build cache {cache} cannot be used: {error.strerror or error}; free some space there or set "
            "XDG_CACHE_HOME to a writable folder"
        ) from error


def _compile(study: Study, rust: str, cache: Path, binary: Path) -> None:
    sources = _sources(study, cache)
    crate = sources / study.target.crate.relative_to(study.target.workspace)
    (crate / "src" / "runtime.rs").write_text(rust, encoding="utf-8")
    flags = hashlib.sha256(" ".join(BUILD_FLAGS).encode()).hexdigest()[:8]
    target_folder = cache / "cargo" / flags
    triple = host_triple()
    command = ["cargo", "build", "--release", "--target", triple, "--package", study.target.package]
    if (sources / "Cargo.lock").exists():
        command.append("--locked")
    _run_cargo(command, sources, cargo_environment(os.environ, target_folder))
    os.utime(target_folder)
    built = target_folder / triple / "release" / study.target.package
    if not built.is_file():
        raise TargetFailed(f"cargo built no binary named {study.target.package}: the package needs src/main.rs")
    binary.parent.mkdir(parents=True, exist_ok=True)
    draft = binary.with_suffix(".draft")
    shutil.copy2(built, draft)
    draft.replace(binary)


def _sources(study: Study, cache: Path) -> Path:
    """Return the copy of the target's sources in the cache, made on first use."""
    copy = cache / "src" / study.target.ground[:24]
    if not copy.exists():
        draft = copy.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(study.target.workspace, draft, ignore=_COPIED_WITHOUT)
        draft.rename(copy)
    os.utime(copy)
    return copy


def _run_cargo(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise MachineError(
            "cargo is not on PATH, and the target has to be compiled: install Rust (with rustup, or `apt-get install "
            "cargo`), then look with `harness doctor`"
        ) from error
    try:
        output, _ = process.communicate(timeout=BUILD_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise TargetFailed(f"the build took longer than {BUILD_LIMIT_S / 60:.0f} minutes") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # its own group: started by us above
            process.wait()
    if process.returncode != 0:
        _explain(output)


def _explain(output: str) -> None:
    """Raise what a failed build means: the machine's fault in words, or the target's with the end of the log."""
    tail = "\n".join(output.strip().splitlines()[-20:])
    for sign, words in _MACHINE_SIGNS.items():
        if sign in output:
            raise MachineError(f"{words}\n{tail}")
    errors = re.findall(r"^error(?:\[E\d+\])?: (.+)$", output, re.MULTILINE)
    raise TargetFailed(f"the build failed: {errors[0] if errors else 'see the log'}", tail)


_MACHINE_SIGNS = {
    "linker `cc` not found": "there is no linker: install it with `apt-get install build-essential`",
    "cannot find -lc": "there is no static C library: install it with `apt-get install libc6-dev`",
    "failed to download": "cargo cannot fetch a crate: is the network there? It is needed for the first build only",
    "Could not resolve host": "cargo cannot reach its registry: is the network there? It is needed for the first build only",
    "No space left on device": "the disk of the build cache is full: free some space, or set XDG_CACHE_HOME",
    "requires rustc": "this Rust is too old for the target: `rustup update` brings a newer one",
}


def _answer(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise MachineError(
            f"`{' '.join(command)}` does not work ({error}): install Rust (with rustup, or `apt-get install cargo`)"
        ) from error
