"""Linux: which system calls a process may make from here on (seccomp).

Refused is whatever starts another process, opens a socket, reaches into other processes, outlives this one, or
changes the machine, or takes disk that nobody sees. Of calls that do many things, arguments decide. A call newer
than this list "does not exist": libraries have a way of their own for that. Everything else goes on as before;
files are the business of grader/sandbox/landlock.py.

Written by hand because libseccomp, which would do it, is not on every Linux system, and cannot come from PyPI.
Source: Linux kernel documentation, userspace-api/seccomp_filter; numbers: asm/unistd_64.h, asm-generic/unistd.h;
those of arguments: linux/fcntl.h, linux/prctl.h, asm-generic/ioctls.h.
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
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_setup": (206, 0),
    # Other programs and other processes.
    "execve": (59, 221), "execveat": (322, 281), "tkill": (200, 130), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "perf_event_open": (298, 241), "seccomp": (317, 277),
    "personality": (135, 92), "modify_ldt": (154, None), "inotify_init": (253, None), "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27), "fanotify_mark": (301, 263),
    # Memory that the limits do not count, or that outlives the process.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192), "semctl": (66, 191), "mq_open": (240, 180),
    "mq_unlink": (241, 181),
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
# Their flags lie in memory, where a filter cannot look. C libraries then take `clone` and `openat`: it sees theirs.
DOES_NOT_EXIST: dict[str, Numbers] = {"clone3": (435, 435), "openat2": (437, 437)}
# Takes disk without writing. C libraries then write.
NOT_SUPPORTED: dict[str, Numbers] = {"fallocate": (285, 47)}
# By its path it empties files of others where Landlock is older than version 3.
TRUNCATE: Numbers = (76, 45)
CLONE: Numbers = (56, 220)
CLONE_THREAD = 0x10000
OPEN: Numbers = (2, None)
OPENAT: Numbers = (257, 56)
# A file without a name from the beginning; and opening in order to empty, but not to write, which older versions of
# Landlock take for reading.
TMPFILE, TRUNC, ACCESS_MODE = 0o20000000, 0o1000, 0o3
SENDTO: Numbers = (44, 206)
SOCKETPAIR: Numbers = (53, 199)
UNIX = 1

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

# Leases make others wait who open the file; owners of descriptors get signals; no limit counts what pipes hold.
FCNTL: Numbers = (72, 25)
SET_FLAGS, ASYNC = 4, 0o20000
NOT_TO_BE_SET = (1024, 1026, 8, 10, 15, 1031)  # F_SETLEASE, F_NOTIFY, F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETPIPE_SZ

# Only what Python and C libraries ask of files, pipes and terminals. Others set owners, take disk, type for you.
IOCTL: Numbers = (16, 29)
TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX = 0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451
CONTROLS = (TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX)

# Only what concerns nobody else. Not: hiding from the grader (PR_SET_DUMPABLE), outliving it (PR_SET_PDEATHSIG),
# being traced, adopting the orphans of others.
PRCTL: Numbers = (157, 167)
NAME_OF_MEMORY = 0x53564D41  # what allocators call their pages
PROCESS_CONTROLS = (
    2, 3, 7, 15, 16, 21, 23, 25, 27, 29, 30, 37, 38, 39, 40, 41, 42, 50, 51, 54, 55, 56, 63, 64, NAME_OF_MEMORY,
)  # fmt: skip

SET_MODE_FILTER, ALL_THREADS = 1, 1
SECCOMP_CALL = (317, 277)
ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x25, 0x45, 0x54, 0x06
# Where they lie in what the filter is given. An argument has eight bytes, the low half first; where the kernel
# declares an `int` it looks at that half alone.
AT_CALL_NUMBER, AT_ARCHITECTURE = 0, 4
LOW = tuple(range(16, 64, 8))
HIGH = tuple(range(20, 64, 8))


def restrict(*, by_path: bool = True) -> None:
    """Install the filter for every thread of this process. Raises `OSError` where it cannot be.

    `by_path`: may files be truncated by their path, because something else says which?
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise OSError(errno.ENOSYS, f"seccomp: the calls of {platform.machine()} are not known here")
    code = program(architecture, os.getpid(), by_path=by_path)
    libc = ctypes.CDLL(None, use_errno=True)
    text = ctypes.create_string_buffer(code, len(code))
    description = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(text))
    number = SECCOMP_CALL[architecture.column]
    if libc.syscall(ctypes.c_long(number), SET_MODE_FILTER, ALL_THREADS, description):
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp: {os.strerror(error)}")


def program(architecture: Architecture, pid: int, *, by_path: bool = True) -> bytes:
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
        (NOT_SUPPORTED, errno.EOPNOTSUPP),
        (DOES_NOTHING, 0),
        ({} if by_path else {"truncate": TRUNCATE}, errno.EPERM),
    ):
        for numbers in calls.values():
            lines += _when(numbers[column], [_line(RETURN, ERROR | error)])
    for numbers in ON_ITSELF.values():
        lines += _when(numbers[column], _only(0, (pid,)))
    for numbers in ON_ITSELF_OR_ZERO.values():
        lines += _when(numbers[column], _only(0, (pid, 0)))
    threads_only = [
        _line(LOAD, LOW[0]),
        _line(JUMP_ANY_BIT, CLONE_THREAD, 0, 1),
        _line(RETURN, ALLOW),
        _line(RETURN, ERROR | errno.EAGAIN),
    ]
    to_nobody = [
        _line(LOAD, LOW[4]),
        _line(JUMP_EQUAL, 0, 0, 3),
        _line(LOAD, HIGH[4]),
        _line(JUMP_EQUAL, 0, 0, 1),
        _line(RETURN, ALLOW),
        _line(RETURN, ERROR | errno.EPERM),
    ]
    lines += _when(CLONE[column], threads_only)
    lines += _when(OPEN[column], _only_with_name(1))
    lines += _when(OPENAT[column], _only_with_name(2))
    lines += _when(SENDTO[column], to_nobody)
    lines += _when(SOCKETPAIR[column], _only(0, (UNIX,)))
    lines += _when(FCNTL[column], _without_effect_on_others())
    lines += _when(IOCTL[column], _only(1, CONTROLS, errno.EOPNOTSUPP))
    lines += _when(PRCTL[column], _only(0, PROCESS_CONTROLS))
    return b"".join([*lines, _line(RETURN, ALLOW)])


def _when(number: int | None, then: list[bytes]) -> list[bytes]:
    return [] if number is None else [_line(JUMP_EQUAL, number, 0, len(then)), *then]


def _only(argument: int, values: tuple[int, ...], error: int = errno.EPERM) -> list[bytes]:
    """Where the argument is one of these, allow the call."""
    lines = [_line(LOAD, LOW[argument])]
    for value in values:
        lines += [_line(JUMP_EQUAL, value, 0, 1), _line(RETURN, ALLOW)]
    return [*lines, _line(RETURN, ERROR | error)]


def _only_with_name(argument: int) -> list[bytes]:
    """Of opening files, `argument` being the flags."""
    return [
        _line(LOAD, LOW[argument]),
        _line(JUMP_ANY_BIT, TMPFILE, 0, 1),
        _line(RETURN, ERROR | errno.EOPNOTSUPP),
        _line(JUMP_ANY_BIT, TRUNC, 1, 0),
        _line(RETURN, ALLOW),
        _line(AND, ACCESS_MODE),
        _line(JUMP_EQUAL, os.O_WRONLY, 2, 0),
        _line(JUMP_EQUAL, os.O_RDWR, 1, 0),
        _line(RETURN, ERROR | errno.EACCES),
        _line(RETURN, ALLOW),
    ]


def _without_effect_on_others() -> list[bytes]:
    lines = [_line(LOAD, LOW[1])]
    for command in NOT_TO_BE_SET:
        lines += [_line(JUMP_EQUAL, command, 0, 1), _line(RETURN, ERROR | errno.EPERM)]
    return [
        *lines,
        _line(JUMP_EQUAL, SET_FLAGS, 0, 3),
        _line(LOAD, LOW[2]),
        _line(JUMP_ANY_BIT, ASYNC, 0, 1),
        _line(RETURN, ERROR | errno.EPERM),
        _line(RETURN, ALLOW),
    ]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
