"""Other versions of a solution: with mistakes or equivalents in it, or with a function that ends at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import accumulate

from grader.course.exercise import Base, Edit, Exercise
from grader.course.outline import Function, body_after_docstring, outline, places_in_code, without_docstrings
from grader.protocol.job import Source

# Not an `Exception`: neither a solution nor `observe.outcome` catches it.
ENDS = 'raise BaseException("reached")'


# A place in a text, from where to where, and what comes there.
_Change = tuple[int, int, str]


def variant_sources(exercise: Exercise, *edits: Edit) -> dict[str, Source]:
    """The sources with all these edits applied to the base that they are of.

    Edits may share words that neither changes. Raises ValueError where two change the same words, or are not of one
    base.
    """
    base = edits[0].base if edits else ""
    text = exercise.text_of(base)
    code = without_docstrings(text)
    changes: list[_Change] = []
    for edit in edits:
        if edit.base != base:
            raise ValueError(f"{edit.name} is an edit of another base")
        changes += _changes(edit, text, code)
    changes.sort()
    parts, reached = [], 0
    for number, (start, end, replacement) in enumerate(changes):
        if number and (start < reached or (start, end) == changes[number - 1][:2]):
            raise ValueError("two of the edits change the same words")
        parts += [text[reached:start], replacement]
        reached = end
    changed = "".join([*parts, text[reached:]])
    return {**exercise.imported, exercise.id: Source(exercise.solution.path, changed)}


def _changes(edit: Edit, text: str, code: str) -> list[_Change]:
    """What an edit changes, word by word. Raises ValueError where its place is not there once."""
    (at,) = places_in_code(edit.find, text, code)
    before, after = (re.findall(r"\w+|\s+|.", part) for part in (edit.find, edit.replacement))
    starts = [at, *(at + length for length in accumulate(map(len, before)))]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return [
        (starts[first], starts[last], "".join(after[begin:end]))
        for kind, first, last, begin, end in matcher.get_opcodes()
        if kind != "equal"
    ]


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
