"""The records that travel between the parts of the grader. Frozen, plain, without behaviour of their own.

A probe leaves a `CheckRun`; the checks of one exercise on one subject make a `SubjectRun`; the judge turns
two of those into `CheckResult`s; a `Report` is what every renderer receives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """A verdict. Only PASSED counts as done."""

    PASSED = "passed"
    WRONG = "wrong"
    RAISED = "raised"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    LIMIT = "limit"
    FORBIDDEN = "forbidden"
    UNFINISHED = "unfinished"
    BLOCKED = "blocked"
    UNREADABLE = "unreadable"
    GRADER_ERROR = "grader-error"


class Ending(StrEnum):
    """How a check ended in the process that ran it. The last three are seen from outside only."""

    RETURNED = "returned"
    RAISED = "raised"
    UNFINISHED = "unfinished"
    FORBIDDEN = "forbidden"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    LIMIT = "limit"


@dataclass(frozen=True)
class Array:
    """A tensor as it was observed: its bytes in C order, so that no process needs the other's library."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Raised:
    """A call that raised: class names from the most specific to `Exception`, and what the message must name."""

    types: tuple[str, ...]
    message: str
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opaque:
    """Something that cannot be compared, such as a function where a tensor was expected."""

    type_name: str


Value = object
"""One of: None, bool, int, float, str, bytes, `Array`, `Raised`, `Opaque`, and lists, tuples, dicts of them."""


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
    """What one probe saw of one subject.

    `attempts`: what the code under test tried to do and is not allowed to, in words: `wrote /x/y (line 12)`.
    """

    check: str
    ending: Ending
    observations: tuple[Observation, ...] = ()
    failure: Failure | None = None
    seconds: float = 0.0
    attempts: tuple[str, ...] = ()


@dataclass(frozen=True)
class SubjectRun:
    """All probes of one exercise on one subject. Checks after one that ended the process are missing.

    `peak` is the most memory in bytes that the process had above what it had at first; 0 where the system does not
    tell.
    """

    checks: tuple[CheckRun, ...]
    output: str = ""
    peak: int = 0

    def by_name(self) -> dict[str, CheckRun]:
        return {run.check: run for run in self.checks}


@dataclass(frozen=True)
class Difference:
    """Where an observation departs from the reference's, in words ready to be shown.

    `picture` holds the lines of two matrices side by side, if the observation is one.
    """

    observation: str
    summary: str
    expected: str = ""
    actual: str = ""
    picture: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """The verdict on one check, and what the learner is told about it."""

    name: str
    status: Status
    function: str = ""
    message: str = ""
    place: Place | None = None
    mistakes: tuple[str, ...] = ()
    difference: Difference | None = None


@dataclass(frozen=True)
class ExerciseResult:
    """The verdict on one exercise. `output` is what the learner's code printed; `digest` tells which text it was.

    `attempts` are those of all checks, each once.
    """

    id: str
    status: Status
    seconds: float
    checks: tuple[CheckResult, ...]
    message: str = ""
    place: Place | None = None
    output: str = ""
    attempts: tuple[str, ...] = ()
    digest: str = ""

    @property
    def first_open(self) -> CheckResult | None:
        """The check to look at first: the first that went wrong, else the first that is not done."""
        undone = [check for check in self.checks if check.status is not Status.PASSED]
        wrong = [check for check in undone if check.status not in (Status.UNFINISHED, Status.BLOCKED)]
        return next(iter(wrong or undone), None)


@dataclass(frozen=True)
class Report:
    """One run of the grader: what every renderer receives. `total` counts the exercises that exist."""

    seed: int
    folder: str
    protections: dict[str, str]
    exercises: tuple[ExerciseResult, ...]
    total: int
    notices: tuple[str, ...] = ()

    @property
    def passed(self) -> int:
        return sum(result.status is Status.PASSED for result in self.exercises)
