"""The probes of the trials. Each observes the names of the acts that were possible: none where each was refused.

The acts go past Python to the system itself. Never imported: protections.py puts the constants that stand for this
machine in front, and has it run as probes are.
"""

import ctypes
import errno
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

Observe = Callable[[str, list[str]], None]

OTHER_FILE: str
THROWAWAY_FILE: str
REFERENCE: str
SUPERVISOR: int
MEMORY: int
FILES: int
SECONDS: float

library = ctypes.CDLL(None if os.name != "nt" else "msvcrt", use_errno=True)
opening = library.open if os.name != "nt" else library._open
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP)
# Linux: linux/fcntl.h, asm-generic/ioctls.h, linux/prctl.h.
F_SETFL, F_SETOWN, F_SETSIG, F_SETLEASE, F_NOTIFY, FIOSETOWN = 4, 8, 10, 1024, 1026, 0x8901
F_UNLCK, O_ASYNC, O_TMPFILE = 2, 0o20000, 0o20200000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4


def opened(path: str, flags: int) -> bool:
    descriptor: int = opening(os.fsencode(path), flags)
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0


def let_through(call: str, *arguments: object) -> bool:
    """Did the system go as far as to do it, or to find that it makes no sense?"""
    ctypes.set_errno(0)
    return getattr(library, call)(*arguments) >= 0 or ctypes.get_errno() not in REFUSED


def test_files(observe: Observe) -> None:
    possible = []
    if opened(OTHER_FILE, os.O_RDONLY):
        possible.append("reading a file of this repository")
    if opened(OTHER_FILE, os.O_WRONLY):
        possible.append("writing to one")
    if os.name != "nt" and library.truncate(os.fsencode(THROWAWAY_FILE), ctypes.c_long(0)) == 0:
        possible.append("emptying one")
    observe("possible", possible)


def test_reference(observe: Observe) -> None:
    possible = ["reading the solution from disk"] if opened(REFERENCE, os.O_RDONLY) else []
    for process in (os.getppid(), SUPERVISOR):
        if opened(f"/proc/{process}/mem", os.O_RDONLY):
            possible.append("reading the memory of the process that started it")
    observe("possible", possible)


def test_network(observe: Observe) -> None:
    possible = []
    if os.name == "nt":
        socket.socket().close()
        possible.append("opening a socket")
    else:
        descriptor = library.socket(2, 1, 0)
        if descriptor >= 0:
            os.close(descriptor)
            possible.append("opening a socket")
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = b"\x01\x00no-such-socket\x00"
        if let_through("connect", one.fileno(), address, len(address)):
            possible.append("connecting a pair of sockets elsewhere")
        if let_through("sendto", other.fileno(), b"", ctypes.c_size_t(0), 0, address, len(address)):
            possible.append("sending from a pair of sockets to elsewhere")
    observe("possible", possible)


def test_processes(observe: Observe) -> None:
    possible = []
    if os.name == "nt":
        possible.append("starting a process")
    else:
        child = library.fork()
        if child == 0:
            os._exit(0)
        if child > 0:
            os.waitpid(child, 0)
            possible.append("starting a process")
        if library.kill(os.getppid(), 0) == 0:
            possible.append("sending a signal to the process that started it")
        if sys.platform == "linux":
            possible += unusual_acts()
    observe("possible", possible)


def unusual_acts() -> list[str]:
    """What Linux lets a process do to others, or keep from them, by calls that also do harmless things."""
    possible = []
    one, _ = socket.socketpair()
    above = ctypes.c_int(os.getppid())
    having_signals_sent = (
        let_through("fcntl", one.fileno(), F_SETOWN, above),
        let_through("fcntl", one.fileno(), F_SETSIG, 0),
        let_through("fcntl", one.fileno(), F_SETFL, os.O_RDWR | O_ASYNC),
        let_through("ioctl", one.fileno(), ctypes.c_ulong(FIOSETOWN), ctypes.byref(above)),
    )
    one.close()
    if any(having_signals_sent):
        possible.append("having the system send one")
    with Path("trial").open("wb") as file, Path(os.devnull).open("rb") as null:
        if let_through("fcntl", file.fileno(), F_SETLEASE, F_UNLCK):
            possible.append("making others wait who open a file")
        if let_through("fcntl", null.fileno(), F_NOTIFY, 0):
            possible.append("watching the files of others")
        if let_through("fallocate", file.fileno(), 0, ctypes.c_long(0), ctypes.c_long(4096)):
            possible.append("taking disk without writing")
    if opened(".", O_TMPFILE | os.O_RDWR):
        possible.append("making files without a name")
    # What is possible is undone at once: this process is to be killed as any other.
    if library.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0:
        library.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        possible.append("hiding what it writes from the grader")
    if library.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0:
        library.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
        possible.append("living on when the grader is killed")
    return possible


def test_python(subject: ModuleType, observe: Observe) -> None:
    possible = []
    for act in (subject.read, subject.listen, subject.start):
        with suppress(OSError):
            act(REFERENCE)
            possible.append(act.__name__)
    observe("possible", possible)


def test_memory(observe: Observe) -> None:
    try:
        bytearray(2 * MEMORY)
        observe("possible", [f"allocating {2 * MEMORY // 2**30} GB"])
    except MemoryError:
        observe("possible", [])


def test_poll(observe: Observe) -> None:  # last, because it is to be ended
    for number in range(2 * FILES):
        Path(f"file{number}").open("w").close()
    time.sleep(SECONDS)
    observe("possible", [f"making {2 * FILES} files"])
