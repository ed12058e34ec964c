"""Linux: what a process asks the kernel about itself, beside Landlock and seccomp."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

SET_PARENT_DEATH_SIGNAL = 1
SET_CHILD_SUBREAPER = 36
SET_NO_NEW_PRIVILEGES = 38
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITIES_VERSION = 0x20080522


def die_with_parent() -> None:
    """Be killed when the process above dies, so that nothing of ours outlives the grader."""
    _process_control(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def adopt_orphans() -> None:
    """What a child started and left behind becomes this process's, however it detached itself."""
    _process_control(SET_CHILD_SUBREAPER, 1)


def gain_no_privileges() -> None:
    """From now on no program that is started may have more privileges than this process: the kernel wants that
    before an ordinary user's process may restrict itself."""
    _process_control(SET_NO_NEW_PRIVILEGES, 1)


def drop_privileges() -> None:
    """Where the grader runs as root: give up what root may do beyond an ordinary user.

    Kept is reading and writing the files of others, which Landlock confines: a repository that belongs to somebody
    else has to be graded too.
    """
    kept = 1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH
    if os.geteuid() == 0:
        header = struct.pack("<II", CAPABILITIES_VERSION, 0)
        ctypes.CDLL(None).capset(header, struct.pack("<6I", kept, kept, 0, 0, 0, 0))


def _process_control(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
