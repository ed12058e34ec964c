"""What the small commands do, without the terminal: each returns the lines to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grader.course.catalogue import Exercise, choose
from grader.course.outline import outline
from grader.course.tutor_file import HINTS_PER_FUNCTION
from grader.errors import GraderError, UsageError
from grader.judge.results import Status
from grader.learner.contract import check_contract
from grader.learner.history import Attempt, Store
from grader.learner.replace import replace_keeping
from grader.learner.submission import Unreadable, digest, read_subject, read_text
from grader.text import COMMAND

HISTORY_LINES = 200


def list_lines(exercises: tuple[Exercise, ...], store: Store) -> Iterator[tuple[str, str]]:
    """A line per exercise, with the verdict of the last attempt, and its colour."""
    latest = store.latest_graded()
    for exercise in exercises:
        attempt = latest.get(exercise.id)
        status = attempt.status if attempt else None
        style = {Status.PASSED: "green", None: ""}.get(status, "yellow")
        verdict = status.value if status else "not begun"
        yield f"{exercise.id:<16} {exercise.title:<38} {exercise.minutes:>3} min  {verdict}", style


def give_hint(
    exercises: tuple[Exercise, ...], name: str | None, function: str | None, folder: Path, store: Store
) -> list[str]:
    """The next hint for a function; after the last one, the last one again."""
    exercise = choose(exercises, [name])[0] if name else _first_open(exercises, store)
    wanted = _named_function(exercise, function) if function else _where_stuck(exercise, folder, store)
    hints = exercise.hints[wanted]
    given = store.next_hint(exercise.id, wanted, HINTS_PER_FUNCTION)
    lines = [f"{exercise.id}, {wanted}, hint {given} of {HINTS_PER_FUNCTION}:", "", hints[given - 1], ""]
    more = "Again for the next one." if given < HINTS_PER_FUNCTION else "That was the last one for this function."
    return [*lines, more]


def _first_open(exercises: tuple[Exercise, ...], store: Store) -> Exercise:
    latest = store.latest_graded()
    for exercise in exercises:
        if exercise.id not in latest or latest[exercise.id].status is not Status.PASSED:
            return exercise
    return exercises[-1]


def _named_function(exercise: Exercise, function: str) -> str:
    for name in exercise.hints:
        if function in (name, name.rpartition(".")[2], name.partition(".")[0]):
            return name
    raise UsageError(f"{exercise.id} has no function {function!r}. It has: {', '.join(exercise.hints)}.")


def _where_stuck(exercise: Exercise, folder: Path, store: Store) -> str:
    """The function of the first check that went wrong last time, else the first that is not written."""
    names = list(exercise.hints)
    try:
        unwritten = [name for name in outline(read_text(folder / exercise.file_name)).stubs() if name in names]
    except (Unreadable, SyntaxError, ValueError):
        unwritten = []
    attempt = store.latest_graded().get(exercise.id)
    for check in exercise.checks:
        status = attempt.checks.get(check.name) if attempt else None
        if status in (None, Status.PASSED, Status.UNFINISHED, Status.BLOCKED):
            continue
        of_it = [name for name in names if name == check.function or name.partition(".")[0] == check.function]
        written = [name for name in of_it if name not in unwritten]
        if written:
            return written[-1]
    return (unwritten or names)[0]


def reset_exercise(exercise: Exercise, folder: Path, store: Store) -> str:
    """Put the stub back, keeping what stood there."""
    path = folder / exercise.file_name
    try:
        if read_text(path) == exercise.stub:
            return f"{path.name} is as it was at the beginning; nothing to do."
    except Unreadable:
        pass
    kept = replace_keeping(path, exercise.stub, store, "before reset")
    if kept is None:
        return f"{path.name} is as it was at the beginning."
    return f"{path.name} is as it was at the beginning. Your text is number {kept}: {COMMAND} restore {kept}"


def history_lines(store: Store, exercise: str | None) -> Iterator[str]:
    """A line per kept text."""
    attempts = store.attempts(exercise)
    if not attempts:
        yield "Nothing yet: a text is kept when it is graded."
    for attempt in attempts[:HISTORY_LINES]:
        yield _history_line(attempt)
    if len(attempts) > HISTORY_LINES:
        yield f"… and {len(attempts) - HISTORY_LINES} older ones; `history ex06` lists those of one exercise."
    if attempts:
        yield f"Bring one back: {COMMAND} restore {attempts[0].id}"


def _history_line(attempt: Attempt) -> str:
    time = attempt.saved_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if attempt.reason != "graded":
        verdict = f"kept {attempt.reason}"
    elif attempt.status is None:
        verdict = "grading was cut off"
    else:
        passed = sum(status == Status.PASSED for status in attempt.checks.values())
        verdict = f"{attempt.status.value}, {passed} of {len(attempt.checks)} checks, seed {attempt.seed}"
    return f"{attempt.id:>5}  {time}  {attempt.exercise:<16} {verdict}"


def restore_attempt(exercises: tuple[Exercise, ...], number: int, folder: Path, store: Store) -> str:
    """Write a kept text back, keeping what stands there now."""
    found = store.text_of(number)
    if found is None and store.problem:
        raise GraderError(f"The history could not be read: {store.problem}")
    if found is None:
        raise UsageError(f"There is no text number {number}. `{COMMAND} history` lists them.")
    attempt, text = found
    exercise = choose(exercises, [attempt.exercise])[0]
    path = folder / exercise.file_name
    try:
        if digest(read_text(path)) == attempt.digest:
            return f"{path.name} already holds text {number}; nothing to do."
    except Unreadable:
        pass
    kept = replace_keeping(path, text, store, "before restore")
    was = f" What stood there is number {kept}." if kept else ""
    return f"{path.name} holds text {number} again.{was}"


def drifted(exercises: tuple[Exercise, ...], folder: Path) -> list[str]:
    """Where an exercise no longer follows from its solution.

    An untouched stub has to be the derived text, to the letter. One that a learner has begun has to offer the
    same names with the same parameters.
    """
    problems = []
    for exercise in exercises:
        try:
            subject = read_subject(folder, exercise.id)
            theirs = check_contract(subject, exercise)
        except Unreadable as problem:
            problems.append(f"{exercise.file_name}: {problem}")
            continue
        untouched = set(theirs.stubs()) >= set(exercise.hints)
        if untouched and subject.source.text != exercise.stub:
            line = _first_differing_line(subject.source.text, exercise.stub)
            problems.append(
                f"{exercise.file_name}:{line} is not what its solution gives; `{COMMAND} stubs` writes it anew"
            )
    known = {exercise.id for exercise in exercises}
    strays = sorted(path.name for path in folder.glob("ex[0-9][0-9]_*.py") if path.stem not in known)
    return [*problems, *(f"{name} belongs to no solution" for name in strays)]


def _first_differing_line(one: str, other: str) -> int:
    ours, theirs = one.splitlines(), other.splitlines()
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False), 1):
        if a != b:
            return number
    return min(len(ours), len(theirs)) + 1


def write_stubs(exercises: tuple[Exercise, ...], folder: Path, store: Store) -> Iterator[str]:
    """Write every stub that differs from the derived one, keeping what stood there."""
    written = 0
    for exercise in exercises:
        path = folder / exercise.file_name
        try:
            if read_text(path) == exercise.stub:
                continue
        except Unreadable:
            pass
        kept = replace_keeping(path, exercise.stub, store, "before stubs")
        written += 1
        yield f"wrote {path.name}" + (f"; what stood there is number {kept} in the history" if kept else "")
    if not written:
        yield "Every stub follows from its solution; nothing was written."
