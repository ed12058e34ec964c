"""Read the text that will be graded: the exercise and what it imports from its own folder."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from grader.course.outline import follow_imports
from grader.learner.decoding import Undecodable, decode
from grader.learner.opening import read_file
from grader.protocol.job import Source
from grader.text import COMMAND, shorten

MAX_BYTES = 1_000_000
# What an exercise may import of its folder: so many files, of so many characters together.
MAX_FILES = 100
MAX_CHARACTERS = 4_000_000
# A text is taken when two reads this far apart are equal, so that a half-written save is not graded.
SETTLE_SECONDS = 0.05
SETTLE_TRIES = 20


class Unreadable(Exception):
    """A learner's file that cannot be graded. `line` is where, if it is known."""

    def __init__(self, message: str, path: Path, line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


@dataclass(frozen=True)
class Submission:
    """An exercise file with the files of the same folder that it imports, directly or through others."""

    exercise: str
    sources: dict[str, Source]

    @property
    def source(self) -> Source:
        return self.sources[self.exercise]

    @property
    def digest(self) -> str:
        """What identifies all these texts together."""
        return digest("".join(f"{name}\0{source.text}\0" for name, source in sorted(self.sources.items())))

    @property
    def imported(self) -> list[str]:
        return [name for name in self.sources if name != self.exercise]


def read_submission(folder: Path, exercise: str, waits: bool = True) -> Submission:
    """Read an exercise and, following its relative imports, everything it needs. Raises `Unreadable`.

    What was just written is read until it stays the same, unless whoever calls sees to that and nothing `waits`.
    """
    taken: list[str] = []

    def read(name: str) -> Source | None:
        path = folder / f"{name}.py"
        if name != exercise and not os.path.lexists(path):
            return None
        taken.append(read_text(path, waits=waits))
        if len(taken) > MAX_FILES or sum(map(len, taken)) > MAX_CHARACTERS:
            most = f"{MAX_FILES} files or {MAX_CHARACTERS:,} characters"
            problem = f"With what it imports it is more than {most}, and is not graded."
            raise Unreadable(problem, folder / f"{exercise}.py")
        return Source(str(path), taken[-1])

    return Submission(exercise, follow_imports(exercise, read))


def _read(path: Path) -> bytes:
    return read_file(path, MAX_BYTES)


def read_text(path: Path, read: Callable[[Path], bytes] = _read, waits: bool = True) -> str:
    """The text of a file once it has stopped changing, or, if it `waits` for nothing, at once. Raises
    `Unreadable`."""
    try:
        data = _settled(path, read) if waits else read(path)
    except FileNotFoundError as error:
        raise Unreadable(_missing(path), path) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Unreadable(f"The file cannot be opened: {why}.", path) from error
    if len(data) > MAX_BYTES:
        raise Unreadable(f"The file has more than {MAX_BYTES:,} bytes, and is not graded.", path)
    try:
        return decode(data)
    except Undecodable as error:
        raise Unreadable(str(error), path, error.line) from error


def _missing(path: Path) -> str:
    """That a file is not there, and which one beside it may be meant."""
    reset = f"`{COMMAND} reset {path.stem}`"
    try:
        alike = sorted(other.name for other in path.parent.iterdir() if _is_alike(other.name, path.stem))
    except OSError:
        alike = []
    if not alike:
        return f"The file is missing. {reset} puts it back."
    name = shorten(alike[0])
    what = "copy the code out of that notebook into" if name.endswith(".ipynb") else "rename that to"
    return f"The file is missing. Is it `{name}`? Then {what} {path.name}. {reset} puts the original there."


def _is_alike(name: str, exercise: str) -> bool:
    """Does a file's name hold the number of the exercise? `ex10_generate (1).py`, `EX10-Generate.py.txt`."""
    letters = re.sub(r"[\W_]", "", name.casefold())
    number = re.escape(exercise.partition("_")[0])
    return not name.startswith(".") and re.search(rf"{number}(?!\d)", letters) is not None


def _settled(path: Path, read: Callable[[Path], bytes]) -> bytes:
    """A file that was not written for a while is taken at once; a fresh one is read until it stays the same."""
    data = read(path)
    if abs(time.time() - path.stat().st_mtime) > 2:
        return data
    for _ in range(SETTLE_TRIES):
        time.sleep(SETTLE_SECONDS)
        before, data = data, read(path)
        if data == before:
            break
    return data


def digest(text: str) -> str:
    """What identifies a text in the store."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
