"""The scratch folders of subject processes, and how they are removed whatever code under test did to them.

Where nothing confines that code it can put a link, or somebody's folder, in the place of its own. So what was made
is remembered by device and inode, before any such code runs. Only that is emptied, by descriptors, which stay
what they are when a name comes to mean something else.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# The file in it where the process notes the line on which it hangs.
TRACE_FILE = "where.txt"
# Not on Windows, where links take a privilege.
BY_DESCRIPTOR = {os.open, os.unlink, os.rmdir, os.rename} <= os.supports_dir_fd and os.scandir in os.supports_fd
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
FOLDER: int = getattr(os, "O_DIRECTORY", 0) | NO_LINK | getattr(os, "O_CLOEXEC", 0)
# Linux: opens what may not be read, for looking only.
PLACE_ONLY: int = getattr(os, "O_PATH", 0)

Identity = tuple[int, int]
"""Device and inode: what a folder is, whatever its name."""

_made: dict[str, Identity] = {}


def remember(folder: str | Path, identity: Identity | None = None) -> Identity:
    """Note what `folder` is, before code under test can reach it; `identity` where that was noted elsewhere."""
    path = os.fspath(folder)
    _made[path] = identity or _identity(os.lstat(path))
    return _made[path]


def remember_folders_in(parent: str) -> None:
    """Remember those that are not known yet."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.path not in _made and entry.is_dir(follow_symlinks=False):
                remember(entry.path)


def remove_tree(folder: str | Path) -> None:
    """Remove `folder` with all that is in it; what cannot be removed is left. No link is followed.

    A folder that was remembered is removed only if it is still the same: another one in its place is left alone,
    and a link taken away.
    """
    path = os.fspath(folder)
    made = _made.get(path)
    if not BY_DESCRIPTOR:
        with suppress(OSError):
            if made in (None, _identity(os.lstat(path))):
                shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        if stat.S_ISLNK(os.lstat(path).st_mode):
            os.unlink(path)
        with opened_folder(path) as top:
            if made not in (None, _identity(os.fstat(top))):
                return
            _empty(top)
        os.rmdir(path)
        _made.pop(path, None)


def remove_remembered(parent: str | Path) -> bool:
    """Remove the folders in `parent` that were remembered, and it as well where nothing else is in it.

    Returns False while it is still there.
    """
    path = os.fspath(parent)
    for folder in list(_made):
        if os.path.dirname(folder) == path:
            remove_tree(folder)
    with suppress(OSError):
        if os.path.islink(path):
            os.unlink(path)
        elif _identity(os.lstat(path)) == _made.get(path):
            os.rmdir(path)
    return not os.path.lexists(path)


def clear(folder: str | Path) -> None:
    """Remove what the last job has left in the folder of a process; the trace stays."""
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                remove_tree(entry.path)
            elif entry.name != TRACE_FILE:
                with suppress(OSError):
                    os.unlink(entry.path)


@contextmanager
def listing(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """What is in a folder. Raises `OSError`, for a link too, where the system can tell."""
    if not BY_DESCRIPTOR:
        with os.scandir(folder) as entries:
            yield entries
        return
    descriptor = os.open(folder, os.O_RDONLY | FOLDER)
    try:
        with os.scandir(descriptor) as entries:
            yield entries
    finally:
        os.close(descriptor)


def bytes_of(found: os.stat_result) -> int:
    """What a file takes: its length or, where that is more, its blocks on the disk."""
    return max(found.st_size, 512 * getattr(found, "st_blocks", 0))


@contextmanager
def opened_folder(name: str, parent: int | None = None) -> Iterator[int]:
    """A descriptor of a folder, also of one that its owner may not read. Raises `OSError`, for a link too."""
    try:
        descriptor = os.open(name, os.O_RDONLY | FOLDER, dir_fd=parent)
    except PermissionError:
        _make_readable(name, parent)
        descriptor = os.open(name, os.O_RDONLY | FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_readable(name: str, parent: int | None) -> None:
    if os.chmod in os.supports_follow_symlinks:
        os.chmod(name, stat.S_IRWXU, dir_fd=parent, follow_symlinks=False)
        return
    place = os.open(name, PLACE_ONLY | FOLDER, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{place}", stat.S_IRWXU)
    finally:
        os.close(place)


def _empty(top: int) -> None:
    """Remove all that is in an open folder, however deep.

    `shutil.rmtree` gives up on folders nested too deep for its recursion and on those that their owner may not
    read. Here each folder is emptied by moving its subfolders up to the top.
    """
    prefix = f".{secrets.token_hex(8)}-"  # nobody can have put something there
    moved = 0
    while subfolders := _remove_files(top):
        before = moved
        for subfolder in subfolders:
            with suppress(OSError), opened_folder(subfolder, top) as inner:
                for nested in _remove_files(inner):
                    with suppress(OSError):
                        os.rename(nested, f"{prefix}{moved}", src_dir_fd=inner, dst_dir_fd=top)
                        moved += 1
            with suppress(OSError):
                os.rmdir(subfolder, dir_fd=top)
                moved += 1
        if moved == before:
            return  # nothing more can be done


def _remove_files(folder: int) -> list[str]:
    """Remove what is no folder; returns the names of the subfolders."""
    subfolders = []
    with suppress(OSError):
        os.chmod(folder, stat.S_IRWXU)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    subfolders.append(entry.name)
                else:
                    os.unlink(entry.name, dir_fd=folder)
    return subfolders


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino
