"""Which checks can a change of the solution be seen in? Those that run what was changed, and no other.

Found out as everything here: by running a variant. In this one a function ends at its first line, whatever it was
called for, and every check that no longer sees what the reference shows runs that function.
"""

from __future__ import annotations

from collections.abc import Mapping

from grader.course.catalogue import Exercise
from grader.course.outline import Function, body_after_docstring
from grader.course.tutor_file import Edit
from grader.protocol.job import Source

# Not an `Exception`: neither a solution nor `observe.outcome` catches it.
ENDS = 'raise BaseException("reached")'

Reach = Mapping[str, frozenset[str]]
"""The names of the checks that run a function, for each function of the solution."""


def cut_short(exercise: Exercise) -> dict[str, dict[str, Source]]:
    """For each function that can be cut short, the sources in which it ends at its first line."""
    solution = exercise.solution
    lines = solution.text.split("\n")
    variants = {}
    for name, function in exercise.solution_outline.functions.items():
        first = body_of(function)[0]
        text = "\n".join([*lines[: first - 1], indent_of(function) + ENDS, *lines[first - 1 :]])
        variants[name] = {**exercise.imported, exercise.id: Source(solution.path, text)}
    return variants


def checks_that_see(edit: Edit, exercise: Exercise, reach: Reach) -> tuple[str, ...]:
    """The checks in which this edit can show: all of them, unless it lies within the body of a function."""
    name = edited_function(edit, exercise)
    return tuple(check.name for check in exercise.checks if not name or check.name in reach[name])


def edited_function(edit: Edit, exercise: Exercise) -> str:
    """The function in whose body the whole edit lies; none where some of it lies, or leads, outside of one."""
    head, _, tail = exercise.solution.text.partition(edit.find)
    first, last = head.count("\n") + 1, (head + edit.find).count("\n") + 1
    edited = (head.rpartition("\n")[2] + edit.replacement + tail.partition("\n")[0]).split("\n")
    for name, function in exercise.solution_outline.functions.items():
        begins, ends = body_of(function)
        if begins <= first and last <= ends and all(stays_within(line, function) for line in edited):
            return name
    return ""


def stays_within(line: str, function: Function) -> bool:
    """Is a line that stands in the body of a function indented as that is?"""
    return not line.strip() or line.startswith(indent_of(function))


def body_of(function: Function) -> tuple[int, int]:
    """The first and the last line of what a function does."""
    statements = body_after_docstring(function.node) or function.node.body
    return statements[0].lineno, function.node.end_lineno or statements[-1].lineno


def indent_of(function: Function) -> str:
    return " " * function.node.body[0].col_offset
