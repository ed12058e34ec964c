"""Replace a learner's file without ever leaving half of one."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from grader.errors import GraderError
from grader.learner.decoding import encode
from grader.learner.history import Store
from grader.learner.submission import Unreadable, read_text


def replace_keeping(path: Path, text: str, store: Store, reason: str) -> int | None:
    """Write `text` to `path`; what stood there is kept in the store first, and its number returned.

    Raises `GraderError`, with nothing changed, if it cannot be kept or the file cannot be written.
    """
    kept = None
    if os.path.lexists(path):  # a link too, wherever it leads
        try:
            kept = store.keep(path.stem, read_text(path), reason)
        except Unreadable as problem:
            _set_aside(path, problem)
        if store.problem:
            raise GraderError(f"{path} was left alone, since its text could not be kept: {store.problem}")
    write_whole(path, text)
    return kept


def write_whole(path: Path, text: str) -> None:
    """Write to a temporary file beside it, then rename. Raises `GraderError`."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(encode(text))
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise GraderError(f"{path} could not be written: {error}") from error


def _set_aside(path: Path, problem: Unreadable) -> None:
    """A file that is not text cannot go into the history: it stays beside the new one, under another name."""
    aside = path.with_name(path.name + ".unreadable")
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.unreadable{number}")
    try:
        path.rename(aside)
    except OSError as error:
        raise GraderError(f"{path} was left alone ({problem}; {error})") from error
