"""Forbidden built-ins: while a probe runs, calling what the learner is to write ends the check.

Each is recognised by what it is rather than by the name under which it was reached. Operations are seen where
torch dispatches them, in every thread, so an alias, a method, `torch.ops` and a module that wraps them all count.
What torch writes in Python, such as an optimizer, is given other code for as long as the probe runs, so every
alias of it and every subclass count. Packages are refused at import.
"""

from __future__ import annotations

import _thread
import inspect
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from importlib.abc import MetaPathFinder
from types import CodeType, FunctionType, ModuleType
from typing import Any, NoReturn

from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from grader.protocol.job import OUT_OF_SIGHT

# With these of `_thread` every thread of Python's starts. Which of them there are depends on its version.
STARTS_THREAD = ("start_new_thread", "start_new", "start_joinable_thread")


class ForbiddenCall(BaseException):
    """Not an `Exception`, so that a learner's own `except Exception` does not swallow it."""


@dataclass
class _Now:
    """Which operations are forbidden at the moment, in every thread, and the first call that was refused."""

    operations: frozenset[str] = frozenset()
    refused: ForbiddenCall | None = None


_now = _Now()


def refuse(name: str) -> NoReturn:
    """Raise `ForbiddenCall`, and keep it for the end of the block: it may be swallowed, or end a thread only."""
    error = ForbiddenCall(name)
    _now.refused = _now.refused or error
    raise error


def _refuse_forbidden(operation: Any) -> None:
    name = getattr(operation, "__name__", "")
    if _is_forbidden(name, _now.operations):
        refuse(plain_name(name))


@lru_cache(4096)
def _is_forbidden(name: str, forbidden: frozenset[str]) -> bool:
    return any(f"_{word}_" in f"_{plain_name(name)}_" for word in forbidden)


def plain_name(name: str) -> str:
    """`softmax` for that of F.softmax, of torch.special.softmax, and of torch.ops.aten._softmax.out.

    What works in place, `gelu_`, is `gelu` too.
    """
    return name.partition(".")[0].strip("_").removeprefix("special_")


class _Functions(TorchFunctionMode):
    """Sees what Python calls, under the name that it has there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        _refuse_forbidden(func)
        return func(*args, **(kwargs or {}))


class _Kernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what is computed in the end, also within a call that torch makes back into Python, as for a gradient."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and importing torch's compiler would take a second

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        _refuse_forbidden(func)
        return func(*args, **(kwargs or {}))


@contextmanager
def _seeing_operations() -> Iterator[None]:
    """Within the block, see the operations of this thread."""
    with _Functions(), _Kernels():  # type: ignore[no-untyped-call]
        yield


class _Packages(MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname.partition(".")[0] in self.names:
            refuse(fullname)


@contextmanager
def forbidding(operations: Sequence[str]) -> Iterator[None]:
    """Within the block, raise `ForbiddenCall` where one of these is called, and at its end if that was swallowed.

    `softmax` stands for every operation with that word in its name, such as log_softmax and _safe_softmax.
    What torch writes in Python counts too: its functions and classes of exactly these names.
    """
    before, _now.operations = _now.operations, frozenset(name.strip("_") for name in operations)
    _now.refused = None
    try:
        with ExitStack() as watch:
            if operations:
                written_in_python = [(function, name) for name in operations for function in python_functions(name)]
                watch.enter_context(_code_exchanged(written_in_python))
                watch.enter_context(kept_in_sight())
                watch.enter_context(_seeing_operations())
            yield
    finally:
        _now.operations = before
        if _now.refused:
            raise _now.refused


@contextmanager
def kept_in_sight() -> Iterator[None]:
    """Within the block, nothing can be made that would run out of sight of the watch, now or later.

    Code cannot be compiled; threads that start are watched for as long as they live.
    """
    _see_new_threads()
    with _code_exchanged([(_function(name), name) for name in OUT_OF_SIGHT]):
        yield


@contextmanager
def packages_refused(packages: Sequence[str]) -> Iterator[None]:
    """Within the block, raise `ForbiddenCall` where one of these is imported."""
    finder = _Packages(frozenset(packages))
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in finder.names}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.modules.update(hidden)


@cache
def _see_new_threads() -> None:
    """See the operations of every thread that starts from now on. Torch itself watches one thread only."""
    starts = [getattr(_thread, name) for name in STARTS_THREAD if hasattr(_thread, name)]
    for module in (_thread, threading):
        for alias, value in list(vars(module).items()):
            if any(value is start for start in starts):
                setattr(module, alias, partial(_start_in_sight, value))


def _start_in_sight(start: Callable[..., Any], function: Callable[..., Any], *rest: Any, **options: Any) -> Any:
    return start(partial(_in_sight, function), *rest, **options)


def _in_sight(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with _seeing_operations():
        return function(*arguments, **named)


@contextmanager
def _code_exchanged(functions: Sequence[tuple[FunctionType, str]]) -> Iterator[None]:
    """Within the block, each of these functions only raises `ForbiddenCall` with its name."""
    original = [(function, function.__code__) for function, _ in functions]
    try:
        for function, name in functions:
            function.__code__ = _refusal(name, len(function.__code__.co_freevars))
        yield
    finally:
        for function, code in reversed(original):
            function.__code__ = code


@cache
def python_functions(name: str) -> list[FunctionType]:
    """What torch.nn and torch.optim define in Python under this name: a function, or the methods of a class.

    A decorated function is followed to the innermost one, which every wrapper and every alias ends in.
    """
    found: dict[int, FunctionType] = {}
    for module_name, module in list(sys.modules.items()):
        if not module_name.startswith(("torch.nn.", "torch.optim")):
            continue
        value = vars(module).get(name)
        members = vars(value).values() if isinstance(value, type) else [value]
        for member in members:
            function = inspect.unwrap(member) if callable(member) else None
            if isinstance(function, FunctionType) and function.__module__.partition(".")[0] == "torch":
                found[id(function)] = function
    return list(found.values())


@cache
def _function(name: str) -> FunctionType:
    """The innermost function of this full name, which every wrapper and every alias ends in."""
    innermost = inspect.unwrap(pkgutil.resolve_name(name))
    assert isinstance(innermost, FunctionType)
    return innermost


def _refusal(name: str, cells: int) -> CodeType:
    """The code of a function that only refuses, for one with this number of closure cells."""
    names = [f"cell_{number}" for number in range(cells)]
    text = (
        f"def outer({', '.join(names)}):\n"
        "    def refusing(*args, **kwargs):\n"
        f"        from {__name__} import refuse\n"
        f"        refuse({name!r})\n"
        f"        {'; '.join(names) or 'pass'}\n"
        "    return refusing\n"
    )
    scope: dict[str, Any] = {}
    exec(text, scope)
    code: CodeType = scope["outer"](*names).__code__
    return code
