"""Gates in what torch writes in Python, such as an optimizer: it calls no operation that would give it away.

A gate takes the place of a function's code. So every alias, every subclass, every instance and every copy of the
function meets it, whenever that was made. It looks at what is forbidden when it is called.
"""

from __future__ import annotations

import functools
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import torch

from grader.protocol.job import COMPILES, REGISTERS
from grader.sandbox.forbidden.families import STEMS, is_forbidden, plain_words
from grader.sandbox.forbidden.origins import seen
from grader.sandbox.forbidden.state import is_torch, now, refuse

# Packages that hold ready-made parts, or torch's operations once more, in Python.
IN_PYTHON = (
    "torch.nn.", "torch.optim", "torch.distributed.optim", "torch._refs", "torch._decomp", "torch._prims",
    "torch.ao.nn", "torch._inductor.decomposition",
)  # fmt: skip
# Here a class or a module named after what is forbidden counts as a whole.
OPTIMIZERS = ("torch.optim", "torch.distributed.optim")
# Compiles formulas of its own when torch.func.jacfwd and its like are first called.
COMPILES_ITS_OWN = str(Path("torch", "_decomp", "decompositions_for_jvp.py"))
# What stands between whoever registers something and where it is registered.
BETWEEN = (
    __file__, torch.library.__file__, str(Path(torch.library.__file__).parent / "_library"), functools.__file__,
)  # fmt: skip
NUMBER = "number of the gate"


@dataclass(frozen=True)
class PythonFunction:
    """A function of torch's.

    `name` is what a person calls it, or the class that it is part of. It is forbidden by the families of `names`,
    and where it is a method by the `kind` it is of, written exactly so.
    """

    function: FunctionType
    name: str
    names: tuple[str, ...]
    kind: str = ""

    def is_forbidden_by(self, words: frozenset[str]) -> bool:
        """Do these words forbid it?"""
        return self.kind in words or any(is_forbidden(name, words) for name in self.names)


@contextmanager
def gated(words: frozenset[str]) -> Iterator[None]:
    """Within the block, what these words forbid of torch's Python functions looks whether it is forbidden now."""
    gates = _gates_for(words, len(python_functions()))
    before = [(gate, gate.function.__code__) for gate in gates]
    try:
        for gate in gates:
            gate.function.__code__ = gate.code
        yield
    finally:
        for gate, code in reversed(before):
            gate.function.__code__ = code


@cache
def _gates_for(words: frozenset[str], found: int) -> list[_Gate]:
    """The gates that these words need, with this number of functions found."""
    unseen = (_out_of_sight(name) for name in (*COMPILES, REGISTERS))
    names = (_usual_names if plain_words(words) <= STEMS.keys() else _all_names)(found)
    forbidden = {name for name in names if is_forbidden(name, words)}
    parts = (part for part in _found if part.kind in words or not forbidden.isdisjoint(part.names))
    return [*unseen, *map(_gate, parts)]


@cache
def _all_names(found: int) -> frozenset[str]:
    """What the functions are called, with this number of them found."""
    return frozenset(name for part in _found for name in part.names)


@cache
def _usual_names(found: int) -> frozenset[str]:
    """The few of all names that a known family has."""
    return frozenset(name for name in _all_names(found) if is_forbidden(name, frozenset(STEMS)))


_looked_through: set[str] = set()
_found: dict[PythonFunction, None] = {}


def python_functions() -> dict[PythonFunction, None]:
    """What torch's packages define so far. Each module is looked through once."""
    # In the order in which they were imported: of several names of a function the first is the one that is told.
    for name in [name for name in list(sys.modules) if name not in _looked_through]:
        _looked_through.add(name)
        if name.startswith(IN_PYTHON):
            _found.update(dict.fromkeys(_functions_of(name, sys.modules[name])))
    return _found


def _functions_of(module_name: str, module: ModuleType) -> Iterator[PythonFunction]:
    for name, value in list(vars(module).items()):
        if not isinstance(value, type):
            function = _innermost(value)
            if function is not None:
                names = _unless_gradient(name) + _of_optimizers(module_name, function)
                yield PythonFunction(function, name.strip("_") if name[0] == "_" else name, names)
            continue
        for member in vars(value).values():
            function = _innermost(member)
            if function is not None:
                of_optimizers = _of_optimizers(module_name, function)
                names = _unless_gradient(name) + of_optimizers if of_optimizers else ()
                yield PythonFunction(function, name, names, name)


def _unless_gradient(name: str) -> tuple[str, ...]:
    """The name, unless it is that of a gradient's formula, which is met as an operation."""
    return () if "backward" in name else (name,)


def _of_optimizers(module_name: str, function: FunctionType) -> tuple[str, ...]:
    """The name of the module, where all that it defines counts as what it is named after."""
    defined_here = function.__module__ == module_name
    return (module_name.rpartition(".")[2],) if defined_here and module_name.startswith(OPTIMIZERS) else ()


def _innermost(value: Any) -> FunctionType | None:
    """The innermost function, which every wrapper and every alias ends in, if it is one of torch's."""
    while isinstance(value, FunctionType | staticmethod | classmethod) and hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    is_one = isinstance(value, FunctionType) and (value.__module__ or "").partition(".")[0] == "torch"
    return value if is_one else None


@dataclass(frozen=True)
class _Gate:
    """A function and the code that it gets."""

    function: FunctionType
    code: CodeType


_through: list[Callable[..., Any]] = []


def pass_through(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the code of each gate calls."""
    return _through[number](*args, **kwargs)


@cache
def _gate(found: PythonFunction) -> _Gate:
    original = _as_it_was(found.function)

    def look(*args: Any, **kwargs: Any) -> Any:
        if found.is_forbidden_by(now.forbidden):
            refuse(found.name)
        return seen(found.name, original, args, kwargs)

    return _gate_of(found.function, look)


@cache
def _out_of_sight(name: str) -> _Gate:
    function = _innermost(pkgutil.resolve_name(name))
    assert function is not None, name
    original = _as_it_was(function)

    def look(*args: Any, **kwargs: Any) -> Any:
        if now.out_of_sight and not _for_torch_itself(name, sys._getframe()):
            refuse(name)
        return original(*args, **kwargs)

    return _gate_of(function, look)


def _for_torch_itself(name: str, frame: FrameType | None) -> bool:
    """Does torch compile a formula of its own, or register what is its own?"""
    if name == REGISTERS:
        while frame and frame.f_code.co_filename.startswith(BETWEEN):
            frame = frame.f_back
        return is_torch(frame)
    while frame and not frame.f_code.co_filename.endswith(COMPILES_ITS_OWN):
        frame = frame.f_back
    return frame is not None


def _as_it_was(function: FunctionType) -> FunctionType:
    code, scope, closure = function.__code__, function.__globals__, function.__closure__
    copied = FunctionType(code, scope, function.__name__, function.__defaults__, closure)
    copied.__kwdefaults__ = function.__kwdefaults__
    return copied


def _gate_of(function: FunctionType, look: Callable[..., Any]) -> _Gate:
    """`look` in the place of a function's code, which has to have the same number of closure cells."""
    code = function.__code__
    _through.append(look)
    # Where a person looks for the function's text, it still is.
    gate = _template(len(code.co_freevars)).replace(
        co_name=code.co_name, co_filename=code.co_filename, co_firstlineno=code.co_firstlineno
    )
    constants = tuple(len(_through) - 1 if constant == NUMBER else constant for constant in gate.co_consts)
    return _Gate(function, gate.replace(co_consts=constants))


@cache
def _template(cells: int) -> CodeType:
    """The code of a gate with so many closure cells, and `NUMBER` where its number is to stand."""
    names = [f"cell_{number}" for number in range(cells)]
    text = (
        f"def outer({', '.join(names)}):\n"
        "    def gate(*args, **kwargs):\n"
        f"        from {__name__} import pass_through\n"
        f"        return pass_through({NUMBER!r}, args, kwargs)\n"
        f"        {'; '.join(names) or 'pass'}\n"
        "    return gate\n"
    )
    scope: dict[str, Any] = {}
    exec(text, scope)
    code: CodeType = scope["outer"](*names).__code__
    return code


# Before the process is forked, so that no child has to look for them.
_gates_for(frozenset(STEMS), len(python_functions()))
