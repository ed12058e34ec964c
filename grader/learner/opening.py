"""Read the bytes of a learner's file: nothing blocks, no link leads out of the folder, no more is read than asked.

What lies in the folder was put there by whoever is graded, and may be anything: a pipe, a device, a link to the
solution. A hard link cannot be told apart from a file of its own.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import reduce
from operator import or_
from pathlib import Path

# Not every system has each of these.
FLAGS = reduce(or_, (getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY")))
# How often a link may lead to another one.
MOST_LINKS = 8
PLAIN = "Put a plain file in its place"
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_file(path: Path, most: int) -> bytes:
    """The content of a regular file; of a longer one, `most` + 1 bytes.

    The folder may be a link. A file in it may be one only if it leads to another file of the same folder.

    Raises OSError; for what is no such file its `strerror` says what it is. Raises ValueError for a null character
    in the path.
    """
    with open(_open(path), "rb") as file:
        _refuse_unless_regular(os.fstat(file.fileno()).st_mode)
        return file.read(most + 1)


def _open(path: Path) -> int:
    """A descriptor of the file, without waiting for anybody."""
    name = path.name
    with _opened(path.parent) as folder:
        for hops in range(MOST_LINKS):
            at = path.with_name(name) if folder is None else Path(name)
            try:
                mode = os.stat(at, dir_fd=folder, follow_symlinks=False).st_mode
            except FileNotFoundError:
                if hops == 0:
                    raise
                break
            if not stat.S_ISLNK(mode):
                _refuse_unless_regular(mode)  # before it is opened: for a device, that alone may be an act
                return os.open(at, os.O_RDONLY | FLAGS, dir_fd=folder)
            name = _target(path.parent, os.readlink(at, dir_fd=folder))
    raise _refused("a link that leads to no file", PLAIN)


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """A descriptor of the folder, so that it stays the same one; None where names cannot be looked up in one."""
    if not {os.open, os.stat, os.readlink} <= os.supports_dir_fd:
        yield None
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _target(folder: Path, link: str) -> str:
    """The name that a link leads to in its own folder."""
    target = folder / link
    with suppress(OSError):  # there need not be such a folder
        if target.parent.samefile(folder):
            return target.name
    raise _refused("a link that leads out of its folder", "Put a copy of what it leads to in its place")


def _refuse_unless_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise _refused(KINDS.get(stat.S_IFMT(mode), "no file"), PLAIN)


def _refused(what: str, what_to_do: str) -> OSError:
    return OSError(errno.EINVAL, f"it is {what}. {what_to_do}")
