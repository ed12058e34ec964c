"""Linux: which files a process may use from here on, and which signals it may send (Landlock, Linux 5.13).

No privilege is needed. What is not listed cannot be read, written, created, renamed or removed by this thread
and by whatever it starts. Not covered by Landlock: permissions and times of files; see grader/sandbox/seccomp.py.
Source: Linux kernel documentation, userspace-api/landlock. Of the Python
packages for it none is yet widely used; what is needed here is short.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from grader.protocol.layers import newest_landlock

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
ASK_VERSION = 1
PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK, REFER, TRUNCATE, IOCTL_DEVICE = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
# Each version of Landlock knows more rights: how many, by the version in which the next one came.
RIGHTS_OF_FIRST_VERSION = 13
KNOWS_TRUNCATE = 3
NEXT_RIGHTS = ((2, REFER), (KNOWS_TRUNCATE, TRUNCATE), (5, IOCTL_DEVICE))
FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
READING = READ_FILE | READ_DIR
BIND_AND_CONNECT = 0b11
ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> int:
    """Allow reading beneath `readable`, everything but devices beneath `writable`, and nothing else.

    A path that does not exist is passed over. Returns the version of Landlock that this is done with, on which it
    depends what is left open. Raises `OSError` where the kernel has no Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = _call(libc, CREATE_RULESET, None, ctypes.c_size_t(0), ASK_VERSION)
    version = min(version, newest_landlock() or version)
    handled = (1 << RIGHTS_OF_FIRST_VERSION) - 1
    for since, right in NEXT_RIGHTS:
        handled |= right if version >= since else 0
    attributes = struct.pack("<Q", handled)
    attributes += struct.pack("<Q", BIND_AND_CONNECT) if version >= 4 else b""
    attributes += struct.pack("<Q", ABSTRACT_SOCKETS_AND_SIGNALS) if version >= 6 else b""
    ruleset = _call(libc, CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path in readable:
            _allow(libc, ruleset, path, READING)
        for path in writable:
            _allow(libc, ruleset, path, handled & ~(EXECUTE | MAKE_CHAR | MAKE_BLOCK))
        _call(libc, RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= FOR_FILES
        _call(libc, ADD_RULE, ruleset, PATH_BENEATH, struct.pack("<Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(libc: ctypes.CDLL, number: int, *arguments: object) -> int:
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result
