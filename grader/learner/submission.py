"""Read the text that will be graded: the exercise and what it imports from its own folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from grader.course.outline import follow_imports
from grader.protocol.job import Source
from grader.text import COMMAND

MAX_BYTES = 1_000_000
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


def read_submission(folder: Path, exercise: str) -> Submission:
    """Read an exercise and, following its relative imports, everything it needs. Raises `Unreadable`."""

    def read(name: str) -> Source | None:
        path = folder / f"{name}.py"
        return Source(str(path), read_text(path)) if name == exercise or path.exists() else None

    return Submission(exercise, follow_imports(exercise, read))


def read_text(path: Path, read: Callable[[Path], bytes] = Path.read_bytes) -> str:
    """The text of a file once it has stopped changing. Raises `Unreadable`."""
    try:
        data = _settled(path, read)
    except FileNotFoundError as error:
        name = path.stem
        raise Unreadable(f"The file is missing. `{COMMAND} reset {name}` puts it back.", path) from error
    except OSError as error:
        raise Unreadable(f"The file cannot be opened: {error.strerror}.", path) from error
    if len(data) > MAX_BYTES:
        raise Unreadable(f"The file has {len(data):,} bytes; more than {MAX_BYTES:,} are not graded.", path)
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable("The file is not UTF-8 here. Save it as UTF-8 in your editor.", path, line) from error


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
