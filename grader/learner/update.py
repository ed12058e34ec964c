"""Bring a learner's file up to a newer course: add what it lacks, and show what reads differently now.

Every line of the learner's stays where it is, in its order.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from grader.course.outline import Outline, outline, parse
from grader.learner.contract import lacking, read_outline
from grader.learner.submission import Unreadable

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Change:
    """A docstring that reads otherwise in the course now: the lines of a diff."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Update:
    """The text with what it lacked, the names of that, and what has changed since."""

    text: str
    added: tuple[str, ...]
    changed: tuple[Change, ...]


def bring_up_to_date(text: str, stub: str, path: Path) -> Update:
    """The learner's text beside today's stub. Raises `Unreadable` where Python cannot read it."""
    theirs, asked = read_outline(text, path), outline(stub)
    missing = lacking(theirs, asked)
    lines = text.removesuffix("\n").split("\n") if text else []  # as Python counts them: a form feed ends none
    additions: dict[int, list[str]] = {}
    for name in missing:
        if "." in name:
            line, new = _method(name, text, stub, path)
            additions.setdefault(line, []).extend(new)
    if missing:
        additions.setdefault(_end_of_imports(text), []).extend(_new_names(theirs, stub))
    for line in sorted(additions, reverse=True):  # from the end on, so that the numbers stay right
        lines[line:line] = additions[line]
    for name in missing:
        if "." not in name:
            lines += ["", "", *_source(_find(stub, name), stub)]
    new_text = "\n".join(lines) + "\n" if missing else text
    return Update(new_text, tuple(missing), tuple(_changes(text, stub)))


def _method(name: str, text: str, stub: str, path: Path) -> tuple[int, list[str]]:
    """The line after which a method belongs, at the end of its class, and its lines, indented as that is."""
    owner = _find(text, name.rpartition(".")[0])
    if owner.body[0].lineno == owner.lineno:
        raise Unreadable(f"`{name}` belongs into a class that is written on a single line.", path, owner.lineno)
    source = textwrap.dedent("\n".join(_source(_find(stub, name), stub)))
    new = textwrap.indent(source, " " * owner.body[0].col_offset)
    return owner.end_lineno or owner.lineno, ["", *new.splitlines()]


def _new_names(theirs: Outline, stub: str) -> list[str]:
    """The imports and constants of the stub that bind a name which the learner's file lacks."""
    new = []
    for node in parse(stub).body:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign):
            names = outline(ast.unparse(node)).bound
            if not names <= theirs.bound:
                new += _source(node, stub)
    return new


def _end_of_imports(text: str) -> int:
    """The last line of the imports at the top of a text, or of its docstring."""
    last = 0
    for number, node in enumerate(parse(text).body):
        is_docstring = number == 0 and isinstance(node, ast.Expr)
        if is_docstring or isinstance(node, ast.Import | ast.ImportFrom):
            last = node.end_lineno or last
    return last


def _find(text: str, name: str) -> Definition:
    """The definition of a top-level function or class, or of a method."""
    owner, _, method = name.partition(".")
    body = parse(text).body
    node = next(node for node in body if isinstance(node, Definition) and node.name == owner)
    if not method:
        return node
    return next(member for member in node.body if isinstance(member, Definition) and member.name == method)


def _source(node: ast.stmt, text: str) -> list[str]:
    """The lines of a statement, with its decorators."""
    decorators = node.decorator_list if isinstance(node, Definition) else []
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return text.splitlines()[first - 1 : node.end_lineno]


def _changes(text: str, stub: str) -> Iterator[Change]:
    """The docstrings that both have, and that differ."""
    ours, theirs = _docstrings(stub), _docstrings(text)
    for name, new in ours.items():
        old = theirs.get(name, "")
        if old and old != new:
            diff = list(unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1))[2:]
            yield Change(name, tuple(diff))


def _docstrings(text: str) -> dict[str, str]:
    """The docstring of a module, under no name, and those of what it defines."""
    tree = parse(text)
    found = {"": ast.get_docstring(tree) or ""}
    for node in tree.body:
        if isinstance(node, Definition):
            found[node.name] = ast.get_docstring(node) or ""
            for member in node.body:
                if isinstance(member, Definition):
                    found[f"{node.name}.{member.name}"] = ast.get_docstring(member) or ""
    return found
