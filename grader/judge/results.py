"""What is said: the verdict on a check and on an exercise, and the report that every renderer receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from grader.protocol.runs import Place


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


@dataclass(frozen=True)
class Picture:
    """Two matrices, or rows of numbers, cell by cell, and which cells are `wrong`.

    A cell is a character that is a shade, or, if they `are_numbers`, a number in words. `note` says which part of a
    larger one it is.
    """

    expected: tuple[tuple[str, ...], ...]
    actual: tuple[tuple[str, ...], ...]
    wrong: tuple[tuple[bool, ...], ...]
    note: str = ""
    are_numbers: bool = False


@dataclass(frozen=True)
class Difference:
    """Where an observation departs from the reference's, in words ready to be shown.

    `picture` shows both, if they are matrices. `relation` is how the one comes out of the other, if arithmetic can
    tell and no known mistake explains it: a short name for tools; `relation_in_words` for the learner.
    """

    observation: str
    summary: str
    expected: str = ""
    actual: str = ""
    picture: Picture | None = None
    relation: str = ""
    relation_in_words: str = ""


@dataclass(frozen=True)
class Details:
    """What there is to say of a failure that no known mistake explains.

    `promise` is the sentence that is broken, and `promised_in` the function, class or method in whose docstring it
    stands, or nothing for a lesson. `agreed` names the observations before it that were as they should be, `off`
    says of one before an error that it was not. `steps` is what is known of what the function calls. `line` is the
    line of the learner's that raised an error, and `wanted` what should have come. `code` reproduces it.
    """

    promise: str = ""
    promised_in: str = ""
    agreed: tuple[str, ...] = ()
    off: str = ""
    steps: str = ""
    line: str = ""
    wanted: str = ""
    code: str = ""


@dataclass(frozen=True)
class CheckResult:
    """The verdict on one check, and what the learner is told about it.

    `fine_print` says which part of a docstring it is about. An `optional` one may stay unfinished. `details` are
    there where something went wrong that no known mistake explains.
    """

    name: str
    status: Status
    function: str = ""
    message: str = ""
    place: Place | None = None
    mistakes: tuple[str, ...] = ()
    difference: Difference | None = None
    fine_print: bool = False
    optional: bool = False
    details: Details | None = None

    @property
    def told(self) -> str:
        """The message, and the relation where no known mistake says more than that."""
        relation = self.difference.relation_in_words if self.difference else ""
        return f"{self.message}\n{relation}" if relation else self.message


class Judged(Protocol):
    """What has a verdict."""

    @property
    def status(self) -> Status: ...

    @property
    def optional(self) -> bool: ...


JudgedT = TypeVar("JudgedT", bound=Judged)
NOT_WRONG = (Status.UNFINISHED, Status.BLOCKED)


def is_done(check: Judged) -> bool:
    """Has it passed, or may it be left?"""
    return check.status is Status.PASSED or (check.optional and check.status is Status.UNFINISHED)


def first_open(checks: Sequence[JudgedT]) -> JudgedT | None:
    """The check to look at first: the first that went wrong, else the first that is not done."""
    return next(iter(wrong_ones(checks) or [check for check in checks if not is_done(check)]), None)


def wrong_ones(checks: Sequence[JudgedT]) -> list[JudgedT]:
    """Those that went wrong, and neither wait for anything nor are still to be written."""
    return [check for check in checks if not is_done(check) and check.status not in NOT_WRONG]


def most_telling(checks: Sequence[CheckResult]) -> CheckResult | None:
    """The check to look at first: of those that went wrong one of which it is known why, and rather of the core."""
    in_order = sorted(wrong_ones(checks), key=lambda check: (not check.mistakes, check.fine_print))
    return first_open(in_order or checks)


@dataclass(frozen=True)
class ExerciseResult:
    """The verdict on one exercise. `output` is what the learner's code printed; `digest` tells which text it was.

    `refused` is what it tried and may not do, in all checks, each act once.
    """

    id: str
    status: Status
    seconds: float
    checks: tuple[CheckResult, ...]
    message: str = ""
    place: Place | None = None
    output: str = ""
    refused: tuple[str, ...] = ()
    digest: str = ""

    @property
    def first_open(self) -> CheckResult | None:
        """The check to look at first."""
        return most_telling(self.checks)


@dataclass(frozen=True)
class Report:
    """One run of the grader: what every renderer receives.

    `total` counts the exercises that were asked for. If it was `stopped`, what was not graded by then is missing.
    """

    seed: int
    folder: str
    protections: dict[str, str]
    exercises: tuple[ExerciseResult, ...]
    total: int
    notices: tuple[str, ...] = ()
    stopped: bool = False

    @property
    def passed(self) -> int:
        return sum(result.status is Status.PASSED for result in self.exercises)


@dataclass(frozen=True)
class Row:
    """A known mistake in the kill matrix: what sees it, and what looks alike yet says something else."""

    name: str
    caught_by: tuple[str, ...]
    same_as: tuple[str, ...]
    hang_is_marked: bool
    is_importable: bool

    @property
    def good(self) -> bool:
        return bool(self.caught_by) and not self.same_as and self.hang_is_marked and self.is_importable


@dataclass(frozen=True)
class Matrix:
    """The kill matrix of one exercise. `refused` maps an equivalent, or another base, to the checks that it fails;
    `bases` counts them, the solution included; `shortcomings` are sentences on what else an exercise should have.
    """

    exercise: str
    seed: int
    mistakes: tuple[Row, ...]
    refused: dict[str, tuple[str, ...]]
    equivalents: int
    bases: int = 1
    shortcomings: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return all(row.good for row in self.mistakes) and not self.refused and not self.shortcomings
