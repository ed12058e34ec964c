"""The probes of the trials. Each observes the names of the acts that were possible: none where each was refused.

The acts go past Python to the system itself. Never imported: protections.py puts the constants that stand for this
machine in front, and has it run as probes are.
"""

import ctypes
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

Observe = Callable[[str, list[str]], None]

OTHER_FILE: str
REFERENCE: str
SUPERVISOR: int
MEMORY: int
FILES: int
SECONDS: float

library = ctypes.CDLL(None if os.name != "nt" else "msvcrt", use_errno=True)
opening = library.open if os.name != "nt" else library._open


def opened(path: str, flags: int) -> bool:
    descriptor: int = opening(os.fsencode(path), flags)
    if descriptor >= 0:
        os.close(descriptor)
    return descriptor >= 0


def test_files(observe: Observe) -> None:
    possible = []
    if opened(OTHER_FILE, os.O_RDONLY):
        possible.append("reading a file of this repository")
    if opened(OTHER_FILE, os.O_WRONLY):
        possible.append("writing to one")
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
    observe("possible", possible)


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
