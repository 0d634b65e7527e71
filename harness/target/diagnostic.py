"""How the diagnostic build of a target differs from the one that is scored, and whether a target has one. Pure.

It shares sources, lock file and runtime.rs with what is scored, and neither a cargo folder nor a program.
"""

from __future__ import annotations

from pathlib import Path

from harness.study import knobs, manifest
from harness.study.model import Target
from harness.target.cargo import Recipe

FEATURE = "diagnostic"
SURROUNDINGS = {"TMPDIR": "/dev/shm"}  # noqa: S108 - in memory on purpose
"""What the program finds in its environment beside options: the profiler spills to a file, a container can write nowhere else."""

_PROFILE = {"strip": "none", "debug": "limited"}
"""Names of functions with their paths, inlined ones too, without which stacks say nothing; line tables have no paths."""

_DUMP_FLAGS = ("--cfg", "tokio_taskdump")
_DUMP_FEATURE = "tokio/taskdump"
_DUMP_FEATURE_SINCE = "1.51"
"""The first listed version of Tokio that has the feature; before, the flag alone brings the dump."""

_DUMP_PROCESSORS = ("x86_64", "aarch64", "i686", "s390x")
"""Where Tokio's dump compiles, beside Linux (`cfg_taskdump` in its sources)."""


def recipe(form: str, version: str, triple: str) -> Recipe:
    """Return how the target of that form is built with that version of Tokio for that triple.

    An own crate's feature decides itself which features of Tokio it needs: its lock file has to have them.
    """
    dumps = "linux" in triple and triple.startswith(_DUMP_PROCESSORS)
    needs_feature = knobs.TOKIO_VERSIONS.index(version) >= knobs.TOKIO_VERSIONS.index(_DUMP_FEATURE_SINCE)
    features = (FEATURE, *((_DUMP_FEATURE,) if dumps and needs_feature and form == "template" else ()))
    return Recipe((*manifest.BUILD_FLAGS, *(_DUMP_FLAGS if dumps else ())), features, _PROFILE)


def obstacle(target: Target) -> str | None:
    """Return why there is no diagnostic build of the target, None where there is; reads an own crate's Cargo.toml."""
    if target.form == "template":
        return None
    if not target.has_admin:
        return "the crate has no probe to be asked (admin = true in its target.toml), so nothing inside it is looked at"
    file = Path(target.crate) / "Cargo.toml"
    if FEATURE in manifest.read_toml(file).get("features", {}):
        return None
    return (
        f"{file} declares no feature {FEATURE!r}, so nothing inside the service is looked at: declare one that enables "
        "kit's, as the targets that come with the harness do (target_templates/README.md)"
    )
