"""Which parameters are passed by name: those names are part of what an exercise asks for, all others are free."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from grader.course.outline import parse

# What stands for a callee without a name of its own, such as a module that is called.
SOMETHING = ""
# What stands for every name, where a call unpacks a dictionary.
EVERY = "**"
# Functions that call what they are given, and where they take it.
CALLERS = {"outcome": 1, "partial": 0}

Keywords = dict[str, frozenset[str]]
"""The names passed to each callee, under the last part of its name."""


def read_keywords(root: Path, functions: Mapping[str, Collection[str]]) -> Keywords:
    """What those of the probes, the solutions and the scripts pass by name that may pass one of these parameters of
    these functions. Parsing takes long, and most of them do not.
    """
    if not functions:
        return {}
    paths = (
        path
        for pattern in ("tests/test_ex*.py", "solutions/*.py", "scripts/**/*.py")
        for path in root.glob(pattern)
    )
    texts = (path.read_text(encoding="utf-8") for path in paths)
    return keywords(text for text in texts if any(_may_pass(text, *item) for item in functions.items()))


def _may_pass(text: str, function: str, parameters: Collection[str]) -> bool:
    """Can this text, which is formatted, pass one of these parameters to the function by name?"""
    if any(f"{parameter}=" in text for parameter in parameters):
        return _is_called_through_object(function) or _called_as(function) in text
    return not _is_called_through_object(function) and EVERY in text and _called_as(function) in text


def keywords(texts: Iterable[str]) -> Keywords:
    """What these texts pass by name."""
    found: dict[str, set[str]] = {}
    for text in texts:
        nodes = list(ast.walk(parse(text)))
        aliases = {alias: name for node in nodes if isinstance(node, ast.Assign) for alias, name in _aliases(node)}
        for node in nodes:
            if isinstance(node, ast.Call):
                names = {keyword.arg or EVERY for keyword in node.keywords}
                callee = _callee(node)
                found.setdefault(aliases.get(callee, callee), set()).update(names)
    return {callee: frozenset(names) for callee, names in found.items()}


def is_by_name(parameter: str, function: str, asked: Iterable[str], passed: Keywords) -> bool:
    """Is this parameter of an asked-for function passed by name?

    `forward` and what Python calls by itself are called through an object, whose variable may have any name.
    """
    if not _is_called_through_object(function):
        return _has(passed.get(_called_as(function), ()), parameter)
    named = {part for other in asked for part in other.split(".")}
    return any(parameter in names for callee, names in passed.items() if callee not in named)


def _called_as(function: str) -> str:
    """The name under which it is called: a class is called for its `__init__`."""
    owner, _, name = function.rpartition(".")
    return owner if name == "__init__" else name


def _is_called_through_object(function: str) -> bool:
    owner, _, name = function.rpartition(".")
    return bool(owner) and name != "__init__" and (name == "forward" or name.startswith("__"))


def _has(names: Iterable[str], parameter: str) -> bool:
    return parameter in names or EVERY in names


def _aliases(node: ast.Assign) -> Iterator[tuple[str, str]]:
    """The shorter names that an assignment gives to functions: `save, load = subject.save_checkpoint, …`."""
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=False))
        else:
            pairs = [(target, node.value)]
        for name, value in pairs:
            if isinstance(name, ast.Name) and isinstance(value, ast.Attribute):
                yield name.id, value.attr


def _callee(node: ast.Call) -> str:
    name = _last_name(node.func)
    position = CALLERS.get(name)
    if position is not None and len(node.args) > position:
        return _last_name(node.args[position])
    return name


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else SOMETHING
