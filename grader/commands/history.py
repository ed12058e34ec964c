"""The learner's texts: put the original back, list what was kept, bring one back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grader.course.catalogue import choose, exercise_ids, find
from grader.errors import GraderError, UsageError
from grader.judge.results import Status
from grader.learner.history import Attempt, Store
from grader.learner.replace import replace_keeping
from grader.learner.submission import Unreadable, digest, read_text
from grader.text import COMMAND

HISTORY_LINES = 200


def reset_exercise(root: Path, name: str, folder: Path, store: Store) -> str:
    """Put the stub back, keeping what stood there."""
    (exercise,) = choose(root, [name])
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


def history_lines(root: Path, store: Store, name: str | None) -> Iterator[str]:
    """A line per kept text, of one exercise or of all."""
    attempts = store.attempts(find(exercise_ids(root), [name])[0] if name else None)
    if not attempts:
        yield "Nothing yet: a text is kept when it is graded."
    for attempt in attempts[:HISTORY_LINES]:
        yield history_line(attempt)
    if len(attempts) > HISTORY_LINES:
        yield f"… and {len(attempts) - HISTORY_LINES} older ones; `history ex06` lists those of one exercise."
    if attempts:
        yield f"Bring one back: {COMMAND} restore {attempts[0].id}"


def history_line(attempt: Attempt) -> str:
    time = attempt.saved_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if attempt.reason != "graded":
        verdict = f"kept {attempt.reason}"
    elif attempt.status is None:
        verdict = "grading was cut off"
    else:
        passed = sum(status == Status.PASSED for status in attempt.checks.values())
        verdict = f"{attempt.status.value}, {passed} of {len(attempt.checks)} checks, seed {attempt.seed}"
    return f"{attempt.id:>5}  {time}  {attempt.exercise:<16} {verdict}"


def restore_attempt(root: Path, number: int, folder: Path, store: Store) -> str:
    """Write a kept text back, keeping what stands there now."""
    found = store.text_of(number)
    if found is None and store.problem:
        raise GraderError(f"The history could not be read: {store.problem}")
    if found is None:
        raise UsageError(f"There is no text number {number}. `{COMMAND} history` lists them.")
    attempt, text = found
    (exercise,) = choose(root, [attempt.exercise])
    path = folder / exercise.file_name
    try:
        if digest(read_text(path)) == attempt.digest:
            return f"{path.name} already holds text {number}; nothing to do."
    except Unreadable:
        pass
    kept = replace_keeping(path, text, store, "before restore")
    was = f" What stood there is number {kept}." if kept else ""
    return f"{path.name} holds text {number} again.{was}"
