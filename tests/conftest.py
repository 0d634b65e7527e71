"""What every test shares: marked tests skip without their tool, and fail when HARNESS_REQUIRE demands it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROMTOOL = Path(__file__).resolve().parents[1] / "build" / "promtool"
TOOLS = {
    "docker": lambda: subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0,
    "cargo": lambda: shutil.which("cargo") is not None,
    "browser": lambda: shutil.which("chromium") is not None,
    "promtool": lambda: _promtool() is not None,
}


@pytest.fixture(scope="session")
def promtool():
    """The promtool on PATH, else the one that `make test` brought."""
    return _promtool()


def _promtool():
    return shutil.which("promtool") or shutil.which(PROMTOOL)


def pytest_collection_modifyitems(items):
    required = os.environ.get("HARNESS_REQUIRE", "").split()
    missing = {tool for tool, there in TOOLS.items() if not there()}
    for item in items:
        for tool in missing & {mark.name for mark in item.iter_markers()}:
            if tool not in required:
                item.add_marker(
                    pytest.mark.skip(reason=f"{tool} is not here; HARNESS_REQUIRE={tool} makes this a failure")
                )
    # The longest first, so that with several workers none is left alone with one at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
