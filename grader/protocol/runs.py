"""What was seen: how each check of an exercise ended in the process that ran it, and what it observed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from grader.protocol.values import Value

# The pseudo-check under which the import of the subject is reported.
IMPORT_CHECK = "import"
# What a stub says that stands in for a function which the code under test lacks.
LACKING = "is not in the file"
# What a stub says that stands in for a function which did not end, before its name.
ENDLESS = "it did not end before:"
# The observation at the end of each check: which of the tensors that `draw` handed out were written to.
CHANGED_INPUTS = "inputs that your code changed"
# How many refused acts are kept of a check, and how much of each.
MAX_REFUSED = 20
MAX_ACT = 300


class Ending(StrEnum):
    """How a check ended. That one timed out or crashed is seen from outside only."""

    RETURNED = "returned"
    RAISED = "raised"
    UNFINISHED = "unfinished"
    FORBIDDEN = "forbidden"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    LIMIT = "limit"


@dataclass(frozen=True)
class Observation:
    """A named value. `tolerance` is absolute and relative; the judge uses the reference's."""

    name: str
    value: Value
    tolerance: float = 1e-5


@dataclass(frozen=True)
class Place:
    """A line of a source file."""

    file: str
    line: int
    function: str = ""


@dataclass(frozen=True)
class Failure:
    """An exception that ended a check. `trace` holds frames of the code under test only, outermost first."""

    types: tuple[str, ...]
    message: str
    trace: tuple[Place, ...] = ()


@dataclass(frozen=True)
class CheckRun:
    """What one probe saw of one subject. `seconds` is processor time, so that it says nothing of how busy the
    machine was.

    `refused`: what the code under test tried to do and is not allowed to, in words: `wrote /x/y (line 12)`.
    """

    check: str
    ending: Ending
    observations: tuple[Observation, ...] = ()
    failure: Failure | None = None
    seconds: float = 0.0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubjectRun:
    """All probes of one exercise on one subject. Checks after one that ended the process are missing.

    `seconds` is how much of its own time it took, without what a busy machine kept it waiting.
    """

    checks: tuple[CheckRun, ...]
    output: str = ""
    seconds: float = 0.0

    def by_name(self) -> dict[str, CheckRun]:
        return {run.check: run for run in self.checks}
