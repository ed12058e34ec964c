"""Refuse, from within Python, what code under test may not do, and note that it was tried.

This is the layer that works on every system and that can say what happened: which act, on what, on which line.
It is no wall: code that means to get round it can. The walls are landlock and seccomp, where there are any.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import glob
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from os import lstat  # bound here: code under test may put something else into `os`
from pathlib import Path
from types import FrameType
from typing import Any

from grader.protocol.runs import MAX_ACT, MAX_REFUSED

# What the line number takes of its length, at most.
LINE_LENGTH = 40
# In the repository, what nobody may read who is being graded. The rest of it is open to them anyway.
HIDDEN = ("solutions", "tutor", ".git", ".grader")
# Between the code and the system call, where a change of the process is asked for.
STANDARD = frozenset(
    function.__code__.co_filename
    for function in (os.fsencode, MutableMapping.setdefault, contextlib.contextmanager)
)
# The same, where a file is asked for.
OPENS = STANDARD | {
    function.__code__.co_filename
    for function in (
        *(Path.open, Path.read_bytes, Path.read_text, Path.resolve, Path.iterdir),
        *(shutil.copyfile, glob.glob, codecs.open),
    )
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
WRITES = ("os.truncate", "sqlite3.connect")
# Where seccomp is in force these succeed and do nothing, on what does not exist too: the guard looks for it.
CHANGES_IN_FOLDER = ("os.chmod", "os.chown", "os.utime")  # may be relative to an open folder, their last argument
CHANGES = (*CHANGES_IN_FOLDER, "os.setxattr", "os.removexattr")
REMOVES = ("os.remove", "os.rmdir", "shutil.rmtree")
NO_FOLDER = -1
# A family of sockets: those within this machine.
LOCAL = 1
LISTS = ("os.listdir", "os.scandir")
STARTS_PROCESS = (
    "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile",
    "subprocess.Popen", "_winapi.CreateProcess",
)  # fmt: skip
# What libraries start for themselves and can do without, matplotlib and `platform`: refused too, but not reported.
STARTED_BY_LIBRARIES = ("fc-list", "uname")
USES_NETWORK = (
    "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr",
    "socket.sendto", "socket.sendmsg",
)  # fmt: skip


class Guard:
    """The refusals of one process. `noted` is what was tried since it was last emptied.

    Once installed it stays until the process ends: an audit hook cannot be removed.
    """

    def __init__(self, root: Path, scratch: Path) -> None:
        self.noted: list[str] = []
        self._readable: tuple[str, ...] = ()
        self._hidden = tuple(os.path.realpath(root / name) for name in HIDDEN)
        self._scratch = os.path.realpath(scratch)
        self._files = frozenset[str]()
        self._exercises = frozenset[str]()

    def watch_over(self, files: frozenset[str], exercises: frozenset[str]) -> None:
        """`files` are those of the code under test, and `exercises` those of them that are graded."""
        self._files = files
        self._exercises = exercises

    def expect_only(self, readable: Iterable[Path]) -> None:
        """The system lets this process read nothing else. What the code asks for all the same is reported."""
        self._readable = tuple(os.path.realpath(path) for path in readable)

    def install(self) -> None:
        handlers: dict[str, Callable[[str, tuple[Any, ...]], None]] = {"open": self._open}
        handlers |= dict.fromkeys(WRITES, self._write_first)
        handlers |= dict.fromkeys(CHANGES, self._change)
        handlers |= dict.fromkeys(REMOVES, self._remove)
        handlers |= {"os.rename": self._rename, "os.link": self._link, "os.symlink": self._symlink}
        handlers |= {"os.mkdir": self._make_folder}
        handlers |= dict.fromkeys(LISTS, self._list)
        handlers |= dict.fromkeys(STARTS_PROCESS, self._start_process)
        handlers |= dict.fromkeys(USES_NETWORK, self._use_network)
        handlers |= dict.fromkeys(("os.chdir", "os.putenv", "os.unsetenv"), self._note_change)
        if os.name != "nt":  # where a pair of sockets for oneself is made of the network's
            handlers |= {"socket.__new__": self._make_socket}
        handlers |= {"os.kill": self._kill, "os.killpg": self._kill, "resource.prlimit": self._limit_other}

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            handler = handlers.get(event)
            if handler is not None:
                handler(event, arguments)

        sys.addaudithook(hook)

    def _open(self, event: str, arguments: tuple[Any, ...]) -> None:
        path, mode, flags = arguments
        writes = flags & WRITING if isinstance(flags, int) else any(letter in (mode or "") for letter in "wax+")
        if writes:
            self._write(path)
        else:
            self._read(path)

    def _list(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._read("." if arguments[0] is None else arguments[0])

    def _write_first(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._write(arguments[0])

    def _change(self, event: str, arguments: tuple[Any, ...]) -> None:
        path, folder = arguments[0], arguments[-1] if event in CHANGES_IN_FOLDER else NO_FOLDER
        self._refuse_outside(_resolved(path, folder))
        if not isinstance(path, int):
            lstat(path, dir_fd=None if folder == NO_FOLDER else folder)  # raises what the call itself would raise

    def _make_folder(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._refuse_outside(_resolved_name(arguments[0], arguments[-1]))

    def _remove(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._replace(arguments[0], NO_FOLDER if arguments[1] is None else arguments[1])

    def _rename(self, event: str, arguments: tuple[Any, ...]) -> None:
        source, target, source_folder, target_folder = arguments
        self._replace(source, source_folder)
        self._replace(target, target_folder)

    def _symlink(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._refuse_outside(_resolved_name(arguments[1], arguments[-1]))

    def _link(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._read(arguments[0])  # by its other name nobody would know it
        self._refuse_outside(_resolved_name(arguments[1], arguments[-1]))

    def _replace(self, path: Any, folder: int) -> None:
        where = _resolved_name(path, folder)
        if where == self._scratch:
            self._refuse("remove or replace its own working folder")
        self._refuse_outside(where)

    def _start_process(self, event: str, arguments: tuple[Any, ...]) -> None:
        for_a_library = event == "subprocess.Popen" and arguments[0] in STARTED_BY_LIBRARIES
        self._refuse("start another process", BlockingIOError, errno.EAGAIN, report=not for_a_library)

    def _make_socket(self, event: str, arguments: tuple[Any, ...]) -> None:
        if arguments[1] != LOCAL:  # a pair of those is harmless, and a single one is of no use
            self._use_network(event, arguments)

    def _use_network(self, event: str, arguments: tuple[Any, ...]) -> None:
        self._refuse("use the network")

    def _kill(self, event: str, arguments: tuple[Any, ...]) -> None:
        if arguments[0] != os.getpid():
            self._refuse("send a signal to another process")

    def _limit_other(self, event: str, arguments: tuple[Any, ...]) -> None:
        if arguments[0] not in (0, os.getpid()):
            self._refuse("change the limits of another process")

    def _note_change(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Not refused: it concerns this process alone, and is put back after the check."""
        what = "the working folder" if event == "os.chdir" else "environment variables"
        caller = self._own_caller(STANDARD)
        if caller:
            self._note(f"change {what}", caller.f_lineno)

    def _write(self, path: Any) -> None:
        self._refuse_outside(_resolved(path))

    def _refuse_outside(self, where: str | None) -> None:
        if where and where != os.devnull and not _beneath(where, self._scratch):
            self._refuse(f"write or change {where}")

    def _read(self, path: Any) -> None:
        where = _resolved(path)
        # Python itself reads source files, for instance to show a traceback: that is none of the code's doing.
        if where and any(_beneath(where, folder) for folder in self._hidden) and self._line():
            self._refuse(f"read {where}")
        if where and self._readable and not any(_beneath(where, folder) for folder in self._readable):
            caller = self._own_caller(OPENS)
            if caller:
                self._note(f"read {where}", caller.f_lineno)  # the system refuses it

    def _refuse(
        self, act: str, error: type[OSError] = PermissionError, number: int = errno.EACCES, report: bool = True
    ) -> None:
        line = self._line()
        if line and report:
            self._note(act, line)
        raise error(number, f"your code may not {act} while it is graded")

    def _note(self, act: str, line: int) -> None:
        note = f"{act[: MAX_ACT - LINE_LENGTH]} (line {line})"
        if note not in self.noted and len(self.noted) < MAX_REFUSED:
            self.noted.append(note)

    def _own_caller(self, between: frozenset[str]) -> FrameType | None:
        """The line of the code that asks for something itself, with no more than these files between.

        What torch or Python do for themselves, on behalf of the code, is not that code's doing.
        """
        caller = next((frame for frame in _frames() if frame.f_code.co_filename not in between), None)
        return caller if caller and caller.f_code.co_filename in self._files else None

    def _line(self) -> int | None:
        """The innermost line of the code under test that is running now, if any is: of the exercise that is graded,
        rather than of one that it calls."""
        lines = [(frame.f_code.co_filename, frame.f_lineno) for frame in _frames()]
        running = [line for line in lines if line[0] in self._files]
        own = [line for line in running if line[0] in self._exercises]
        return next(iter(own or running), ("", None))[1]


def _frames() -> Iterator[FrameType]:
    """What is running now, the innermost first, without this module's own frames."""
    frame: FrameType | None = sys._getframe(1)
    while frame:
        if frame.f_code.co_filename != __file__:
            yield frame
        frame = frame.f_back


def _resolved(path: Any, folder: int = NO_FOLDER) -> str | None:
    """The real path, or None for what is no path, such as an open descriptor.

    It is relative to the open `folder`, where there is one and the system tells its name.
    """
    if isinstance(path, int):
        return None
    try:
        text = os.fsdecode(path)
        if folder != NO_FOLDER:
            text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
        return os.path.realpath(text)
    except (TypeError, ValueError, OSError):
        return None


def _resolved_name(path: Any, folder: int = NO_FOLDER) -> str | None:
    """The same for a call on the name itself, which does not follow a link of that name."""
    try:
        above, name = os.path.split(os.fsdecode(path).rstrip(os.sep))
    except (TypeError, ValueError):
        return None
    if name in ("", os.curdir, os.pardir):
        return _resolved(path, folder)
    where = _resolved(above, folder)
    return None if where is None else os.path.join(where, name)


def _beneath(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)
