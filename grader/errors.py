"""Errors that end a command with one clear line. Anything else that escapes is a defect of the grader."""

import traceback
from pathlib import Path


class UsageError(Exception):
    """The input of a command is wrong: an unknown exercise, a broken tutor file. Exit code 2."""


class GraderError(Exception):
    """The grader cannot do its work here: no interpreter, no reference. Exit code 3."""


def note_traceback(folder: Path) -> str:
    """Keep the traceback of the error at hand for a bug report, out of the learner's sight.

    `folder` is made where it is not there. Returns what to do with it, in a sentence.
    """
    path = folder / "last-error.txt"
    try:
        folder.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)  # never through a link: code under test may have put one there
        with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(traceback.format_exc())
    except OSError:
        return "Please report it."
    return f"Please report it with {path}."
