"""Is a subject process over one of its limits? Looked at every 50 ms, beside what the system itself enforces."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from grader.protocol.job import Limits
from grader.protocol.layers import Layer, is_wanted
from grader.protocol.scratch import bytes_of, listing

if TYPE_CHECKING:
    from grader.supervisor.tree import ProcessTree

# So many files without a name may be mapped whose size the system does not tell.
UNNAMED_FILES = 8
# Who may do this with a folder can have put files there, also if it cannot be listed.
CAN_HOLD_FILES = stat.S_IWUSR | stat.S_IXUSR


def over_limit(limits: Limits, tree: ProcessTree, printed: int, scratch: Path, jobs: int) -> str | None:
    """What is too much, in words, or None. Time is looked at elsewhere.

    `tree` was looked at just now; `printed` counts bytes; of `jobs` each may write as much as `limits` says.
    """
    if printed > limits.output:
        return f"printed more than {limits.output // 2**20} MB"
    if not is_wanted(Layer.POLL):
        return None
    if tree.memory > limits.memory:
        return f"used more than {limits.memory / 2**30:.1f} GB of memory"
    if tree.started > limits.processes:
        return f"started more than {limits.processes} processes"
    unnamed, written = tree.unnamed(limits.file_bytes // UNNAMED_FILES), tree.written
    if unnamed is None or written is None:
        return "hid from the grader how much it writes"
    if too_many := _too_many_files(scratch, limits, unnamed):
        return too_many
    if written > jobs * (limits.output + limits.results + limits.file_bytes):
        return "wrote without end"
    return None


def _too_many_files(scratch: Path, limits: Limits, unnamed: int) -> str | None:
    """Not by os.walk, which recurses: folders may be nested thousands deep."""
    size, count = unnamed, 0
    folders = [os.fspath(scratch)]
    while folders:
        folder = folders.pop()
        try:
            with listing(folder) as entries:
                for entry in entries:
                    count += 1
                    if count > limits.files:
                        return f"made more than {limits.files:,} files"
                    with suppress(OSError):
                        size += bytes_of(entry.stat(follow_symlinks=False))
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(os.path.join(folder, entry.name))
        except OSError as error:
            if _hides_files(folder, error):
                return "made a folder that the grader cannot look into"
    return f"wrote files of more than {limits.file_bytes // 2**20} MB" if size > limits.file_bytes else None


def _hides_files(folder: str, error: OSError) -> bool:
    if error.errno == errno.ENAMETOOLONG:
        return True
    with suppress(OSError):
        return error.errno == errno.EACCES and os.lstat(folder).st_mode & CAN_HOLD_FILES == CAN_HOLD_FILES
    return False
