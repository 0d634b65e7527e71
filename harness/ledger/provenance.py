"""What a run was made with: machine, versions, commit. Reads facts once at the start of a run, never during a window."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import resource
import subprocess
import sysconfig
from importlib import metadata
from pathlib import Path

import harness


def machine() -> dict[str, object]:
    """Return the facts of this host that a reader needs to weigh a figure; None where the host does not tell."""
    return {
        "cpu_model": _first_match(Path("/proc/cpuinfo"), r"^model name\s*:\s*(.+)$"),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "os": _first_match(Path("/etc/os-release"), r'^PRETTY_NAME="?([^"\n]+)"?$'),
        "governor": _text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        "clocksource": _text(Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
        "cgroup": "v2" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else "v1",
        "virtual": _first_match(Path("/proc/cpuinfo"), r"^flags\s*:.*\b(hypervisor)\b") is not None,
        "python_build": _python_build(str(sysconfig.get_config_var("CONFIG_ARGS") or "")),
        "open_files": list(resource.getrlimit(resource.RLIMIT_NOFILE)),
    }


def machine_id(facts: dict[str, object]) -> str:
    """Return a short digest by which a resumed run knows its machine again."""
    chosen = [facts["cpu_model"], facts["cores"], facts["memory_bytes"], platform.node()]
    return hashlib.sha256(json.dumps(chosen).encode()).hexdigest()[:12]


def versions() -> dict[str, str | None]:
    """Return the versions of everything that shapes a measurement."""
    packages = ("locust", "gevent", "httptools", "optuna", "numpy", "scipy", "pyarrow", "docker", "altair")
    return {
        "harness": harness.__version__,
        "python": platform.python_version(),
        "rustc": _output("rustc", "--version"),
        "cargo": _output("cargo", "--version"),
        **{name: _version(name) for name in packages},
    }


def locked_version(lock_file: Path, package: str) -> str | None:
    """Return the version of `package` in a Cargo.lock, or None."""
    try:
        text = lock_file.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf'name = "{re.escape(package)}"\nversion = "([^"]+)"', text)
    return found.group(1) if found else None


def commit(folder: Path) -> str | None:
    """Return the git commit of `folder`, with `+` when its files are changed; None outside a checkout."""
    head = _output("git", "-C", str(folder), "rev-parse", "HEAD")
    if head is None:
        return None
    return head + ("+" if _output("git", "-C", str(folder), "status", "--porcelain", "-uno") else "")


def _python_build(arguments: str) -> str:
    """Return how this Python was optimised: the generator's own cost a request depends on it by a fifth."""
    found = [name for flag, name in (("--enable-optimizations", "PGO"), ("--with-lto", "LTO")) if flag in arguments]
    return " and ".join(found) or "neither PGO nor LTO"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _first_match(file: Path, pattern: str) -> str | None:
    found = re.search(pattern, _text(file) or "", re.MULTILINE)
    return found.group(1).strip() if found else None
