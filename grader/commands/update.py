"""A newer course, and files with work in them: add the stubs that are missing, show what reads otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from grader.course.catalogue import choose, exercise_ids
from grader.course.exercise import Exercise
from grader.learner.history import Store
from grader.learner.replace import replace_keeping, write_whole
from grader.learner.submission import Unreadable, read_text
from grader.learner.update import Update, bring_up_to_date
from grader.text import COMMAND


def update_exercises(root: Path, names: Sequence[str], folder: Path, store: Store) -> Iterator[str]:
    """Update the named files, or all of them. Nothing of the learner's is changed, and what stood there is kept."""
    exercises = choose(root, names or exercise_ids(root))
    said = 0
    for exercise in exercises:
        for line in _update(exercise, folder / exercise.file_name, store):
            said += 1
            yield line
    if not said:
        yield "Nothing is missing, and every docstring is today's."


def _update(exercise: Exercise, path: Path, store: Store) -> Iterator[str]:
    if not os.path.lexists(path):
        write_whole(path, exercise.stub)
        yield f"{path.name} was not there; it is now."
        return
    try:
        update = bring_up_to_date(read_text(path), exercise.stub, path)
    except Unreadable as problem:
        where = f"{path.name}:{problem.line}" if problem.line else path.name
        yield f"{where} was left alone. {problem} `{COMMAND} reset {exercise.id[:4]}` puts the original there."
        return
    if update.added:
        kept = replace_keeping(path, update.text, store, "before update")
        yield f"{path.name}: added {', '.join(update.added)}. What stood there is number {kept} in the history."
    yield from _changed(path.name, update)


def _changed(file: str, update: Update) -> Iterator[str]:
    if update.changed:
        yield f"{file}: these docstrings read otherwise now (- yours, + the course's). Yours were left alone."
    for change in update.changed:
        yield f"  {change.name or 'the lesson'}"
        yield from (f"    {line}" for line in change.lines if not line.startswith("@@"))
