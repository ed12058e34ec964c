"""Sees operations where torch dispatches them, in every thread, by whatever alias they are reached.

Refuses what is forbidden now. While a file is imported nothing is refused, as its author may well compare with the
ready-made thing there: but tensors that came of it are remembered, and a check that uses one of them is refused.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from types import FunctionType
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from grader.protocol.job import UNKNOWN
from grader.sandbox.forbidden.families import is_forbidden, plain_name
from grader.sandbox.forbidden.private import KNOWN_PRIVATE
from grader.sandbox.forbidden.state import now, refuse

CALLS_OPERATION = torch._ops.__file__
TORCH = CALLS_OPERATION.removesuffix("_ops.py")
# Where torch's own operations are registered. What is added later nobody has looked at, and it may be written in
# Python that runs below the watch.
NAMESPACES = frozenset(name.partition("::")[0] for name in torch._C._dispatch_get_all_op_names())
# With these of `_thread` every thread of Python's starts. Which of them there are depends on its version.
STARTS_THREAD = ("start_new_thread", "start_new", "start_joinable_thread")
# With these of the C libraries a thread starts past Python's module for it, or they can be found past `ctypes`.
STARTS_NATIVE_THREAD = frozenset({
    "pthread_create", "thrd_create", "clone", "clone3", "timer_create", "PyThread_start_new_thread",
    "PyThread_start_joinable_thread", "GOMP_parallel", "GOMP_task", "__kmpc_fork_call", "dispatch_async_f",
    "CreateThread", "CreateRemoteThread", "_beginthread", "_beginthreadex", "QueueUserWorkItem", "dlsym",
    "GetProcAddress",
})  # fmt: skip


# So many tensors are remembered before those that are gone are forgotten.
MANY = 10_000


class _Functions(TorchFunctionMode):
    """Sees what Python calls, under the name that it has there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if now.forbidden and name.startswith("_") and not name.startswith("__"):
            _refuse_unknown(func, name, sys._getframe(1))
        return seen(name, func, args, kwargs or {})


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what is computed in the end, also within a call that torch makes back into Python, as for a gradient."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and importing torch's compiler would take a second

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if now.forbidden:
            if func.namespace not in NAMESPACES:
                refuse(f"{UNKNOWN}{func.namespace}.{plain_name(func.__name__)}")
            if torch._C._is_torch_function_all_disabled():
                refuse("torch._C.DisableTorchFunction")
        return seen(func.__name__, func, args, kwargs or {})


@contextmanager
def seeing_operations() -> Iterator[None]:
    """Within the block, see the operations of this thread."""
    with _Functions(), _Kernels():  # type: ignore[no-untyped-call]
        yield


@contextmanager
def seeing_redispatch() -> Iterator[None]:
    """Within the block, see operations that are called below the place where torch would tell of them."""
    handle: Any = getattr(torch._C, "_DispatchOperatorHandle", None)
    if handle is None:  # an older torch has no such way
        yield
        return
    original = handle.redispatch_boxed

    def redispatch_boxed(operation: Any, *args: Any, **kwargs: Any) -> Any:
        return seen(operation.schema().name.rpartition("::")[2], original, (operation, *args), kwargs)

    handle.redispatch_boxed = redispatch_boxed
    try:
        yield
    finally:
        handle.redispatch_boxed = original


def seen(name: str, operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an operation of this name returns, unless it is forbidden now or uses what one made at import."""
    if now.followed:
        result = operation(*args, **kwargs)
        _remember(name, (*args, *kwargs.values()), result)
        return result
    if is_forbidden(name, now.forbidden):
        refuse(plain_name(name))
    if _made_at_import:
        for made_by in _origins((*args, *kwargs.values())):
            if is_forbidden(made_by, now.forbidden):
                refuse(plain_name(made_by))
    return operation(*args, **kwargs)


# The names of the forbidden operations that each tensor came of, by its memory; kept for as long as that is.
_made_at_import: dict[int, tuple[StorageWeakRef, frozenset[str]]] = {}


def _remember(name: str, arguments: Iterable[Any], result: Any) -> None:
    """Note of which forbidden operations a result came: of this one, and of those its arguments came of."""
    origins = _origins(arguments) if _made_at_import else frozenset()
    if is_forbidden(name, now.followed):
        origins |= {name}
    if origins:
        if len(_made_at_import) > MANY:
            gone = [key for key, made in _made_at_import.items() if made[0].expired()]  # type: ignore[no-untyped-call]
            for key in gone:
                del _made_at_import[key]
        for storage in _storages([result]):
            _, before = _made_at_import.get(storage._cdata, (None, frozenset()))
            reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
            _made_at_import[storage._cdata] = (reference, before | origins)


def _origins(arguments: Iterable[Any]) -> frozenset[str]:
    found = (_made_at_import.get(storage._cdata) for storage in _storages(arguments))
    return frozenset().union(*(origins[1] for origins in found if origins))


def _storages(values: Iterable[Any]) -> Iterator[Any]:
    """The memory of all tensors among these values, and within lists and tuples of them."""
    for value in values:
        if isinstance(value, torch.Tensor):
            try:
                yield value.untyped_storage()
            except (NotImplementedError, RuntimeError):  # a sparse tensor, or one that stands for many, has none
                continue
        elif isinstance(value, list | tuple):
            yield from _storages(value)


def forget() -> None:
    """Forget what was made while a file was imported."""
    _made_at_import.clear()


def _refuse_unknown(operation: Any, name: str, caller: Any) -> None:
    """Refuse a private operation that is not known, if code outside torch calls it by its name."""
    if plain_name(name) in KNOWN_PRIVATE or isinstance(operation, FunctionType):
        return
    while caller and caller.f_code.co_filename == CALLS_OPERATION:
        caller = caller.f_back
    inside = caller and caller.f_code.co_filename.startswith((TORCH, __file__))
    packet = name.partition(".")[0]
    if not inside and torch._C._jit_get_schemas_for_operator(f"aten::{packet}"):
        refuse(f"{UNKNOWN}aten.{packet}")


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
