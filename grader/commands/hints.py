"""What to do next: the list of exercises, and the next hint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from grader.course.catalogue import choose, exercise_ids, headings
from grader.course.exercise import Exercise
from grader.course.outline import outline
from grader.errors import UsageError
from grader.judge.results import Status
from grader.learner.contract import lacking, read_outline
from grader.learner.history import Attempt, Store
from grader.learner.submission import Unreadable, read_text


def list_lines(root: Path, store: Store) -> Iterator[tuple[str, str]]:
    """A line per exercise, with the verdict of the last attempt, and its colour."""
    latest = store.latest_graded()
    found = headings(root)
    names = max(len(heading.id) for heading in found)
    titles = max(len(heading.title) for heading in found)
    for heading in found:
        attempt = latest.get(heading.id)
        status = attempt.status if attempt else None
        style = {Status.PASSED: "green", None: ""}.get(status, "yellow")
        verdict = status.value if status else "not begun"
        yield f"{heading.id:<{names}} {heading.title:<{titles}} {heading.minutes:>3} min  {verdict}", style
    for heading in found:
        if heading.problem:
            yield heading.problem, "red"


def give_hint(root: Path, name: str | None, function: str | None, folder: Path, store: Store) -> list[str]:
    """The next hint for a function; after the last one, which is the solution, the last one again."""
    (exercise,) = choose(root, [name or _first_open(exercise_ids(root), store)])
    attempt = store.latest_graded().get(exercise.id) if folder == root / "exercises" else None
    wanted = _named_function(exercise, function) if function else _where_stuck(exercise, folder, attempt)
    count = len(exercise.hints[wanted])
    given = store.next_hint(exercise.id, wanted, count)
    hint = exercise.hints[wanted][given - 1].split("\n")
    return [f"{exercise.id}, {wanted}, hint {given} of {count}:", "", *hint, "", _what_follows(count - given)]


def _what_follows(left: int) -> str:
    """What one more call would give, so that nobody reads the solution who did not want to."""
    if left == 0:
        return "That was the last one for this function."
    return "The next one is the whole solution." if left == 1 else "Again for the next one."


def _first_open(ids: Sequence[str], store: Store) -> str:
    latest = store.latest_graded()
    undone = (name for name in ids if name not in latest or latest[name].status is not Status.PASSED)
    return next(undone, ids[-1])


def _named_function(exercise: Exercise, function: str) -> str:
    """The one that a word means: its whole name, its last part, or its class. Raises `UsageError`."""
    meant = [name for name in exercise.hints if function in (name, name.rpartition(".")[2], name.partition(".")[0])]
    if function in meant or len(meant) == 1:
        return function if function in meant else meant[0]
    if meant:
        raise UsageError(f"{function!r} may be {' or '.join(meant)}: name one of them.")
    raise UsageError(f"{exercise.id} has no function {function!r}. It has: {', '.join(exercise.hints)}.")


def _where_stuck(exercise: Exercise, folder: Path, attempt: Attempt | None) -> str:
    """The function of the first check that went wrong last time, else the first that is not written."""
    names = list(exercise.hints)
    try:
        path = folder / exercise.file_name
        theirs = read_outline(read_text(path), path)
        left = {*theirs.stubs(), *lacking(theirs, outline(exercise.stub))}
        unwritten = [name for name in names if name in left]
    except Unreadable:
        unwritten = []
    for check in exercise.checks:
        status = attempt.checks.get(check.name) if attempt else None
        if status in (None, Status.PASSED, Status.UNFINISHED, Status.BLOCKED):
            continue
        of_it = [name for name in names if name == check.function or name.partition(".")[0] == check.function]
        written = [name for name in of_it if name not in unwritten]
        if written:
            return written[-1]
    return (unwritten or names)[0]
