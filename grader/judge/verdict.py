"""From what a check saw to a verdict. Pure: records in, records out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from grader.course.catalogue import Check, Exercise
from grader.course.outline import Outline
from grader.judge.compare import first_difference
from grader.judge.picture import picture
from grader.judge.results import CheckResult, ExerciseResult, Status
from grader.judge.surroundings import explanation
from grader.protocol.job import OUT_OF_SIGHT
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, Failure, Place, SubjectRun
from grader.protocol.values import Array
from grader.text import shorten


def judge(
    exercise: Exercise, file: str, theirs: Outline, reference: SubjectRun, actual: SubjectRun
) -> list[CheckResult]:
    """One result per check. If the import failed, or ended the process, its result is the only one."""
    runs, expected = actual.by_name(), reference.by_name()
    imported = runs[IMPORT_CHECK]
    if imported.ending is not Ending.RETURNED:
        return [judge_ending(Check(IMPORT_CHECK, ""), file, theirs, imported)]
    results = []
    last = actual.checks[-1]
    for check in exercise.checks:
        run = runs.get(check.name)
        if run is None:
            message = f"Not run: the process had ended in `{last.check}`."
            results.append(CheckResult(check.name, Status.BLOCKED, check.function, message))
        elif run.ending is not Ending.RETURNED:
            results.append(judge_ending(check, file, theirs, run))
        else:
            results.append(_judge_values(check, file, theirs, expected[check.name], run))
    return results


def _judge_values(check: Check, file: str, theirs: Outline, expected: CheckRun, run: CheckRun) -> CheckResult:
    difference = first_difference(expected, run)
    if difference is None:
        return CheckResult(check.name, Status.PASSED, check.function)
    difference = replace(difference, picture=_picture(difference.observation, expected, run))
    message = f"{shorten(difference.observation)}: {difference.summary}."
    place = place_of(check.function, file, theirs)
    return CheckResult(check.name, Status.WRONG, check.function, message, place, difference=difference)


def _picture(name: str, expected: CheckRun, run: CheckRun) -> tuple[str, ...]:
    """That of the first differing observation of this name, if it is a tensor."""
    for wanted, got in zip(expected.observations, run.observations, strict=False):
        if wanted.name == name and isinstance(wanted.value, Array) and isinstance(got.value, Array):
            lines = picture(wanted.value, got.value, wanted.tolerance)
            if lines:
                return lines
    return ()


def judge_ending(check: Check, file: str, theirs: Outline, run: CheckRun) -> CheckResult:
    """The verdict on a check that did not return."""
    failure = run.failure or Failure(("Exception",), "")
    failure = replace(failure, trace=_learners_places(failure.trace, file))
    place = failure.trace[-1] if failure.trace else place_of(check.function, file, theirs)
    status, message = _status_and_message(check, file, run.ending, failure, place)
    return CheckResult(check.name, status, check.function, message, place)


def _learners_places(trace: tuple[Place, ...], file: str) -> tuple[Place, ...]:
    """Those in the learner's folder: no other is theirs to mend, and the process could name any."""
    folder = Path(file).parent
    ours = [place for place in trace if Path(place.file).parent == folder and Path(place.file).stem.isidentifier()]
    return tuple(replace(place, function=shorten(place.function)) for place in ours)


def _status_and_message(
    check: Check, file: str, ending: Ending, failure: Failure, place: Place | None
) -> tuple[Status, str]:
    what = shorten(failure.message, 300)
    match ending:
        case Ending.UNFINISHED:
            if place and place.file != file:
                return (
                    Status.BLOCKED,
                    f"Builds on `{place.function}` of {Path(place.file).name}, still to be written.",
                )
            return (
                Status.UNFINISHED,
                f"`{place.function if place else check.function}` is still to be written.",
            )
        case Ending.FORBIDDEN:
            why = "That is the part you are to write here yourself."
            if what in OUT_OF_SIGHT:
                why = "Some of torch's parts may not be used here, and what runs there could not be seen."
            return Status.FORBIDDEN, f"Your code uses `{what}`. {why}"
        case Ending.TIMEOUT:
            hung = " It hung on this line." if failure.trace else ""
            return Status.TIMEOUT, f"The code was stopped: {what}.{hung} Look for a loop that does not end."
        case Ending.LIMIT:
            return Status.LIMIT, f"The code was stopped: it {what}."
        case Ending.CRASHED:
            during = "while your file was imported" if check.name == IMPORT_CHECK else "during this check"
            return Status.CRASHED, f"The Python process died {during}: {what}."
    kind = shorten(failure.types[0])
    if check.name == IMPORT_CHECK and kind in ("SyntaxError", "IndentationError", "TabError"):
        return Status.UNREADABLE, f"Syntax error: {what}."
    if not failure.trace:
        return (
            Status.RAISED,
            f"The test cannot go on with what `{check.function}` gave back ({kind}: {what}).",
        )
    said = f"{kind}: {what}" if what else kind
    return Status.RAISED, "\n".join(filter(None, [said, explanation(kind, what)]))


def place_of(function: str, file: str, theirs: Outline) -> Place | None:
    """Where the learner defines a function, or the class that holds a method."""
    line = theirs.line_of(function)
    if line is None and "." in function:
        line = theirs.line_of(function.rpartition(".")[0])
    return None if line is None else Place(file, line, function)


def exercise_status(checks: tuple[CheckResult, ...]) -> Status:
    """That of the check to look at first; PASSED if there is none such, and never for no checks at all."""
    if not checks:
        return Status.GRADER_ERROR
    first = ExerciseResult("", Status.PASSED, 0.0, checks).first_open
    return Status.PASSED if first is None else first.status
