"""What the learner's file and the solution have different, once the file has passed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from grader.course.exercise import Exercise
from grader.errors import UsageError
from grader.learner.history import Store
from grader.learner.submission import Unreadable, read_text
from grader.text import COMMAND

STYLES = {"+": "green", "-": "red", "@": "cyan"}


def has_passed(exercise: Exercise, folder: Path, store: Store) -> bool:
    """Was the text that the file holds now the last one graded, and did it pass?"""
    latest = store.latest_graded().get(exercise.id)
    try:
        return latest is not None and latest.passed and latest.is_of(read_text(folder / exercise.file_name))
    except Unreadable:
        return False


def diff_lines(exercise: Exercise, folder: Path, has_passed: bool) -> Iterator[tuple[str, str]]:
    """The lines of a unified diff from the learner's text to the solution's, each with its style.

    Raises `UsageError` for a text that has not passed: the solution is for comparing, not to be read first.
    """
    path = folder / exercise.file_name
    try:
        text = read_text(path)
    except Unreadable as problem:
        raise UsageError(str(problem)) from problem
    if not has_passed:
        raise UsageError(
            f"{exercise.file_name} has not passed as it is now, and the solution is for comparing, afterwards: "
            f"`{COMMAND} check {exercise.id[:4]}`. Stuck: `{COMMAND} hint {exercise.id[:4]}`"
        )
    yours, ours = text.splitlines(), exercise.solution.text.splitlines()
    lines = list(difflib.unified_diff(yours, ours, "yours", "the solution", lineterm=""))
    if not lines:
        yield "Not a character is different.", ""
    for line in lines:
        yield line, "bold" if line.startswith(("+++", "---")) else STYLES.get(line[:1], "")
