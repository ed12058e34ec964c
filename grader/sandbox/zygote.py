"""The zygote: an interpreter with torch imported that forks one child per piece of work.

It runs no code under test itself and holds nothing of it or of the reference, so a child finds nothing to look at.
Not even the work passes through its memory: a child reads that from a pipe of its own. It has one thread: a fork
with more would hang the child.

Some children are always forked ahead, and wait for their pipes. While nothing else is asked for, they do once what
every job does (grader/sandbox/warm_up.py), so that work begins at once.

The control socket carries in a byte and the descriptors of three pipes (work, channel, output) for each child,
and out lines of JSON: `started` with a pid, `ended` with a wait status.
"""

from __future__ import annotations

import gc
import json
import os
import select
import selectors
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from grader.protocol.job import START
from grader.protocol.scratch import Identity, remember, remember_folders_in, remove_remembered
from grader.sandbox import linux

LOOK_SECONDS = 0.1
# What is wrong needs a second process, to find out whose fault it is.
AHEAD = 2
# After so long without work nobody waits for the processor that warming up takes.
REST_SECONDS = 0.5


@dataclass(frozen=True)
class _Ahead:
    """A child that has no work yet, and the socket on which it gets the pipes of it."""

    pid: int
    pipes: socket.socket


def main(control_descriptor: int, scratch: str, identity: Identity) -> None:
    remember(scratch, identity)
    gc.disable()  # what is imported stays: looking through it again and again takes a tenth of the import
    control = socket.socket(fileno=control_descriptor)
    with _not_left_alone(control, scratch):
        import torch

        from grader.protocol.job import Work
        from grader.sandbox import child
        from grader.sandbox.warm_up import warm_up

        torch.set_num_threads(1)
    gc.freeze()  # or else each child copies what is imported here when it first looks for garbage
    gc.enable()
    if sys.platform == "linux":
        linux.adopt_orphans()
    waker_read, waker_write = os.pipe()
    os.set_blocking(waker_read, False)
    os.set_blocking(waker_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker_write, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(waker_read, selectors.EVENT_READ)
    running: set[int] = set()

    def fork_ahead() -> _Ahead:
        """A child that waits for its pipes."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid:
            theirs.close()
            return _Ahead(pid, ours)
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (ours.fileno(), control.fileno(), waker_read, waker_write):
                os.close(descriptor)
            for other in ahead:
                other.pipes.close()
            selector.close()
            _stand_alone()
            if not select.select([theirs], [], [], REST_SECONDS)[0]:
                warm_up(Path(scratch))
            descriptors = _receive(theirs)
            if descriptors:
                theirs.close()
                work, channel, output = descriptors
                child.print_to(output)
                os.close(output)
                stream = os.fdopen(work, "rb")
                child.serve(Work.from_json(stream.readline().decode()), stream, channel)
        finally:
            os._exit(1)  # whatever happened, it is no zygote

    def hand_over(descriptors: list[int]) -> int:
        """Give work to the child that has waited longest; its pid."""
        while True:
            first = ahead.popleft() if ahead else fork_ahead()
            with first.pipes, suppress(OSError):  # somebody may have ended it
                socket.send_fds(first.pipes, [START], descriptors)
                return first.pid
            os.waitpid(first.pid, 0)

    ahead: deque[_Ahead] = deque()
    while True:
        while len(ahead) < AHEAD:
            ahead.append(fork_ahead())
        for key, _ in selector.select():
            if key.fileobj is control:
                descriptors = _receive(control)
                if descriptors is None:
                    _end({*running, *(waiting.pid for waiting in ahead)}, scratch)
                remember_folders_in(scratch)
                pid = hand_over(descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                running.add(pid)
                _tell(control, event="started", pid=pid)
            else:
                os.read(waker_read, 4096)
                _reap(control, running, {waiting.pid for waiting in ahead})


@contextmanager
def _not_left_alone(control: socket.socket, scratch: str) -> Iterator[None]:
    """While torch is imported, which takes seconds, look whether the supervisor is still there.

    Afterwards this process has one thread again.
    """
    imported = threading.Event()

    def look() -> None:
        while not imported.wait(LOOK_SECONDS):
            with suppress(BlockingIOError):
                if not control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                    _end(set(), scratch)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        imported.set()
        looking.join()


def _receive(control: socket.socket) -> list[int] | None:
    """The descriptors for the next child, or None where the supervisor is gone or no more can be opened."""
    with suppress(ConnectionResetError):  # it was killed before it had read all that we told it
        start, descriptors, _, _ = socket.recv_fds(control, len(START), 3)
        if start == START and len(descriptors) == 3:
            return descriptors
    return None


def _stand_alone() -> None:
    """Own session (so that the whole group can be killed), and no input."""
    os.setsid()
    if sys.platform == "linux":
        linux.die_with_parent()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _reap(control: socket.socket, running: set[int], ahead: set[int]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            running.discard(pid)
            _end_orphans(running | ahead)
            _tell(control, event="ended", pid=pid, status=status)


def _end_orphans(running: set[int]) -> None:
    """End every child that we did not start, until no more come."""
    while orphans := [pid for pid in _children() if pid not in running]:
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)


def _children() -> list[int]:
    """All processes whose parent is this one; none where the kernel keeps no such list."""
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


def _tell(control: socket.socket, **event: object) -> None:
    # Where the supervisor is gone, the control socket says so next.
    with suppress(BrokenPipeError, ConnectionResetError):
        control.sendall(json.dumps(event).encode() + b"\n")


def _end(running: set[int], scratch: str) -> NoReturn:
    """The supervisor closed or was killed: leave no process and no file behind."""
    for pid in running:
        with suppress(ProcessLookupError):  # so young that it has no group of its own yet
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    _end_orphans(set())
    remember_folders_in(scratch)  # of a run that had not begun
    remove_remembered(scratch)
    os._exit(0)  # the interpreter's own tidying up would take longer than the grading


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], (int(sys.argv[3]), int(sys.argv[4])))
