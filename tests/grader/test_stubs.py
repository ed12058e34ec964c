"""A stub is its solution without the bodies, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.commands.authors import drifted, write_stubs
from grader.course import catalogue
from grader.course.outline import outline
from grader.course.stubs import derive_stub, unwritten
from grader.learner.history import Store
from tests.mini import ID, ROOT, SOLUTION

EXPECTED = '''"""A small exercise."""

import torch


def double(x):
    """Twice x."""
    raise NotImplementedError


def total(x):
    """The sum of x over its last axis."""
    raise NotImplementedError


class Counter:
    """Counts."""

    def __init__(self):
        """Begin at 0."""
        super().__init__()
        raise NotImplementedError

    def add(self, amount=1):
        """Add, and return the new count. Raises ValueError for a negative amount, and names it."""
        raise NotImplementedError
'''


def test_bodies_go_and_everything_else_stays() -> None:
    assert derive_stub(SOLUTION) == EXPECTED


def test_a_stub_of_a_stub_is_itself() -> None:
    assert derive_stub(EXPECTED) == EXPECTED


def test_what_is_given_stays_whole() -> None:
    text = "def helper(x):  # given\n    return x\n\n\ndef f(x):\n    return helper(x)\n"
    assert (
        derive_stub(text) == "def helper(x):  # given\n    return x\n\n\ndef f(x):\n    raise NotImplementedError\n"
    )


def test_decorators_constants_and_long_signatures_stay() -> None:
    text = "A = 1\n\n\n@static\ndef f(\n    x,\n    y=A,\n):\n    z = x\n    return z\n"
    assert derive_stub(text) == "A = 1\n\n\n@static\ndef f(\n    x,\n    y=A,\n):\n    raise NotImplementedError\n"


@pytest.mark.parametrize("path", sorted((ROOT / "solutions").glob("ex*.py")), ids=lambda path: path.stem)
def test_every_solution_only_adds_lines_to_its_stub(path: Path) -> None:
    solution = path.read_text(encoding="utf-8")
    remaining = iter(solution.splitlines())
    for line in derive_stub(solution).splitlines():
        if line.strip() != "raise NotImplementedError":
            assert line in remaining, f"{line!r} is missing or out of order in the solution"


def test_the_exercises_of_this_repository_follow_from_their_solutions() -> None:
    assert drifted(catalogue.load_readable(ROOT), ROOT / "exercises") == []


def test_drift_is_found(repository: Path) -> None:
    exercises = catalogue.load_readable(repository)
    stub = repository / "exercises" / f"{ID}.py"
    assert drifted(exercises, stub.parent) == []
    stub.write_text(EXPECTED.replace("Twice x.", "Two times x."), encoding="utf-8")
    (problem,) = drifted(exercises, stub.parent)
    assert f"{ID}.py:7" in problem


def test_a_solved_exercise_is_no_drift_but_a_renamed_function_is(repository: Path) -> None:
    exercises = catalogue.load_readable(repository)
    stub = repository / "exercises" / f"{ID}.py"
    stub.write_text(SOLUTION, encoding="utf-8")
    assert drifted(exercises, stub.parent) == []
    stub.write_text(SOLUTION.replace("def double", "def twice"), encoding="utf-8")
    assert "lacks `double`" in drifted(exercises, stub.parent)[0]


def test_a_file_of_no_solution_is_drift(repository: Path) -> None:
    (repository / "exercises" / "ex77_stray.py").write_text("")
    assert drifted(catalogue.load_readable(repository), repository / "exercises") == [
        "ex77_stray.py belongs to no solution"
    ]


def test_writing_stubs_keeps_what_it_replaces(repository: Path) -> None:
    exercises = catalogue.load(repository)
    path = repository / "exercises" / f"{ID}.py"
    path.write_text("mine = 1\n", encoding="utf-8")
    store = Store(repository / ".grader" / "progress.sqlite3")
    list(write_stubs(exercises, path.parent, store))
    assert path.read_text(encoding="utf-8") == EXPECTED
    (kept,) = store.attempts()
    found = store.text_of(kept.id)
    assert found is not None and found[1] == "mine = 1\n"
    store.close()


def test_an_outline_knows_what_is_still_to_be_written() -> None:
    assert outline(EXPECTED).stubs() == ["double", "total", "Counter.__init__", "Counter.add"]
    assert outline(SOLUTION).stubs() == []
    assert outline(SOLUTION).functions["Counter.add"].parameters == "self, amount=1"


def test_what_is_optional_may_be_left_unwritten() -> None:
    stub = "raise NotImplementedError"
    solution = "def f():\n    return 1\n\n\ndef g():  # optional\n    return 2\n"
    assert unwritten(solution.replace("return 1", stub).replace("return 2", stub), solution) == ["f"]
    assert unwritten(solution.replace("return 2", stub), solution) == []
    assert unwritten(solution.replace("return 2", stub), "") == ["g"]
