"""Files of a run, each of which is written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grader.errors import GraderError

# Beside the file. It holds what is not whole yet, and after a kill what will never be.
UNFINISHED = ".unfinished"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a path to write to; at the end of the block what is there takes the place of `path`, at once.

    What a killed process left half done is removed first. Raises `GraderError` where it cannot be written, and
    lets every other error of the block pass; either way the old file stays, and nothing beside it.
    """
    folder = path.parent / UNFINISHED
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder / path.name
            move_into_place(folder / path.name, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise GraderError(f"{path} could not be written: {error.strerror or error}.") from error


def move_into_place(written: Path, path: Path) -> None:
    """Rename a file once all of it is on the disk, so that a power cut leaves the old one or the new one."""
    with written.open("rb+") as file:
        os.fsync(file.fileno())
    written.replace(path)
    if os.name == "posix":
        with suppress(OSError):  # not every file system can do that for a folder
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole. Raises `GraderError`."""
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")
