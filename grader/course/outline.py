"""What a Python file defines, read without running it: functions, methods, parameters, bodies still to write."""

from __future__ import annotations

import ast
import re
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from inspect import Parameter, Signature
from typing import Any

from grader.protocol.job import Source

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef
_one_at_a_time = threading.Lock()


def parse(text: str) -> ast.Module:
    """The syntax tree of a text, one at a time: up to 3.12, Python counts how deep it is for all threads together.

    What Python warns of is left to the process that runs the text. Raises SyntaxError, also for what is too deep
    for Python and for null bytes.

    Source: https://github.com/python/cpython/issues/106905
    """
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (RecursionError, MemoryError) as error:
            raise SyntaxError(": ".join(["nested too deep for Python", *filter(None, [str(error)])])) from error
        except (SyntaxError, ValueError) as error:
            if "\0" in text:  # which of the two it is, and whether with a line, depends on the version
                line = text.count("\n", 0, text.index("\0")) + 1
                raise SyntaxError("source code cannot contain null bytes", ("", line, None, None)) from error
            if isinstance(error, SyntaxError):
                raise
            raise SyntaxError(str(error)) from error


@lru_cache(maxsize=8)
def _tree(text: str) -> ast.Module:
    """As `parse`, of what was parsed just now the same again: to be read, never to be changed."""
    return parse(text)


def is_python(text: str) -> bool:
    """Can Python read this text?"""
    try:
        _tree(text)
    except SyntaxError:
        return False
    return True


@dataclass(frozen=True)
class Function:
    """A function or method, and whether its body is still to be written. `name` is qualified:
    `SimpleTokenizer.encode`."""

    name: str
    line: int
    is_stub: bool
    node: AnyFunction

    @property
    def signature(self) -> Signature:
        """What can be passed to it. A default is None here, whatever it is there."""
        return _signature(self.node.args)

    @property
    def parameters(self) -> str:
        """Its parameters as they are written, without annotations."""
        return str(self.signature.replace(parameters=_spelled(self.node.args)))[1:-1]

    @property
    def may_be_missing(self) -> bool:
        """Is it called by Python alone, and need not be there where there is nothing to do in it?"""
        return self.name.rpartition(".")[2] in ("__init__", "__post_init__") and len(self.signature.parameters) == 1

    @property
    def decorators(self) -> tuple[str, ...]:
        return tuple(_as_written(decorator) for decorator in self.node.decorator_list)


@dataclass(frozen=True)
class Outline:
    """Top-level functions and methods by qualified name, classes by line, and every name that is bound.

    A method is bound as `Class.method`. Names bound within functions are left out.
    """

    functions: dict[str, Function]
    classes: dict[str, int]
    bound: frozenset[str]

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


def names_in(text: str) -> list[str]:
    """Every name that the code of a text gives to something or calls something by, each once."""
    found: list[str] = []
    for node in ast.walk(_tree(text)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.append(name)
            case ast.alias(name=name, asname=other):
                found.append(other or name.partition(".")[0])
    return list(dict.fromkeys(found))


@lru_cache(maxsize=128)
def outline(text: str) -> Outline:
    """Raises SyntaxError."""
    functions: dict[str, Function] = {}
    classes: dict[str, int] = {}
    tree = _tree(text)
    for node in tree.body:
        if isinstance(node, AnyFunction):
            functions[node.name] = _function(node.name, node)
        elif isinstance(node, ast.ClassDef):
            classes[node.name] = node.lineno
            for member in node.body:
                if isinstance(member, AnyFunction):
                    name = f"{node.name}.{member.name}"
                    functions[name] = _function(name, member)
    return Outline(functions, classes, frozenset(_bound_names(tree)))


def _bound_names(tree: ast.Module) -> Iterator[str]:
    """Every name that a module or one of its classes binds, in whatever way and inside whatever `if`.

    Not recursive: an expression may be deeper than Python's own stack, a sum of some hundred terms for instance.
    """
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        owner, node = waiting.pop()
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                yield owner + name
                continue
            case ast.Lambda():
                continue
            case ast.ClassDef(name):
                yield owner + name
                waiting += ((f"{owner}{name}.", statement) for statement in node.body)
                continue
            case ast.Name(name, ast.Store()):
                yield owner + name
            case ast.Attribute(ast.Name(name), attribute, ast.Store()):
                yield f"{name}.{attribute}"
            case ast.alias(name, shorter):
                yield owner + (shorter or name).partition(".")[0]
        waiting += ((owner, child) for child in ast.iter_child_nodes(node))


def _function(name: str, node: AnyFunction) -> Function:
    return Function(name, node.lineno, _is_stub(node), node)


def _signature(arguments: ast.arguments) -> Signature:
    return Signature([parameter.replace(default=_none(parameter)) for parameter in _spelled(arguments)])


def _none(parameter: Parameter) -> object:
    return Parameter.empty if parameter.default is Parameter.empty else None


def _spelled(arguments: ast.arguments) -> list[Parameter]:
    """The parameters, in order, each with the text of its default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    only = len(arguments.posonlyargs)
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    parameters = [
        _parameter(argument, Parameter.POSITIONAL_ONLY if at < only else Parameter.POSITIONAL_OR_KEYWORD, default)
        for at, (argument, default) in enumerate(zip(positional, defaults, strict=True))
    ]
    if arguments.vararg:
        parameters.append(Parameter(arguments.vararg.arg, Parameter.VAR_POSITIONAL))
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parameters += [_parameter(argument, Parameter.KEYWORD_ONLY, default) for argument, default in named]
    if arguments.kwarg:
        parameters.append(Parameter(arguments.kwarg.arg, Parameter.VAR_KEYWORD))
    return parameters


class _Text(str):
    """A text that is shown as it is, without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _parameter(argument: ast.arg, kind: Any, default: ast.expr | None) -> Parameter:
    text = Parameter.empty if default is None else _Text(_as_written(default))
    return Parameter(argument.arg, kind, default=text)


def _as_written(expression: ast.expr) -> str:
    """An expression as text, or a mark for one that is too deep."""
    try:
        return ast.unparse(expression)
    except RecursionError:
        return "…"


@lru_cache(maxsize=128)
def without_docstrings(text: str) -> str:
    """A text of the same length, with a null character for each that belongs to a docstring. Raises SyntaxError."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    for node in ast.walk(_tree(text)):
        if isinstance(node, ast.Module | ast.ClassDef | AnyFunction) and ast.get_docstring(node, clean=False):
            quoted = node.body[0]
            # Columns count bytes, but before the quotes there is only white space, and after them nothing.
            first = starts[quoted.lineno - 1] + quoted.col_offset
            last = starts[quoted.end_lineno or quoted.lineno] - 1
            text = text[:first] + "\0" * (last - first) + text[last:]
    return text


def places_in_code(part: str, text: str, code: str) -> list[int]:
    """Where a part of a text begins outside of docstrings. `code` is the text without them."""
    found = (match.start() for match in re.finditer(re.escape(part), text))
    return [at for at in found if code[at] != "\0"]


def body_after_docstring(node: AnyFunction) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body


def is_super_init(statement: ast.stmt) -> bool:
    """`super().__init__()`, which a stub keeps: it is a habit of the language and not the exercise."""
    match statement:
        case ast.Expr(ast.Call(ast.Attribute(ast.Call(ast.Name("super"), [], []), "__init__"), [], [])):
            return True
    return False


def _is_stub(node: AnyFunction) -> bool:
    """Is the body nothing but `raise NotImplementedError`?"""
    body = [statement for statement in body_after_docstring(node) if not is_super_init(statement)]
    if len(body) != 1 or not isinstance(body[0], ast.Raise) or body[0].exc is None:
        return False
    raised = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def reach(names: Iterable[str], text: str) -> set[str]:
    """These top-level functions and classes of a text, and all names that they mention, also through others."""
    mentioned = _mentioned(text)
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += mentioned.get(name, ())
    return found


@lru_cache(maxsize=128)
def _mentioned(text: str) -> dict[str, frozenset[str]]:
    """For each top-level function and class, the names in it."""
    return {
        node.name: frozenset(part.id for part in ast.walk(node) if isinstance(part, ast.Name))
        for node in _tree(text).body
        if isinstance(node, AnyFunction | ast.ClassDef)
    }


@lru_cache(maxsize=128)
def imported_names(text: str) -> tuple[str, ...]:
    """Modules of the same folder that a text imports: `from .name import x`, `from . import name`."""
    try:
        tree = _tree(text)
    except SyntaxError:
        return ()
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names += [node.module.partition(".")[0]] if node.module else [alias.name for alias in node.names]
    return tuple(names)


def follow_imports(name: str, read: Callable[[str], Source | None]) -> dict[str, Source]:
    """A file and all that it imports from its own folder, directly or through others, by module name.

    `read` gives the source of a module, or None where there is none of that name. It is asked once for each.
    """
    sources: dict[str, Source] = {}
    asked: set[str] = set()
    waiting = deque([name])
    while waiting:
        module = waiting.popleft()
        if module in asked:
            continue
        asked.add(module)
        source = read(module)
        if source:
            sources[module] = source
            waiting += imported_names(source.text)
    return sources
