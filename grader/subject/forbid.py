"""Forbidden built-ins: while a probe runs, calling what the learner is to write ends the check.

Operations are recognised where torch dispatches them, by what they are rather than by the name under which
they were reached, so an alias, a method, `torch.ops` and a module that wraps them are all seen. Packages are
refused at import.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

from torch.overrides import TorchFunctionMode


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
    """The plain name of a torch operation: `softmax` for F.softmax, Tensor.softmax, torch.ops.aten._softmax."""
    name = getattr(func, "__name__", "")
    return str(name).partition(".")[0].lstrip("_").removeprefix("special_")


@contextmanager
def forbidding(operations: Sequence[str], packages: Sequence[str] = ()) -> Iterator[None]:
    """Within the block, raise `ForbiddenCall` where one of these is called or imported."""
    with _refusing(packages) if packages else nullcontext():
        with _Operations(frozenset(operations)) if operations else nullcontext():
            yield


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
