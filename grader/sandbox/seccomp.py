"""Linux: which system calls a process may make from here on (seccomp).

Refused is whatever starts another process, opens a socket, reaches into other processes, outlives this one, or
changes the machine. A call newer than this list "does not exist": libraries have a way of their own for that.
Everything else goes on as before; files are the business of grader/sandbox/landlock.py.

Written by hand because libseccomp, which would do it, is not on every Linux system, and cannot come from PyPI.
Source: Linux kernel documentation, userspace-api/seccomp_filter; numbers: asm/unistd_64.h, asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass


@dataclass(frozen=True)
class Architecture:
    """How the kernel calls an architecture, and which of a call's two numbers below is its."""

    audit_number: int
    column: int


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}
NEWEST_KNOWN_CALL = 450

Numbers = tuple[int | None, int | None]
"""A call's number on x86_64 and on aarch64, None where it does not exist."""

NOT_ALLOWED: dict[str, Numbers] = {
    # Other machines, and this one through the back door.
    "socket": (41, 198), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Other programs and other processes.
    "execve": (59, 221), "execveat": (322, 281), "tkill": (200, 130), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "perf_event_open": (298, 241),
    # Memory that the limits do not count, or that outlives the process.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    # The machine itself: only a grader that runs as root could.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268),
    "bpf": (321, 280), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "syslog": (103, 116),
    "iopl": (172, None), "ioperm": (173, None), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262), "vhangup": (153, 58),
}  # fmt: skip

# What the system says when there are too many processes already.
NO_MORE_PROCESSES: dict[str, Numbers] = {"fork": (57, None), "vfork": (58, None)}
# Its flags lie in memory, where a filter cannot look. C libraries then take `clone`, whose flags it sees.
DOES_NOT_EXIST: dict[str, Numbers] = {"clone3": (435, 435)}
CLONE: Numbers = (56, 220)
CLONE_THREAD = 0x10000

# Permissions, owners and times of files, which Landlock leaves open. These calls do nothing and succeed: right
# code that copies a file together with its times has to pass.
DOES_NOTHING: dict[str, Numbers] = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip

# Allowed where the first argument is this process.
ON_ITSELF: dict[str, Numbers] = {
    "kill": (62, 129), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip
# The same, and 0 says "this process" too.
ON_ITSELF_OR_ZERO: dict[str, Numbers] = {"prlimit64": (302, 261), "sched_setaffinity": (203, 122)}

SET_MODE_FILTER, ALL_THREADS = 1, 1
SECCOMP_CALL = (317, 277)
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
AT_CALL_NUMBER, AT_ARCHITECTURE, AT_FIRST_ARGUMENT = 0, 4, 16  # where they lie in what the filter is given


def restrict() -> None:
    """Install the filter for every thread of this process. Raises `OSError` where it cannot be."""
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise OSError(errno.ENOSYS, f"seccomp: the calls of {platform.machine()} are not known here")
    code = program(architecture, os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(code, len(code))
    description = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
    number = SECCOMP_CALL[architecture.column]
    if libc.syscall(ctypes.c_long(number), SET_MODE_FILTER, ALL_THREADS, description):
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp: {os.strerror(error)}")


def program(architecture: Architecture, pid: int) -> bytes:
    """The filter, as the kernel's little language has it: eight bytes an instruction."""
    column = architecture.column
    lines = [
        _line(LOAD, AT_ARCHITECTURE),
        _line(JUMP_EQUAL, architecture.audit_number, 1, 0),
        _line(RETURN, KILL),
        _line(LOAD, AT_CALL_NUMBER),
        _line(JUMP_GREATER, NEWEST_KNOWN_CALL, 0, 1),
        _line(RETURN, ERROR | errno.ENOSYS),
    ]
    for calls, error in (
        (NOT_ALLOWED, errno.EPERM),
        (NO_MORE_PROCESSES, errno.EAGAIN),
        (DOES_NOT_EXIST, errno.ENOSYS),
        (DOES_NOTHING, 0),
    ):
        for numbers in calls.values():
            lines += _when(numbers[column], [_line(RETURN, ERROR | error)])
    for numbers in ON_ITSELF.values():
        lines += _when(numbers[column], _only_on((pid,)))
    for numbers in ON_ITSELF_OR_ZERO.values():
        lines += _when(numbers[column], _only_on((pid, 0)))
    threads_only = [
        _line(LOAD, AT_FIRST_ARGUMENT),
        _line(JUMP_ANY_BIT, CLONE_THREAD, 0, 1),
        _line(RETURN, ALLOW),
        _line(RETURN, ERROR | errno.EAGAIN),
    ]
    lines += _when(CLONE[column], threads_only)
    return b"".join([*lines, _line(RETURN, ALLOW)])


def _when(number: int | None, then: list[bytes]) -> list[bytes]:
    return [] if number is None else [_line(JUMP_EQUAL, number, 0, len(then)), *then]


def _only_on(processes: tuple[int, ...]) -> list[bytes]:
    lines = [_line(LOAD, AT_FIRST_ARGUMENT)]
    for process in processes:
        lines += [_line(JUMP_EQUAL, process, 0, 1), _line(RETURN, ALLOW)]
    return [*lines, _line(RETURN, ERROR | errno.EPERM)]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
