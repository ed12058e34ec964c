"""Forbidden built-ins: while a probe runs, calling what the learner is to write ends the check.

Each is recognised by what it is rather than by the name under which it was reached. Operations are seen where
torch dispatches them, so an alias, a method, `torch.ops` and a module that wraps them all count. What torch
writes in Python, such as an optimizer, is given other code for as long as the probe runs, so every alias of it
and every subclass count. Packages are refused at import.
"""

from __future__ import annotations

import inspect
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from importlib.abc import MetaPathFinder
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch.overrides import TorchFunctionMode

from grader.subject.agreed import OUT_OF_SIGHT


class ForbiddenCall(BaseException):
    """Not an `Exception`, so that a learner's own `except Exception` does not swallow it."""


class _Operations(TorchFunctionMode):
    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self.names = names

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operation_name(func)
        if name in self.names:
            raise ForbiddenCall(name)
        return func(*args, **(kwargs or {}))


class _Packages(MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname.partition(".")[0] in self.names:
            raise ForbiddenCall(fullname)


def operation_name(func: Any) -> str:
    """The plain name of a torch operation: `softmax` for F.softmax, Tensor.softmax, torch.ops.aten._softmax.

    What works in place, `gelu_`, is `gelu` too.
    """
    name = getattr(func, "__name__", "")
    return str(name).partition(".")[0].strip("_").removeprefix("special_")


@contextmanager
def forbidding(operations: Sequence[str], packages: Sequence[str] = ()) -> Iterator[None]:
    """Within the block, raise `ForbiddenCall` where one of these is called or imported."""
    with _refusing(packages) if packages else nullcontext():
        with _disabling(operations):
            with _Operations(frozenset(name.strip("_") for name in operations)) if operations else nullcontext():
                yield


def _disabling(names: Sequence[str]) -> AbstractContextManager[None]:
    """Within the block, torch's own Python functions and classes of these names raise `ForbiddenCall`."""
    found = [(function, name) for name in names for function in python_functions(name)]
    return _code_exchanged([*found, *_ways_out_of_sight()] if names else [])


def compiling_refused() -> AbstractContextManager[None]:
    """Within the block, nothing can be compiled that would later run out of sight. Threads may be started."""
    return _code_exchanged([way for way in _ways_out_of_sight() if way[1] != "threading"])


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
def _ways_out_of_sight() -> list[tuple[FunctionType, str]]:
    """The functions of `OUT_OF_SIGHT`, each with the name that a learner knows it by."""
    found = []
    for name, where in OUT_OF_SIGHT.items():
        innermost = inspect.unwrap(pkgutil.resolve_name(where))
        assert isinstance(innermost, FunctionType)
        found.append((innermost, name))
    return found


def _refusal(name: str, cells: int) -> CodeType:
    """The code of a function that only raises `ForbiddenCall`, for one with this number of closure cells."""
    names = [f"cell_{number}" for number in range(cells)]
    text = (
        f"def outer({', '.join(names)}):\n"
        "    def refuse(*args, **kwargs):\n"
        f"        from {__name__} import ForbiddenCall\n"
        f"        raise ForbiddenCall({name!r})\n"
        f"        {'; '.join(names) or 'pass'}\n"
        "    return refuse\n"
    )
    scope: dict[str, Any] = {}
    exec(text, scope)
    code: CodeType = scope["outer"](*names).__code__
    return code


@contextmanager
def _refusing(packages: Sequence[str]) -> Iterator[None]:
    finder = _Packages(frozenset(packages))
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in finder.names}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.modules.update(hidden)
