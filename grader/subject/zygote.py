"""The zygote: an interpreter with torch imported that forks one child per piece of work.

It runs no code under test itself and holds nothing of it or of the reference, so a child starts in
milliseconds and finds nothing to look at. It has one thread: a fork with more would hang the child.

The control socket carries work in (its length, its JSON, and the descriptors of two pipes: channel and output)
and lines of JSON out: `started` with a pid, `ended` with a wait status.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

from grader.subject.agreed import LENGTH


def main(control_descriptor: int, scratch: str) -> None:
    control = socket.socket(fileno=control_descriptor)
    import torch

    from grader.subject import child
    from grader.subject.job import Work

    torch.set_num_threads(1)
    waker_read, waker_write = os.pipe()
    os.set_blocking(waker_read, False)
    os.set_blocking(waker_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker_write, warn_on_full_buffer=False)
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    selector.register(waker_read, selectors.EVENT_READ)
    running: set[int] = set()
    while True:
        for key, _ in selector.select():
            if key.fileobj is control:
                received = _receive(control)
                if received is None:
                    _end(running, scratch)
                text, (channel, output) = received
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for descriptor in (control.fileno(), waker_read, waker_write):
                        os.close(descriptor)
                    selector.close()
                    _become_child(output)
                    child.serve(Work.from_json(text), channel)
                os.close(channel)
                os.close(output)
                running.add(pid)
                _tell(control, event="started", pid=pid)
            else:
                os.read(waker_read, 4096)
                _reap(control, running)


def _receive(control: socket.socket) -> tuple[str, list[int]] | None:
    """The next piece of work and its two descriptors, or None where the supervisor is gone."""
    with suppress(ConnectionResetError):  # it was killed before it had read all that we told it
        prefix, descriptors, _, _ = socket.recv_fds(control, LENGTH.size, 2)
        if len(prefix) < LENGTH.size:
            return None
        (size,) = LENGTH.unpack(prefix)
        body = bytearray()
        while len(body) < size:
            part = control.recv(size - len(body))
            if not part:
                return None
            body += part
        return body.decode(), descriptors
    return None


def _become_child(output: int) -> None:
    """Own session (so that the whole group can be killed), no input, output into the supervisor's pipe."""
    os.setsid()
    _die_with_parent()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(null)
    os.close(output)


def _die_with_parent() -> None:
    """Linux: be killed when the zygote dies, so that nothing of ours outlives the grader."""
    if sys.platform == "linux":
        import ctypes

        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _reap(control: socket.socket, running: set[int]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            running.discard(pid)
            _tell(control, event="ended", pid=pid, status=status)


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
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)  # the interpreter's own tidying up would take longer than the grading


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
