"""Exercises that import each other in a circle: named at once, and only where Python itself stumbles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader.course.catalogue import load
from grader.grading.session import Session
from grader.judge.results import ExerciseResult, Status
from grader.protocol.runs import SubjectRun
from grader.supervisor.jobs import Held
from grader.supervisor.launcher import Launcher
from tests.mini import ID, PROBES, SOLUTION, TUTOR, write_exercise

IDS = (ID, "ex01_more", "ex02_most")
GradeThree = Callable[..., list[ExerciseResult]]


@pytest.fixture
def grade_three(
    repository: Path, subject_processes: Launcher, monkeypatch: pytest.MonkeyPatch
) -> tuple[GradeThree, list[str]]:
    """Grade three exercises, each with a text in front of its solution; and what was run for that."""
    write_exercise(repository, IDS[1], f"from .{ID} import total\n\n\n{SOLUTION}", PROBES, TUTOR)
    write_exercise(repository, IDS[2], f"from .{IDS[1]} import double as twice\n\n\n{SOLUTION}", PROBES, TUTOR)
    exercises, folder, ran, run = load(repository), repository / "exercises", list[str](), Held.run

    def counted(self: Held, *arguments: Any, **named: Any) -> SubjectRun:
        ran.append("run")
        return run(self, *arguments, **named)

    def grade(*begins: str) -> list[ExerciseResult]:
        for name, begin in zip(IDS, begins, strict=True):
            (folder / f"{name}.py").write_text(f"{begin}\n{SOLUTION}\n")
        session = Session(exercises, folder, 17, subject_processes, None)
        for exercise in exercises:
            session._bench(exercise).reference()
        monkeypatch.setattr(Held, "run", counted)
        ran.clear()
        return list(session.grade_all(exercises))

    return grade, ran


def words(result: ExerciseResult) -> str:
    return result.message or result.checks[0].message


CIRCLES = {
    "two": (
        ("import torch\nfrom .ex01_more import double", "from .ex00_mini import total", ""),
        "ex00_mini.py, line 2, imports ex01_more, which imports ex00_mini on line 1. ",
        "ex01_more.py, line 1, imports ex00_mini, which imports ex01_more on line 2. ",
    ),
    "three": (
        ("from .ex02_most import double", "from .ex00_mini import total", "\n\nfrom .ex01_more import total"),
        "ex00_mini.py, line 1, imports ex02_most, which imports ex01_more on line 3, "
        "which imports ex00_mini on line 1. ",
        "ex01_more.py, line 1, imports ex00_mini, which imports ex02_most on line 1, "
        "which imports ex01_more on line 3. ",
    ),
    "itself": (
        ("from .ex00_mini import double", "from .ex00_mini import total", ""),
        "ex00_mini.py, line 1, imports itself. ",
        "Builds on ex00_mini. ex00_mini.py, line 1, imports itself. ",
    ),
    "a module whose parts are used at once": (
        ("from . import ex01_more", "from . import ex00_mini\nmine = ex00_mini.double", ""),
        "ex00_mini.py, line 1, imports ex01_more, which uses ex00_mini on line 2. ",
        "",
    ),
    "within a function that is called at once": (
        ("def f():\n    from .ex01_more import double\nf()", "from .ex00_mini import total", ""),
        "ex00_mini.py, line 2, imports ex01_more, which imports ex00_mini on line 1. ",
        "ex01_more.py, line 1, imports ex00_mini, which imports ex01_more on line 2. ",
    ),
}


@pytest.mark.parametrize("case", CIRCLES)
def test_a_circle_is_named_with_its_lines_and_nothing_else_is_run(
    grade_three: tuple[GradeThree, list[str]], case: str
) -> None:
    grade, ran = grade_three
    begins, *said = CIRCLES[case]
    results = grade(*begins)
    assert len(ran) == len(IDS)
    for result, expected in zip(results, said, strict=False):
        if expected:
            assert words(result).startswith(expected)
            assert result.status is (Status.BLOCKED if expected.startswith("Builds on") else Status.RAISED)
    assert results[0].checks[0].place is not None and results[0].checks[0].place.file.endswith(f"{ID}.py")


def test_whoever_imports_a_circle_waits_for_it(grade_three: tuple[GradeThree, list[str]]) -> None:
    grade, _ = grade_three
    results = grade("from .ex01_more import double", "from .ex00_mini import total", "from .ex01_more import total")
    assert [result.status for result in results] == [Status.RAISED, Status.RAISED, Status.BLOCKED]
    assert words(results[2]).startswith("Builds on ex01_more. ex01_more.py, line 1, imports ex00_mini, which ")


TOLERATED = {
    "a module": ("from . import ex01_more", "from . import ex00_mini"),
    "a module that is used later": ("from . import ex01_more\ndef f(): ex01_more.total", "from . import ex00_mini"),
    "within a function": ("def f():\n    from .ex01_more import double", "from .ex00_mini import total"),
    "for types only": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .ex01_more import double",
        "from .ex00_mini import total",
    ),
    "with a way out": (
        "try:\n    from .ex01_more import double as d\nexcept ImportError:\n    d = None",
        "try:\n    from .ex00_mini import double as d\nexcept ImportError:\n    d = None",
    ),
    "what is there already": ("x = 1\nfrom .ex01_more import y", "y = 2\nfrom .ex00_mini import x"),
}


@pytest.mark.parametrize("case", TOLERATED)
def test_a_circle_that_python_gets_through_is_none(grade_three: tuple[GradeThree, list[str]], case: str) -> None:
    grade, _ = grade_three
    results = grade(*TOLERATED[case], "")
    assert [result.status for result in results] == [Status.PASSED] * 3
