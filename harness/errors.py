"""The errors a person may see, each with its exit code.

HarnessError
├── StudyError       2    the study or the command line is wrong
├── MachineError     3    the machine is not ready, with the command that mends it
├── TooFewWindows    4    the run ended with too few valid windows to judge
├── ConditionMet     5    the condition of a gate was met
└── Interrupted    130    stopped by the person; the run is kept

Anything else that escapes is our own fault: exit 1, the only case with a traceback.
This module never prints and never exits: the command line does.
"""

from __future__ import annotations

from typing import ClassVar


class HarnessError(Exception):
    """Something a person can mend: what happened, where, and what to do next.

    The text is one sentence or a few lines, complete in itself; it is shown as it stands.
    """

    exit_code: ClassVar[int] = 1


class StudyError(HarnessError):
    """The study file or the command line is wrong; the text names every fault, one a line."""

    exit_code: ClassVar[int] = 2


class MachineError(HarnessError):
    """The machine is not ready; the text names what is missing and the command that mends it."""

    exit_code: ClassVar[int] = 3


class TooFewWindows(HarnessError):  # noqa: N818 - named for what happened, like KeyboardInterrupt
    """Too few usable windows came out to judge anything."""

    exit_code: ClassVar[int] = 4


class ConditionMet(HarnessError):  # noqa: N818 - the condition asked for is a result, not a failure
    """The condition that the caller asked to be told about by exit code was met."""

    exit_code: ClassVar[int] = 5


class Interrupted(HarnessError):  # noqa: N818 - named for what happened
    """A person stopped the run; everything measured is kept and the run can go on."""

    exit_code: ClassVar[int] = 130
