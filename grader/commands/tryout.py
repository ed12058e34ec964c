"""The code that reproduces a failure, as a file to run: `.grader/try_ex06.py`."""

from __future__ import annotations

from pathlib import Path

from grader.course.exercise import Exercise
from grader.errors import GraderError
from grader.judge.results import ExerciseResult
from grader.learner.replace import write_whole
from grader.report.console import Tryout, relative, title_of
from grader.text import PYTHON, printable

HEAD = '''"""What a check of {exercise} does with your code: {title}.

Written by the grader, and written anew each time something is wrong. To run it: {command}
"""

import sys
from pathlib import Path

sys.path[:0] = [{folder!r}, str(Path(__file__).resolve().parents[1])]

from grader import bootstrap

bootstrap.ensure_for(__file__)

'''


def write_tryout(result: ExerciseResult, exercise: Exercise, folder: Path) -> Tryout | None:
    """Write the file for the check that is shown first, if there is code for it, and say how it is run.

    `folder` is where the learner's file is. Where the file cannot be written, the code is shown alone.
    """
    details = result.first_open.details if result.first_open else None
    if result.first_open is None or details is None or not details.code:
        return None
    path = exercise.root / ".grader" / f"try_{exercise.id[:4]}.py"
    command = f"{PYTHON} {relative(str(path))}"
    title = printable(title_of(result.first_open))
    head = HEAD.format(exercise=exercise.id, title=title, command=command, folder=str(folder.parent))
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, f"{head}{details.code}\n")
    except (GraderError, OSError):
        command = ""
    return Tryout(details.code if folder.parent == exercise.root else "", command)
