"""A table of claims as it stands in studies/claims/claims.yaml: each statement, and the test that would refute it.

Owns the shape of that file. A statement has one test: pairs of windows, a figure that a program prints, a program that
compiles or not, a ratio of two numbers; or the reason why nothing here can test it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from harness.errors import StudyError
from harness.study import manifest, places, quantities
from harness.study.faults import Faults
from harness.study.forms import Scalar

TABLE = Path(__file__).resolve().parents[2] / "studies" / "claims" / "claims.yaml"
"""The table of the checklist that the project started from. Studies stand beside a table, its programs in `programs`."""

PROGRAMS = "programs"


def _signed_share(raw: Any) -> Any:  # noqa: ANN401 - raw YAML
    """Return a fraction for text such as "-5%"; a gain may be a loss, so it has a sign."""
    if isinstance(raw, str):
        sign = -1 if raw.startswith("-") else 1
        return sign * quantities.share(raw.removeprefix("-"))
    return raw


SignedShare = Annotated[float, BeforeValidator(_signed_share)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pairs(_Part):
    """Fresh pairs of the study's baseline and the one variant that `change` makes of it; `gain` is what is claimed."""

    study: str = Field(pattern=r"^[0-9a-z-]+\.yaml$")
    change: dict[str, Scalar] = Field(min_length=1)
    gain_at_least: SignedShare = -math.inf
    gain_at_most: SignedShare = math.inf


class Figure(_Part):
    """A program of the lab prints `name`; the claim says that it lies between the two ends, in `unit`."""

    program: str = Field(pattern=r"^[0-9a-z_]+$")
    name: str
    unit: str = ""
    at_least: Number = -math.inf
    at_most: Number = math.inf


class Compiles(_Part):
    """The claim says that `program` compiles (or that it does not); the control has to compile, or nothing is known."""

    program: str = Field(pattern=r"^[0-9a-z_]+$")
    control: str = Field(pattern=r"^[0-9a-z_]+$")
    claimed: bool
    unstable: bool = True


class Ratio(_Part):
    """The claim says that `of` is at least so many times `to`."""

    of: Number
    to: Number
    at_least: Number


class Source(_Part):
    """A line of the pinned Tokio's own source: the file in its crate, and a part of the line."""

    file: str
    line: str


class Claim(_Part):
    """One statement in our own words, and its test. `because` explains what is seen, from Tokio's source or documents.

    `untestable` is the reason why nothing here tests it; `needs_cores`, where more cores would do, how many.
    """

    number: int = Field(ge=1)
    says: str
    refuted_by: str = ""
    pairs: Pairs | None = None
    figure: Figure | None = None
    compiles: Compiles | None = None
    ratio: Ratio | None = None
    untestable: str = ""
    needs_cores: int = 0
    because: str
    source: Source | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Claim:
        tests = [self.pairs, self.figure, self.compiles, self.ratio, self.untestable or None]
        if sum(test is not None for test in tests) != 1:
            raise ValueError("give exactly one of pairs, figure, compiles, ratio and untestable")
        if not self.untestable and not self.refuted_by:
            raise ValueError("say in refuted_by what would refute it")
        return self


class _Table(_Part):
    claims: tuple[Claim, ...]


def claims(file: Path = TABLE) -> tuple[Claim, ...]:
    """Return every claim in the order of the table; StudyError names every fault with its line."""
    try:
        root = places.compose(manifest.read_text(file))
    except places.Unreadable as error:
        raise StudyError(error.fault.text(str(file))) from error
    faults = Faults(root)
    try:
        table = _Table.model_validate(places.value(root))
    except ValidationError as error:
        faults.add_all(error, lambda _loc: ())
        raise faults.error(file) from error
    if faults:
        raise faults.error(file)
    return table.claims
