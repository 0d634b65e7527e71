"""Knobs that an older Tokio does not have: which they are in a study, and what follows.

Owns the impossible combinations of version and knob; what a version is locked to stands in `manifest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.study import constraints, knobs
from harness.study.constraints import Constraint
from harness.study.faults import Faults, listed
from harness.study.model import Level
from harness.study.schema import StudyFile


@dataclass(frozen=True)
class Newer:
    """A knob of the study that came later than some of its versions of Tokio: with those it does not compile."""

    name: str
    without: tuple[str, ...]

    @property
    def constraint(self) -> Constraint:
        """The same as a constraint between knobs."""
        excluded = " and ".join(f"tokio != '{version}'" for version in self.without)
        return constraints.parse(f"{self.name} == unset or {excluded}")

    @property
    def words(self) -> str:
        """The same as a sentence for people."""
        return (
            f"{self.name} came with Tokio {knobs.TABLE[self.name].since}: no variant sets it together with tokio "
            f"{listed(self.without)}"
        )


def newer(file: StudyFile, baseline: Mapping[str, Level], faults: Faults) -> tuple[Newer, ...]:
    """Return the knobs that not every version of the study has; one that could never be built as meant is a fault."""
    own, levels = knobs.built_with(baseline), file.knobs.get("tokio", [])
    searched = [str(level) for level in levels if level in knobs.TOKIO_VERSIONS] if isinstance(levels, list) else []
    versions = tuple(sorted({own, *searched}, key=knobs.TOKIO_VERSIONS.index))
    found = []
    for name in (name for name in knobs.TABLE if name in {*file.knobs, *baseline}):
        without = tuple(version for version in versions if name in knobs.lacking(version))
        came = f"came with Tokio {knobs.TABLE[name].since}"
        if name in baseline and own in without:
            faults.add(f"{came}, and the baseline's is {own}: leave one of them out", "baseline", name)
        elif versions == without:
            words = (
                f"{came}, which no version of this study has: add a newer one to knobs.tokio, or raise the baseline's"
            )
            faults.add(words, "knobs", name)
        elif without:
            found.append(Newer(name, without))
    return tuple(found)
