"""The sentence of a docstring that a probe holds the code to: the probe's own docstring, copied word for word."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache

from grader.course.outline import AnyFunction, parse

LESSON = ""
"""The name under which the docstring at the top of a file goes."""


def one_line(text: str) -> str:
    """A text in which every run of white space is one blank: how a docstring is broken into lines says nothing."""
    return " ".join(text.split())


@lru_cache(64)
def docstrings(text: str) -> Mapping[str, str]:
    """The docstrings in a Python file, each in one line: of functions, classes, methods (`Class.method`), and of
    the file itself. Raises SyntaxError."""
    tree = parse(text)
    found = {LESSON: ast.get_docstring(tree)}
    for node in tree.body:
        if isinstance(node, AnyFunction | ast.ClassDef):
            found[node.name] = ast.get_docstring(node)
            members = node.body if isinstance(node, ast.ClassDef) else []
            methods = [member for member in members if isinstance(member, AnyFunction)]
            found |= {f"{node.name}.{method.name}": ast.get_docstring(method) for method in methods}
    return {name: one_line(docstring) for name, docstring in found.items() if docstring}


def promised_in(promise: str, about: str, texts: Mapping[str, str]) -> str | None:
    """Which of these docstrings holds the sentence: those of what the probe is about first, the lesson last."""
    holders = [name for name, text in texts.items() if promise and promise in text]
    return min(holders, key=lambda name: (name.partition(".")[0] != about, name == LESSON), default=None)
