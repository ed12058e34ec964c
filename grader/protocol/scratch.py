"""The scratch folder of a subject process, and how it is removed whatever code under test did to it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# The file in it where the process notes the line on which it hangs.
TRACE_FILE = "where.txt"


def remove_tree(folder: str | Path) -> None:
    """Remove `folder` with all that is in it; what cannot be removed is left. No link is followed.

    `shutil.rmtree` gives up on folders nested too deep for a path and on those that their owner may not read.
    Here each folder is emptied by moving its subfolders up to the top, so that no path is ever long.
    """
    top = os.fspath(folder)
    moved = 0
    while subfolders := _remove_files(top):
        before = moved
        for subfolder in subfolders:
            for nested in _remove_files(subfolder):
                with suppress(OSError):
                    os.rename(nested, os.path.join(top, f".{moved}"))
                    moved += 1
            with suppress(OSError):
                os.rmdir(subfolder)
                moved += 1
        if moved == before:
            return  # nothing more can be done
    with suppress(OSError):
        os.rmdir(top)


def _remove_files(folder: str) -> list[str]:
    """Remove what is no folder; returns the subfolders."""
    subfolders = []
    with suppress(OSError):
        os.chmod(folder, 0o700)
        with os.scandir(folder) as entries:
            found = list(entries)
        for entry in found:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    subfolders.append(entry.path)
                else:
                    os.unlink(entry.path)
    return subfolders
