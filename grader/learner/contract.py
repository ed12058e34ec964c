"""Does a learner's file offer what the exercise asks for? Read, never run.

Only what is really called is asked for. Where reading cannot tell, running does: the process that grades the file
puts a stub in the place of what it lacks (`grader/sandbox/loading.py`).
"""

from __future__ import annotations

import re
from inspect import Parameter, Signature
from pathlib import Path

from grader.course.exercise import Exercise
from grader.course.keywords import is_by_name, read_keywords
from grader.course.outline import Function, Outline, outline
from grader.learner.submission import Submission, Unreadable
from grader.text import sentence, shorten

CONFLICT_MARK = re.compile(r"(<{7}|>{7}|\|{7})( |$)|={7}$")
RESOLVE = (
    "Two versions of this file were to be merged, and between such marks both are there."
    " Keep the lines that you want, and delete the others and the marks."
)


def check_contract(submission: Submission, exercise: Exercise) -> Outline:
    """The outline of the learner's file. Raises `Unreadable` for what keeps it from being graded:
    a syntax error, a function that cannot be called as the exercise calls it."""
    source = submission.source
    path = Path(source.path)
    theirs = read_outline(source.text, path)
    asked = outline(exercise.stub)
    differing = {
        name: (got, wanted)
        for name, wanted in asked.functions.items()
        if (got := theirs.functions.get(name))
        and got.decorators == wanted.decorators
        and not is_alike(wanted.signature, got.signature)
    }
    parameters = {name: _parameters(name, wanted) for name, (_, wanted) in differing.items()}
    passed = read_keywords(exercise.root, parameters)
    for name, (got, wanted) in differing.items():
        by_name = {p for p in parameters[name] if is_by_name(p, name, asked.functions, passed)}
        if not accepts(got.signature, wanted.signature, by_name):
            raise Unreadable(
                f"`{name}` takes ({got.parameters}) in your file; it is called as ({wanted.parameters})."
                " Put the original parameters back.",
                path,
                got.line,
            )
    return theirs


def _parameters(name: str, function: Function) -> list[str]:
    """What may be passed to a function by name: nobody does that with `self`."""
    return list(function.signature.parameters)[1 if "." in name else 0 :]


def read_outline(text: str, path: Path) -> Outline:
    """What a learner's text defines. Raises `Unreadable` where Python cannot read it."""
    try:
        return outline(text)
    except SyntaxError as error:
        line = error.lineno or 1
        mark = _conflict_mark(text, line)
        if mark is None:
            raise Unreadable(f"Syntax error: {sentence(error.msg)}", path, line) from error
        found = shorten(text.split("\n")[mark - 1])
        raise Unreadable(f"`{found}` is a mark of git's. {RESOLVE}", path, mark) from error


def _conflict_mark(text: str, line: int) -> int | None:
    """The line of a mark that a merge has left: where the syntax error is, or of the first whole conflict."""
    marks = [(number, mark[0]) for number, mark in enumerate(text.split("\n"), 1) if CONFLICT_MARK.match(mark)]
    if any(number == line for number, _ in marks):
        return line
    left = iter(marks)
    conflict = [next((number for number, sign in left if sign == wanted), None) for wanted in "<=>"]
    return None if None in conflict else conflict[0]


def lacking(theirs: Outline, asked: Outline) -> list[str]:
    """The asked-for functions, classes and methods that are bound nowhere in a file, as far as reading can tell.

    A class that is missing stands for its methods.
    """
    return [
        name
        for name in [*asked.classes, *(name for name, f in asked.functions.items() if not f.may_be_missing)]
        for owner in [name.rpartition(".")[0]]
        if name not in theirs.bound and (not owner or owner in theirs.classes)
    ]


def is_alike(wanted: Signature, got: Signature) -> bool:
    """The same names in the same order, with and without defaults alike."""
    return list(wanted.parameters.values()) == list(got.parameters.values())


def accepts(got: Signature, wanted: Signature, by_name: set[str]) -> bool:
    """Can a function be called in every way in which the asked-for one is called?

    By position, with and without what has a default, and by name where `by_name` says so.
    """
    positional = [p for p in wanted.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = [p for p in wanted.parameters.values() if p.kind is p.KEYWORD_ONLY]
    for are_left_out in (False, True):
        values = [p.name for p in positional if not (are_left_out and p.default is None)]
        words = {p.name: p.name for p in named if not (are_left_out and p.default is None)}
        try:
            got.bind(*values, **words)
        except TypeError:
            return False
    places = {p.name: number for number, p in enumerate(positional)}
    return all(_takes_by_name(got, name, places.get(name)) for name in by_name)


def _takes_by_name(got: Signature, name: str, place: int | None) -> bool:
    """Is there a parameter of this name, and at this place if it is passed by position as well?"""
    parameters = list(got.parameters.values())
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return True
    named = (number for number, p in enumerate(parameters) if p.name == name and p.kind is not p.POSITIONAL_ONLY)
    at = next(named, None)
    return at is not None and (place is None or at == place)
