"""Which files hold a new text, found out by looking at them again and again.

No notification by the system: on network folders, in containers and on mounted drives it stays out, without a word.
A look at a folder of thirty files takes a quarter of a millisecond, so that there is no need for it either.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from grader.course.outline import is_python
from grader.learner.decoding import Undecodable, decode
from grader.learner.opening import read_file
from grader.learner.submission import MAX_BYTES

GLANCE_SECONDS = 0.02
# Of so many glances one goes over all files, and not only over the one that is worked on.
GLANCES = 3
# What cannot be right as it stands may be half of a save: it counts when it has stayed the same for so long. A file
# that is gone may be about to be replaced.
HALF_SECONDS = 0.15
GONE_SECONDS = 1.0
# Some disks note the time of a change in whole or in even seconds. For so long the text itself is looked at.
FRESH_SECONDS = 2.5

Stamp = tuple[int, int, int]
"""By which a file shows that it changed: inode, time in nanoseconds, size."""


@dataclass
class _File:
    """What is known of a file: the text that was taken last, None for none, and one that may be half of a save."""

    taken: bytes | None
    stamp: Stamp | None
    changed_at: float
    doubtful: bytes | None = None
    doubtful_since: float | None = None


class Saves:
    """The Python files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        now = time.monotonic()
        self._files = {
            name: _File(self._read(name), stamp, now - FRESH_SECONDS) for name, stamp in self._stamps().items()
        }
        self._glances = 0

    def glance(self, name: str) -> list[str]:
        """As `look`, but in most calls only if this module seems to have changed."""
        self._glances += 1
        return self.look() if self._glances % GLANCES == 0 or self._seems_new(name) else []

    def look(self) -> list[str]:
        """The modules whose text is new since the last look, or since the beginning."""
        now = time.monotonic()
        stamps = self._stamps()
        for name in stamps.keys() - self._files.keys():
            self._files[name] = _File(None, None, now)
        return sorted(name for name, file in self._files.items() if self._is_new(name, file, stamps.get(name), now))

    def _seems_new(self, name: str) -> bool:
        known = self._files.get(name)
        try:
            return known is not None and _stamp((self._folder / f"{name}.py").stat()) != known.stamp
        except OSError:
            return False  # about to be replaced, perhaps: a look will say

    def _is_new(self, name: str, file: _File, stamp: Stamp | None, now: float) -> bool:
        if stamp != file.stamp:
            file.stamp, file.changed_at = stamp, now
        if file.doubtful_since is None and now - file.changed_at >= FRESH_SECONDS:
            return False
        text = self._read(name)
        if text == file.taken:
            file.doubtful_since = None
            return False
        if not is_whole(text):
            if file.doubtful_since is None or text != file.doubtful:
                file.doubtful, file.doubtful_since = text, now
            if now - file.doubtful_since < (GONE_SECONDS if text is None else HALF_SECONDS):
                return False
        file.taken, file.doubtful_since = text, None
        return True

    def _stamps(self) -> dict[str, Stamp]:
        found = {}
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    with suppress(OSError):  # gone meanwhile
                        found[entry.name.removesuffix(".py")] = _stamp(entry.stat())
        return found

    def _read(self, name: str) -> bytes | None:
        try:
            return read_file(self._folder / f"{name}.py", MAX_BYTES)
        except (OSError, ValueError):
            return None


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_mtime_ns, status.st_size


def is_whole(text: bytes | None) -> bool:
    """Can this be all of a file?"""
    try:
        return bool(text and text.strip()) and is_python(decode(text or b""))
    except Undecodable:
        return False
