"""Derive an exercise from its solution: the same text, with the bodies to write replaced.

A function keeps its signature and docstring; its body becomes `raise NotImplementedError`. What stays whole:
module docstring, imports, constants, classes without methods, and functions whose `def` line ends in the
comment `# given`. What is dropped: functions and classes that begin with an underscore, the solution's own.

A `def` line that ends in `# optional` says that the exercise passes also without this function.
"""

from __future__ import annotations

import ast

from grader.course.outline import AnyFunction, body_after_docstring, is_super_init, outline, parse

GIVEN = "# given"
OPTIONAL = "# optional"


def derive_stub(solution: str) -> str:
    """The text of the exercise that belongs to a solution. Raises SyntaxError."""
    lines = solution.splitlines()
    # (first line, last line, what stands there instead), lines counted from 1
    edits: list[tuple[int, int, list[str]]] = []
    for node in parse(solution).body:
        if isinstance(node, ast.ClassDef) and not _private(node.name):
            for member in node.body:
                edits += _edit(member, lines) if isinstance(member, AnyFunction) else []
        elif isinstance(node, AnyFunction | ast.ClassDef):
            edits += [_drop(node, lines)] if _private(node.name) else _edit(node, lines)
    for first, last, replacement in sorted(edits, reverse=True):
        lines[first - 1 : last] = replacement
    return "\n".join(lines).rstrip("\n") + "\n"


def optional_functions(solution: str) -> frozenset[str]:
    """The functions of a solution that a learner may leave as they are. Raises SyntaxError."""
    lines = solution.splitlines()
    return frozenset(
        node.name
        for node in parse(solution).body
        if isinstance(node, AnyFunction) and _ends_in(OPTIONAL, node, lines)
    )


def unwritten(text: str, solution: str) -> list[str]:
    """The functions that are still stubs in a learner's text and may not be left so. Raises what `outline` does."""
    optional = optional_functions(solution)
    return [name for name in outline(text).stubs() if name not in optional]


def _ends_in(mark: str, node: AnyFunction, lines: list[str]) -> bool:
    """Does a line of a function's head end in this comment?"""
    return any(lines[number - 1].rstrip().endswith(mark) for number in range(node.lineno, node.body[0].lineno))


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _edit(node: ast.stmt, lines: list[str]) -> list[tuple[int, int, list[str]]]:
    assert isinstance(node, AnyFunction)
    if _private(node.name):
        return [_drop(node, lines)]
    if _ends_in(GIVEN, node, lines):
        return []
    statements = body_after_docstring(node)
    while statements and is_super_init(statements[0]):
        statements = statements[1:]
    if not statements:
        return []
    # Comments above the first statement belong to the solution as well.
    kept = [s for s in node.body if s not in statements]
    last_kept = kept[-1].end_lineno if kept else statements[0].lineno - 1
    assert last_kept is not None and node.end_lineno is not None
    indent = " " * node.body[0].col_offset
    return [(last_kept + 1, node.end_lineno, [f"{indent}raise NotImplementedError"])]


def _drop(node: AnyFunction | ast.ClassDef, lines: list[str]) -> tuple[int, int, list[str]]:
    """Cut a definition with its decorators, the comments right above it and the blank lines before those."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    while first > 1 and lines[first - 2].strip().startswith("#"):
        first -= 1
    while first > 1 and not lines[first - 2].strip():
        first -= 1
    assert node.end_lineno is not None
    return first, node.end_lineno, []
