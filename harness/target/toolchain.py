"""What this machine has of what a run needs, each with the command that brings it. Looks; installs nothing."""

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

from harness.target.build import cache_folder

_OLDEST_RUST = (1, 85)
_ROOM_BYTES = 3 * 2**30


@dataclass(frozen=True)
class Check:
    """One thing a run needs. `needed` is false where a run can do without it, and `detail` says what is lost."""

    name: str
    ok: bool
    detail: str
    mend: str
    needed: bool = True


def checks() -> tuple[Check, ...]:
    """Return every check of this machine, in the order in which a run needs them."""
    return tuple(check() for check in CHECKS)


def _system() -> Check:
    ok = sys.platform.startswith("linux")
    return Check("Linux", ok, sys.platform, "run it on Linux: it needs cgroups, /proc and timerfd")


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _cores() -> Check:
    count = len(os.sched_getaffinity(0))
    detail = f"{count} to use; generator and target {'have cores of their own' if count > 1 else 'share one: DEGRADED'}"
    return Check("cores", count > 1, detail, "give it two cores or more", needed=False)


def _cargo() -> Check:
    text = _output("cargo", "--version")
    found = re.match(r"cargo (\d+)\.(\d+)", text or "")
    mend = "install Rust with rustup (or `apt-get install cargo` where that is 1.85 or newer)"
    if found is None:
        return Check("cargo", ok=False, detail="not found on PATH", mend=mend)
    ok = (int(found.group(1)), int(found.group(2))) >= _OLDEST_RUST
    return Check("cargo", ok, str(text), "`rustup update`: edition 2024 needs 1.85 or newer")


def _linker() -> Check:
    found = shutil.which("cc")
    return Check("linker", found is not None, found or "no `cc` on PATH", "apt-get install build-essential")


def _static_libc() -> Check:
    mend = "apt-get install libc6-dev"
    if shutil.which("cc") is None:
        return Check("static libc", ok=False, detail="cannot be tried without a linker", mend=mend)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "t.c"
        source.write_text("int main(void) { return 0; }\n", encoding="ascii")
        linked = _output("cc", "-static", "-o", f"{folder}/t", str(source))
    detail = "links" if linked is not None else "`cc -static` finds no libc.a"
    return Check("static libc", linked is not None, detail, mend)


def _docker() -> Check:
    from harness.target.docker import DockerBackend

    reason = DockerBackend.available()
    lost = "runs take the process backend, without isolation and memory limit"
    detail = "answers" if reason is None else f"{reason}; {lost}"
    return Check("Docker", reason is None, detail, "apt-get install docker.io && systemctl start docker", needed=False)


def _cache() -> Check:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(
            "build cache",
            ok=False,
            detail=f"{folder}: {error.strerror}",
            mend="set XDG_CACHE_HOME to a writable folder",
        )
    free = shutil.disk_usage(folder).free
    detail = f"{folder}, {free / 2**30:.0f} GiB free"
    return Check("build cache", free > _ROOM_BYTES, detail, "free 3 GiB there, or set XDG_CACHE_HOME elsewhere")


def _priority() -> Check:
    child = os.fork()
    if child == 0:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -5)
        except OSError:
            os._exit(1)
        os._exit(0)
    ok = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    detail = "may be raised" if ok else "may not be raised: send lateness has a longer tail beside other load"
    return Check("generator priority", ok, detail, "run as root, or give CAP_SYS_NICE", needed=False)


CHECKS: tuple[Callable[[], Check], ...] = (
    _system,
    _python,
    _cores,
    _cargo,
    _linker,
    _static_libc,
    _docker,
    _cache,
    _priority,
)


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
