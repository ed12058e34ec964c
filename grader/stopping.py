"""Ctrl-C, SIGTERM and SIGHUP: a command that is stopped tidies up, once, and says what it knows by then."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Windows has only the first.
NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_received: list[int] = []


def answer_signals() -> None:
    """From now on each of them raises `KeyboardInterrupt` in the main thread: the first one; no other is answered.

    Those that whoever started this process has switched off stay so, as `nohup` does.
    """
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def ignore_signals() -> None:
    """From now on, to the very end of the process, none of them is answered: what is left to do is quickly done.

    Not at once by SIG_IGN: Python complains where it finds that for a signal that has already come. Nor without it:
    when the interpreter ends, it puts the system's own answer in the place of a function's, and that is to die.
    """
    for number in NUMBERS:
        signal.signal(number, _pass)
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block none of them is answered. One that came meanwhile is lost."""
    before = {number: signal.signal(number, _pass) for number in NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def answered() -> Iterator[None]:
    """Whatever goes wrong within the block after one of them came is raised as that `KeyboardInterrupt`.

    It breaks in anywhere, also in Python's own code, between a lock that is given up and the same lock taken back;
    what is raised then is a RuntimeError about the lock.
    """
    try:
        yield
    except Exception as error:
        if _received:
            raise KeyboardInterrupt from error
        raise


def exit_code() -> int:
    """What shells make of the signal that came."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def _pass(number: int, frame: FrameType | None) -> None:
    """Answer with nothing."""


def _stop(number: int, frame: FrameType | None) -> None:
    for other in NUMBERS:
        signal.signal(other, _pass)
    _received.append(number)
    raise KeyboardInterrupt
