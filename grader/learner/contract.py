"""Does a learner's file still offer what the exercise asks for? Read, never run."""

from __future__ import annotations

import ast
from pathlib import Path

from grader.course.exercise import Exercise
from grader.course.outline import Function, Outline, outline, parse
from grader.learner.submission import Submission, Unreadable
from grader.text import COMMAND


def check_contract(submission: Submission, exercise: Exercise) -> Outline:
    """The outline of the learner's file. Raises `Unreadable` for what keeps it from being graded:
    a syntax error, a missing function, class or method, a signature that is not the exercise's."""
    source = submission.source
    path = Path(source.path)
    try:
        theirs = outline(source.text)
        bound = _bound_names(source.text)
    except SyntaxError as error:
        raise Unreadable(f"Syntax error: {error.msg}.", path, error.lineno) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"Python cannot read this file: {error}.", path) from error
    asked = outline(exercise.stub)
    reset = f"`{COMMAND} reset {exercise.id[:4]}` shows the original; your text is kept"
    for name in [*asked.classes, *(name for name in asked.functions if "." not in name)]:
        if name not in bound:
            raise Unreadable(f"`{name}` is missing. The tests call it by this name ({reset}).", path)
    for name, wanted in asked.functions.items():
        owner, _, _ = name.rpartition(".")
        if name in theirs.functions:
            _check_parameters(wanted, theirs.functions[name], path)
        elif owner in theirs.classes and theirs.bases.get(owner) == asked.bases.get(owner):
            line = theirs.classes[owner]
            raise Unreadable(f"`{name}` is missing. The tests call it by this name ({reset}).", path, line)
    return theirs


def _check_parameters(wanted: Function, got: Function, path: Path) -> None:
    """The asked-for parameters come first, unchanged; more may follow if they can be left out."""
    count = len(wanted.parameters)
    more = got.parameters[count:]
    if got.parameters[:count] == wanted.parameters and all("=" in p or p.startswith("*") for p in more):
        return
    raise Unreadable(
        f"`{wanted.name}` takes ({', '.join(got.parameters)}) in your file; the tests call it as"
        f" ({', '.join(wanted.parameters)}). Put the original parameters back.",
        path,
        got.line,
    )


def _bound_names(text: str) -> set[str]:
    """Every name that the file binds somewhere: a function made by assignment or inside an `if` counts too."""
    names: set[str] = set()
    for node in ast.walk(parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names
