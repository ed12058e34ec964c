"""What is saved to be graded: right, wrong in a known way, wrong in a way that nobody knows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

from grader.course.exercise import Exercise
from grader.course.variants import variant_sources
from grader.grading.session import Session
from grader.judge.results import ExerciseResult, Status
from grader.supervisor.launcher import Launcher

SEED = 17
# Put behind a solution: what one of its functions returns is off, in a way that nobody would think of.
OFF = """

def _off(value):
    if isinstance(value, torch.Tensor):
        return value * 1.37 + 0.11 if value.is_floating_point() else value + 3
    if isinstance(value, (bool, int, float)):
        return value + 3
    if isinstance(value, str):
        return value + " and so on"
    if isinstance(value, (list, tuple)) and value:
        return type(value)([*value[:-1], _off(value[-1])])
    return value


def _with_off(function):
    return lambda *arguments, **named: _off(function(*arguments, **named))


{name} = _with_off({name})
"""
# For an exercise in which that is always known.
RAISES = """

def {name}(*arguments, **named):
    raise ArithmeticError("nobody would raise this")
"""


@dataclass(frozen=True)
class Texts:
    """What is saved, and words that are shown for a known mistake and for no other."""

    right: str
    named: str
    unnamed: str
    words: str

    def kinds(self) -> dict[str, str]:
        return {"right": self.right, "named": self.named, "unnamed": self.unnamed}


def texts_for(exercise: Exercise, launcher: Launcher, folder: Path) -> Texts:
    """The texts of an exercise. `folder` is for trying them, and holds the other exercises."""
    session = Session((exercise,), folder, SEED, launcher, None)

    def graded(text: str) -> ExerciseResult:
        (folder / exercise.file_name).write_text(text, encoding="utf-8")
        return session.grade(exercise)

    right = exercise.solution.text
    for mistake in exercise.mistakes:
        if mistake.base or mistake.hangs:
            continue
        named = variant_sources(exercise, mistake)[exercise.id].text
        first = graded(named).first_open
        if first and first.mistakes == (mistake.name,):
            break
    else:
        raise AssertionError(exercise.id)
    for wrong, name in product((OFF, RAISES), exercise.solution_outline.functions):
        unnamed = f"import torch\n{right}{wrong.replace('{name}', name)}"
        result = graded(unnamed)
        first = result.first_open
        if result.status in (Status.WRONG, Status.RAISED) and first and not any(c.mistakes for c in result.checks):
            return Texts(right, named, unnamed, " ".join(mistake.says.split()[:5]))
    raise AssertionError(exercise.id)
