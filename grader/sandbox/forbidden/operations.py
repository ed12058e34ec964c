"""Sees operations, in every thread, by whatever alias they are reached.

What is forbidden has gates in torch's dispatcher. All others are seen only where it matters what came of which:
while a file is imported, and later where something forbidden is left of that.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from grader.protocol.job import UNKNOWN
from grader.sandbox.forbidden.dispatcher import in_force
from grader.sandbox.forbidden.origins import is_anything_left, seen
from grader.sandbox.forbidden.private import unknown_private
from grader.sandbox.forbidden.state import is_torch, now, refuse

CALLS_OPERATION = torch._ops.__file__
# The private operations that a later torch has added. What they compute is told by no name.
UNKNOWN_PRIVATE = unknown_private()
# With these of `_thread` every thread of Python's starts. Which of them there are depends on its version.
STARTS_THREAD = ("start_new_thread", "start_new", "start_joinable_thread")
# With these of the C libraries a thread starts past Python's module for it, or they can be found past `ctypes`.
STARTS_NATIVE_THREAD = frozenset({
    "pthread_create", "thrd_create", "clone", "clone3", "timer_create", "PyThread_start_new_thread",
    "PyThread_start_joinable_thread", "GOMP_parallel", "GOMP_task", "__kmpc_fork_call", "dispatch_async_f",
    "CreateThread", "CreateRemoteThread", "_beginthread", "_beginthreadex", "QueueUserWorkItem", "dlsym",
    "GetProcAddress",
})  # fmt: skip


class _Names(TorchFunctionMode):
    """Refuses a private operation that nobody has looked at, if code outside torch calls it by its name."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = getattr(func, "__name__", "").partition(".")[0]
        if now.forbidden and packet in UNKNOWN_PRIVATE and not _is_called_by_torch(sys._getframe(1)):
            refuse(f"{UNKNOWN}aten.{packet}")
        return func(*args, **(kwargs or {}))


def _is_called_by_torch(caller: FrameType | None) -> bool:
    while caller and caller.f_code.co_filename == CALLS_OPERATION:
        caller = caller.f_back
    return is_torch(caller)


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what is computed in the end, also within a call that torch makes back into Python, as for a gradient."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and importing torch's compiler would take a second

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return seen(func.__name__, func, args, kwargs or {})


@contextmanager
def seeing_operations() -> Iterator[None]:
    """Within the block, see the operations of this thread: all of them where it matters what came of which."""
    with ExitStack() as stack:
        stack.enter_context(in_force())
        if UNKNOWN_PRIVATE:
            stack.enter_context(_Names())
        if now.followed or is_anything_left():
            stack.enter_context(_Kernels())  # type: ignore[no-untyped-call]
        yield


@cache
def see_new_threads() -> None:
    """See the operations of every thread that starts from now on. Torch itself watches one thread only."""
    starts = [getattr(_thread, name) for name in STARTS_THREAD if hasattr(_thread, name)]
    for module in (_thread, threading):
        for alias, value in list(vars(module).items()):
            if any(value is start for start in starts):
                setattr(module, alias, partial(_start_in_sight, value))
    sys.addaudithook(_refuse_native_thread)


def _refuse_native_thread(event: str, arguments: tuple[Any, ...]) -> None:
    """No thread starts past Python's module for it: such a one could not be seen."""
    if event == "ctypes.dlsym" and now.out_of_sight and arguments[1] in STARTS_NATIVE_THREAD:
        refuse(f"ctypes.{arguments[1]}")


def _start_in_sight(start: Callable[..., Any], function: Callable[..., Any], *rest: Any, **options: Any) -> Any:
    return start(partial(_in_sight, function), *rest, **options)


def _in_sight(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with seeing_operations():
        return function(*arguments, **named)
