"""Files that have no name any more, and take room all the same for as long as a process holds them."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path

from grader.protocol.scratch import bytes_of

# A file that is mapped, shared and has no name any more: addresses, where in it the mapping begins, device, inode.
MAPPED_UNNAMED = re.compile(
    rb"^(?P<start>\w+)-(?P<end>\w+) ..[^ ]s (?P<offset>\w+) (?P<device>[\w:]+) (?P<inode>\d+) +"
    rb"(?!/dev/zero|/SYSV)/"
)


def unnamed_files(pid: int, at_least: int) -> dict[tuple[int, int], int]:
    """The bytes of each such file that a process has open or in its memory, by device and inode.

    One of which the system does not tell the size counts `at_least` so much. Raises `OSError`.
    """
    folder = Path(f"/proc/{pid}")
    opened = _open_unnamed(folder)
    return opened | _mapped_unnamed(folder, at_least, opened)


def _open_unnamed(process: Path) -> dict[tuple[int, int], int]:
    """The bytes of each file without a name that is open there. Raises `OSError`."""
    sizes = {}
    for descriptor in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found = descriptor.stat()
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                sizes[found.st_dev, found.st_ino] = bytes_of(found)
    return sizes


def _mapped_unnamed(process: Path, at_least: int, known: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    """The same of each that is only mapped. Without privileges that is not told, only how large the mapping is."""
    sizes: dict[tuple[int, int], int] = {}
    for line in (process / "maps").read_bytes().splitlines():
        mapped = MAPPED_UNNAMED.match(line) if line.endswith(b" (deleted)") else None
        if mapped is None:
            continue
        start, end, offset = (int(mapped[name], 16) for name in ("start", "end", "offset"))
        major, minor = (int(part, 16) for part in mapped["device"].split(b":"))
        key = os.makedev(major, minor), int(mapped["inode"])
        if key not in known:
            try:
                size = bytes_of((process / "map_files" / f"{start:x}-{end:x}").stat())
            except OSError:
                size = max(offset + end - start, at_least)
            sizes[key] = max(size, sizes.get(key, 0))
    return sizes
