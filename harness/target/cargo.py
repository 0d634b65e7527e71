"""Runs cargo with a clean environment and tells a program that does not compile from a machine that cannot compile.

Never writes outside the folders it is given; ends cargo and everything it started when it is interrupted or too slow.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import MachineError
from harness.target import starting, words
from harness.target.service import TargetFailed

BUILD_LIMIT_S = 15 * 60.0
_LOG_LINES = 20
LOG = "build.log"
_END_LIMIT_S = 5.0

# What may change the program, or cargo's own course; MAKEFLAGS names a job server that is not cargo's.
_CLEARED = re.compile(r"CARGO_.*|TOKIO_.*|RUSTFLAGS|RUSTDOCFLAGS|RUSTC|RUSTC_.*|RUSTDOC|MAKEFLAGS|MFLAGS")
# Where cargo is and how it reaches crates stays the caller's: proxies, certificates, mirrors.
_KEPT = re.compile(r"CARGO_HOME|CARGO_(HTTP|NET|REGISTRY|REGISTRIES|SOURCE)_.*")

INSTALL_RUST = (
    "install Rust 1.85 or newer with rustup (see the install page of the Rust project), and put cargo on PATH"
)
INSTALL_LINKER = "apt-get install build-essential (Debian, Ubuntu) or dnf install gcc (Fedora)"
INSTALL_STATIC_LIBC = "apt-get install libc6-dev (Debian, Ubuntu) or dnf install glibc-static (Fedora)"

# What cargo says when the machine, not the program, is at fault -> what to do.
_MACHINE_FAULTS = (
    (r"linker `[^`]*` not found|could not exec the linker", "there is no linker", INSTALL_LINKER),
    (
        r"cannot find -l(c|m|gcc_eh)\b|have you installed the static version of the \w+ library|cannot find rcrt1\.o",
        "the static C library is missing",
        INSTALL_STATIC_LIBC,
    ),
    (
        r"feature `edition2024` is required|requires rustc \d|is not supported by the following package",
        "the Rust toolchain is too old",
        "rustup update stable",
    ),
    (
        r"can't find crate for `(core|std)`|rustup (toolchain|target) (install|add)|toolchain '[^']*' is not installed",
        "the Rust toolchain is not complete",
        "rustup update, or what rustup names in the log",
    ),
    (r"No space left on device|Disk quota exceeded", "the disk is full", "free some space (`harness clean`)"),
    (
        (
            r"failed to download|download of .* failed|Could(n't| not) (resolve|connect)|spurious network error"
            r"|failed to (fetch|update|query replaced source)|nable to update|failed to load source for dependency"
            r"|attempting to make an HTTP request, but --offline"
        ),
        "crates that the target needs are not in cargo's cache and cannot be fetched",
        "connect this machine, or run `cargo fetch --locked` in the target's folder where there is a network",
    ),
)


@dataclass(frozen=True)
class Toolchain:
    """The compiler that a folder's builds use: the whole of `rustc -vV`, and the triple of this host."""

    version: str
    triple: str


@dataclass(frozen=True)
class Recipe:
    """What a release build is made with beside its sources.

    RUSTFLAGS, cargo features, and settings of the release profile by their names in Cargo.toml.
    """

    flags: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    profile: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of the cargo folder for it: what rebuilds every crate gets one of its own. Features rebuild only some."""
        words = (*self.flags, *(f"{name}={value}" for name, value in sorted(self.profile.items())))
        return hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]


def environment(caller: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment without what could make another program of the same sources. Pure."""
    return {name: value for name, value in caller.items() if _KEPT.fullmatch(name) or not _CLEARED.fullmatch(name)}


def toolchain(folder: Path) -> Toolchain:
    """Return the toolchain in force in `folder`; MachineError when there is none."""
    try:
        done = subprocess.run(
            ["rustc", "-vV"],
            cwd=folder,
            env=environment(os.environ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError as error:
        raise MachineError(f"rustc is not on PATH; {INSTALL_RUST}") from error
    except subprocess.TimeoutExpired as error:
        raise MachineError("`rustc -vV` has not answered within 60 s; look at the Rust installation") from error
    host = re.search(r"^host: (\S+)$", done.stdout, re.MULTILINE)
    if done.returncode != 0 or host is None:
        raise MachineError(f"`rustc -vV` failed: {words.tail(done.stderr.encode(), 3)}; {INSTALL_RUST}")
    return Toolchain(done.stdout, host.group(1))


def build(folder: Path, package: str, triple: str, recipe: Recipe, into: Path, binary: str | None = None) -> Path:
    """Build `package` of the workspace in `folder` in release mode and return its program `binary`.

    Without a name the program is called like the package.

    cargo works in `into` and its words go to build.log there. Raises TargetFailed when the program does not compile or
    takes longer than 15 minutes, MachineError when this machine cannot compile. The explicit --target keeps the flags
    away from build scripts and proc-macros, which cannot be static.
    """
    name = binary or package
    locked = ["--locked"] if (folder / "Cargo.lock").exists() else []
    command = ["cargo", "build", "--release", *locked, "--target", triple, "--package", package, "--bin", name]
    if recipe.features:
        command += ["--features", ",".join(recipe.features)]
    profile = {f"CARGO_PROFILE_RELEASE_{name.upper()}": value for name, value in recipe.profile.items()}
    settings = {"RUSTFLAGS": " ".join(recipe.flags), "CARGO_TARGET_DIR": str(into), "CARGO_TERM_COLOR": "never"}
    code = _run(command, folder, {**environment(os.environ), **profile, **settings}, into / LOG)
    if code != 0:
        raise fault(code, (into / LOG).read_text(encoding="utf-8", errors="replace"))
    return into / triple / "release" / name


def _run(command: list[str], folder: Path, env: Mapping[str, str], log: Path) -> int:
    """Run `command` on every core, since no window is measured meanwhile; all it started ends when this is left."""
    everywhere = tuple(range(os.cpu_count() or 1))
    with (
        log.open("wb") as output,
        starting.child(command, cores=everywhere, env=env, output=output, folder=folder) as process,
    ):
        try:
            return process.wait(BUILD_LIMIT_S)
        except subprocess.TimeoutExpired:
            written = words.tail(log.read_bytes(), _LOG_LINES)
            raise TargetFailed(f"cargo build has not ended within {BUILD_LIMIT_S / 60:g} minutes", written) from None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_END_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def fault(code: int, log: str) -> Exception:
    """Return what a failed build means. Pure."""
    last = words.tail(log.encode(), _LOG_LINES)
    if re.search(r"^cannot run cargo: ", log, re.MULTILINE):
        return MachineError(f"cargo is not on PATH; {INSTALL_RUST}")
    for pattern, what, mend in _MACHINE_FAULTS:
        if re.search(pattern, log):
            return MachineError(f"{what}: {mend}. cargo's last words:\n{last}")
    first = re.search(r"^error.*$", log, re.MULTILINE)
    said = first.group(0) if first else words.ending(code if code >= 0 else words.SIGNAL_BASE - code).words
    return TargetFailed(f"the variant does not build: {said}", last)
