"""What a Python file defines, read without running it: functions, methods, parameters, bodies still to write."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from dataclasses import dataclass

from grader.protocol.job import Source

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef
_one_at_a_time = threading.Lock()


def parse(text: str) -> ast.Module:
    """The syntax tree of a text, one at a time: up to 3.12, Python counts how deep it is for all threads together.

    Raises SyntaxError, ValueError (null bytes), RecursionError or MemoryError.

    Source: https://github.com/python/cpython/issues/106905
    """
    with _one_at_a_time:
        return ast.parse(text)


@dataclass(frozen=True)
class Function:
    """A function or method. `name` is qualified: `SimpleTokenizer.encode`. `parameters` are name and default."""

    name: str
    line: int
    parameters: tuple[str, ...]
    is_stub: bool
    node: AnyFunction


@dataclass(frozen=True)
class Outline:
    """Top-level functions and methods by qualified name, classes by line, and what each class is based on."""

    functions: dict[str, Function]
    classes: dict[str, int]
    bases: dict[str, list[str]]

    def line_of(self, name: str) -> int | None:
        """The line on which a function, a method or a class begins."""
        if name in self.functions:
            return self.functions[name].line
        return self.classes.get(name)

    def function_at(self, line: int) -> str:
        """The qualified name of the function that this line belongs to, or nothing."""
        for name, function in self.functions.items():
            if function.line <= line <= (function.node.end_lineno or function.line):
                return name
        return ""

    def stubs(self) -> list[str]:
        return [name for name, function in self.functions.items() if function.is_stub]


def outline(text: str) -> Outline:
    """Raises SyntaxError, ValueError (null bytes), RecursionError or MemoryError, as `parse` does."""
    functions: dict[str, Function] = {}
    classes: dict[str, int] = {}
    bases: dict[str, list[str]] = {}
    for node in parse(text).body:
        if isinstance(node, AnyFunction):
            functions[node.name] = _function(node.name, node)
        elif isinstance(node, ast.ClassDef):
            classes[node.name] = node.lineno
            bases[node.name] = [ast.unparse(base) for base in node.bases]
            for member in node.body:
                if isinstance(member, AnyFunction):
                    name = f"{node.name}.{member.name}"
                    functions[name] = _function(name, member)
    return Outline(functions, classes, bases)


def _function(name: str, node: AnyFunction) -> Function:
    return Function(name, node.lineno, _parameters(node.args), _is_stub(node), node)


def _parameters(arguments: ast.arguments) -> tuple[str, ...]:
    """Each parameter as text without its annotation, in order: `x`, `dim=-1`, `*args`, `*`, `**kwargs`."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    parameters = [_parameter(a, d) for a, d in zip(positional, defaults, strict=True)]
    if arguments.vararg:
        parameters.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        parameters.append("*")
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parameters += [_parameter(a, d) for a, d in named]
    if arguments.kwarg:
        parameters.append(f"**{arguments.kwarg.arg}")
    return tuple(parameters)


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    return argument.arg if default is None else f"{argument.arg}={ast.unparse(default)}"


def body_after_docstring(node: AnyFunction) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body


def is_super_init(statement: ast.stmt) -> bool:
    """`super().__init__()`, which a stub keeps: it is a habit of the language and not the exercise."""
    return ast.unparse(statement) == "super().__init__()"


def _is_stub(node: AnyFunction) -> bool:
    """Is the body nothing but `raise NotImplementedError`?"""
    body = [statement for statement in body_after_docstring(node) if not is_super_init(statement)]
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    raised = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def imported_names(text: str) -> list[str]:
    """Modules of the same folder that a text imports: `from .name import x`, `from . import name`."""
    try:
        tree = parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names += [node.module.partition(".")[0]] if node.module else [alias.name for alias in node.names]
    return names


def follow_imports(name: str, read: Callable[[str], Source | None]) -> dict[str, Source]:
    """A file and all that it imports from its own folder, directly or through others, by module name.

    `read` gives the source of a module, or None where there is none of that name.
    """
    sources: dict[str, Source] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop(0)
        source = None if module in sources else read(module)
        if source:
            sources[module] = source
            waiting += imported_names(source.text)
    return sources
