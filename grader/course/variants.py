"""Other versions of a solution: with mistakes or equivalents in it, or with a function that ends at once."""

from __future__ import annotations

from collections.abc import Sequence

from grader.course.exercise import Base, Edit, Exercise
from grader.course.outline import Function, body_after_docstring, outline, places_in_code, without_docstrings
from grader.protocol.job import Source

# Not an `Exception`: neither a solution nor `observe.outcome` catches it.
ENDS = 'raise BaseException("reached")'


def variant_sources(exercise: Exercise, *edits: Edit) -> dict[str, Source]:
    """The solution's sources with these edits applied, one after the other.

    Raises ValueError where an edit's place is no longer there once, because another edit changed it, and where they
    are not edits of one base.
    """
    base = edits[0].base if edits else ""
    text = exercise.text_of(base)
    code = without_docstrings(text)
    for edit in edits:
        places = places_in_code(edit.find, text, code)
        if len(places) != 1 or edit.base != base:
            raise ValueError(f"{edit.name} does not go together with the edits before it")
        (at,) = places
        text = text[:at] + edit.replacement + text[at + len(edit.find) :]
        code = code[:at] + edit.replacement + code[at + len(edit.find) :]
    return {**exercise.imported, exercise.id: Source(exercise.solution.path, text)}


def combined_sources(exercise: Exercise, edits: Sequence[Edit]) -> dict[str, Source] | None:
    """The sources with all these edits, or None where they exclude each other."""
    try:
        return variant_sources(exercise, *edits)
    except ValueError:
        return None


def base_sources(exercise: Exercise, base: Base) -> dict[str, Source]:
    """The sources with a base in the place of the solution."""
    return {**exercise.imported, exercise.id: Source(exercise.solution.path, base.text)}


def cut_short(exercise: Exercise, base: str = "") -> dict[str, dict[str, Source]]:
    """For each function of a base that can be cut short, the sources in which it ends at its first line."""
    solution, text = exercise.solution, exercise.text_of(base)
    lines = text.split("\n")
    variants = {}
    for name, function in outline(text).functions.items():
        first = body_of(function)[0]
        text = "\n".join([*lines[: first - 1], indent_of(function) + ENDS, *lines[first - 1 :]])
        variants[name] = {**exercise.imported, exercise.id: Source(solution.path, text)}
    return variants


def edited_function(edit: Edit, exercise: Exercise) -> str:
    """The function in whose body the whole edit lies; none where some of it lies, or leads, outside of one."""
    text = exercise.text_of(edit.base)
    (at,) = places_in_code(edit.find, text, without_docstrings(text))
    head, tail = text[:at], text[at + len(edit.find) :]
    first, last = head.count("\n") + 1, (head + edit.find).count("\n") + 1
    edited = (head.rpartition("\n")[2] + edit.replacement + tail.partition("\n")[0]).split("\n")
    for name, function in outline(text).functions.items():
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
