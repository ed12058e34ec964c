"""A file that a newer course asks more of: what it lacks is unfinished, and `update` adds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.commands.update import update_exercises
from grader.course.exercise import Exercise
from grader.judge.results import ExerciseResult, Status
from grader.learner.history import Store
from grader.learner.submission import Unreadable
from grader.learner.update import bring_up_to_date
from tests.mini import ID, SOLUTION

Grade = Callable[[str], ExerciseResult]

WITHOUT_TOTAL = SOLUTION[: SOLUTION.index("def total")] + SOLUTION[SOLUTION.index("class Counter") :]
WITHOUT_ADD = SOLUTION[: SOLUTION.index("    def add")] + "\n\ndef _helper():\n    return None\n"
WITHOUT_COUNTER = SOLUTION[: SOLUTION.index("class Counter")]


@pytest.fixture
def store(repository: Path) -> Store:
    return Store(repository / ".grader" / "progress.sqlite3")


@pytest.mark.parametrize(
    ("text", "name", "unfinished"),
    [(WITHOUT_TOTAL, "total", 1), (WITHOUT_ADD, "Counter.add", 2), (WITHOUT_COUNTER, "Counter", 2)],
)
def test_what_is_missing_is_unfinished_and_the_rest_is_judged(
    grade: Grade, text: str, name: str, unfinished: int
) -> None:
    result = grade(text)
    assert result.status is Status.UNFINISHED
    expected = [Status.PASSED] * 3
    expected[unfinished] = Status.UNFINISHED
    assert [check.status for check in result.checks] == expected
    message = result.checks[unfinished].message
    assert message.startswith(f"`{name}` is not in your file.") and "update" in message


@pytest.mark.parametrize("text", [WITHOUT_TOTAL, WITHOUT_ADD, WITHOUT_COUNTER])
def test_update_adds_the_stub_and_keeps_every_line(
    grade: Grade, repository: Path, exercise: Exercise, store: Store, text: str
) -> None:
    text = text.replace("    ", "  ")  # one who indents by two
    path = repository / "exercises" / exercise.file_name
    path.write_text(text)
    (line,) = update_exercises(repository, [], path.parent, store)
    assert "added " in line
    new = path.read_text()
    remaining = iter(new.splitlines())
    assert all(mine in remaining for mine in text.splitlines())
    assert "raise NotImplementedError" in new
    assert grade(new).status is Status.UNFINISHED
    assert [check.status for check in grade(new).checks].count(Status.UNFINISHED) == 1
    assert store.text_of(store.attempts()[0].id) == (store.attempts()[0], text)
    assert list(update_exercises(repository, [], path.parent, store)) == [
        "Nothing is missing, and every docstring is today's."
    ]


def test_update_brings_the_imports_and_constants_that_a_stub_needs() -> None:
    stub = '"""New."""\n\nimport math\n\nimport torch\n\nLIMIT = 3\n\n\ndef f(x=LIMIT):\n    pass\n'
    update = bring_up_to_date('"""Old."""\nimport torch\nx = torch.ones(2)\n', stub, Path("ex00.py"))
    assert update.text.splitlines() == [
        '"""Old."""',
        "import torch",
        "import math",
        "LIMIT = 3",
        "x = torch.ones(2)",
        "",
        "",
        "def f(x=LIMIT):",
        "    pass",
    ]
    assert [(change.name, change.lines) for change in update.changed] == [("", ("@@ -1 +1 @@", "-Old.", "+New."))]


def test_a_changed_docstring_is_shown_and_left_alone(repository: Path, exercise: Exercise, store: Store) -> None:
    path = repository / "exercises" / exercise.file_name
    path.write_text(SOLUTION.replace("Twice x.", "Double x."))
    lines = list(update_exercises(repository, [ID], path.parent, store))
    assert lines[1:] == ["  double", "    -Double x.", "    +Twice x."]
    assert path.read_text() == SOLUTION.replace("Twice x.", "Double x.")


def test_a_file_that_cannot_be_read_is_left_alone(repository: Path, exercise: Exercise, store: Store) -> None:
    path = repository / "exercises" / exercise.file_name
    path.write_text("def f(:\n")
    (line,) = update_exercises(repository, [ID], path.parent, store)
    assert line.startswith(f"{exercise.file_name}:1 was left alone. Syntax error") and "reset" in line
    path.unlink()
    (line,) = update_exercises(repository, [ID], path.parent, store)
    assert path.read_text() == exercise.stub


def test_a_class_on_one_line_is_not_torn(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="single line"):
        bring_up_to_date("class A: x = 1\n", "class A:\n    def f(self):\n        pass\n", tmp_path / "ex00.py")


def test_a_form_feed_ends_no_line(exercise: Exercise, tmp_path: Path) -> None:
    """Nor do the other characters at which only `splitlines` divides: all stays where it is."""
    text = WITHOUT_ADD.replace('"""Counts."""', '"""Counts\x0c\x1c\u2028."""').replace(
        "import torch", "\x0c\nimport torch"
    )
    update = bring_up_to_date(text, exercise.stub, tmp_path / ID)
    assert update.added == ("Counter.add",)
    remaining = iter(update.text.split("\n"))
    assert all(line in remaining for line in text.split("\n"))
    assert bring_up_to_date(update.text, exercise.stub, tmp_path / ID).added == ()
