"""What a run needs from this machine, what is there, and what brings the rest. Looks only; installs nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.target import cache, cargo, proc
from harness.target.docker import DockerBackend

_OLDEST_RUST = (1, 85)
_OLDEST_PYTHON = (3, 11)
_ROOM_BYTES = 2 * 2**30
_CAP_SYS_NICE = 1 << 23
_LIMIT_S = 60.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `needed`: no run without it; else `detail` says what is lost."""

    name: str
    ok: bool
    detail: str
    mend: str
    needed: bool = True


def checks() -> tuple[Check, ...]:
    """Return every check of this machine, in the order in which a run needs them."""
    return tuple(check() for check in CHECKS)


def _system() -> Check:
    return Check(
        "Linux", sys.platform == "linux", os.uname().release, "use a machine with Linux: /proc, cgroups, timerfd"
    )


def _python() -> Check:
    version = sys.version.split()[0]
    return Check("Python", sys.version_info >= _OLDEST_PYTHON, version, "install Python 3.11 or newer")


def _cores() -> Check:
    cores = len(os.sched_getaffinity(0))
    lost = "" if cores > 1 else ": generator and target share it, so windows are DEGRADED"
    return Check("cores", cores > 1, f"{cores}{lost}", "give this machine two cores", needed=False)


def _rust(program: str) -> Check:
    said = _said([program, "--version"])
    if said is None:
        return Check(program, ok=False, detail="does not run", mend=cargo.INSTALL_RUST)
    return Check(program, rust_version(said) >= _OLDEST_RUST, said, "rustup update stable (edition 2024 needs 1.85)")


def rust_version(said: str) -> tuple[int, int]:
    """Return (major, minor) from what `cargo --version` or `rustc --version` says; (0, 0) when it says none. Pure."""
    found = re.search(r"^\w+ (\d+)\.(\d+)\.", said)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _linker() -> Check:
    path = shutil.which("cc")
    return Check("linker", path is not None, path or "there is no cc on PATH", cargo.INSTALL_LINKER)


def _static_libc() -> Check:
    linked = _links_statically()
    detail = "links" if linked else "a static program does not link (libc.a, rcrt1.o)"
    return Check("static libc", linked, detail, cargo.INSTALL_STATIC_LIBC)


def _links_statically() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("int main(void) { return 0; }\n", encoding="ascii")
        return _said(["cc", "-static-pie", "-o", f"{folder}/empty", str(source)]) is not None


def _docker() -> Check:
    reason = DockerBackend.available()
    groups = "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1"
    detail = f"answers, cgroup {groups}" if reason is None else f"{reason} Runs take the process backend."
    mend = "apt-get install docker.io (Debian, Ubuntu) and systemctl start docker"
    return Check("Docker", reason is None, detail, mend, needed=False)


def _cache() -> Check:
    folder = cache.folder()
    mend = "set XDG_CACHE_HOME to a folder that can be written and has 2 GiB free"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check("build cache", ok=False, detail=f"{folder}: {error.strerror}", mend=mend)
    return Check("build cache", free >= _ROOM_BYTES, f"{folder}, {free / 2**30:.1f} GiB free", mend)


def _processes() -> Check:
    seen = proc.stat(1) is not None
    detail = (
        "all can be seen" if seen else "those of others are hidden: a held port cannot be named, foreign load not told"
    )
    return Check("processes", seen, detail, "mount /proc without hidepid, or run as root", needed=False)


def _priority() -> Check:
    found = re.search(r"^CapEff:\s+([0-9a-f]+)$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    raised = found is not None and bool(int(found.group(1), 16) & _CAP_SYS_NICE)
    detail = "may be raised" if raised else "may not be raised: the generator is later beside other load"
    return Check("priority", raised, detail, "run as root, or give CAP_SYS_NICE", needed=False)


CHECKS: tuple[Callable[[], Check], ...] = (
    _system,
    _python,
    _cores,
    lambda: _rust("cargo"),
    lambda: _rust("rustc"),
    _linker,
    _static_libc,
    _docker,
    _cache,
    _processes,
    _priority,
)


def _said(command: list[str]) -> str | None:
    """Return what a command wrote; None when it is not there, fails or does not end."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
