"""What an exercise lacks is said in one sentence each; `matrix` and the suite ask for the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.course.exercise import Check, Exercise
from grader.course.shortcomings import shortcomings


def said(exercise: Exercise) -> list[str]:
    return list(shortcomings(exercise))


def with_lesson(exercise: Exercise, lesson: str) -> Exercise:
    text = exercise.solution.text.replace("A small exercise.", lesson)
    return replace(exercise, solution=replace(exercise.solution, text=text))


def test_the_small_exercise_lacks_numbers_and_words_on_what_is_forbidden(exercise: Exercise) -> None:
    assert said(exercise)[:2] == [
        "it has 2 known mistakes, and should have 12 or more",
        "it has 1 known equivalents, and should have 3 or more",
    ]
    assert "the lesson does not say that AdamW is forbidden" in said(exercise)


@pytest.mark.parametrize(
    ("lesson", "is_said"),
    [("No sum, no AdamW, no clip_grad_norm_, no tiktoken.", False), ("No sum, no clip_grad_norm_.", True)],
)
def test_the_lesson_names_what_is_forbidden(exercise: Exercise, lesson: str, is_said: bool) -> None:
    assert any("forbidden" in line for line in said(with_lesson(exercise, lesson))) is is_said


def test_the_lesson_promises_nothing_that_is_not_there(exercise: Exercise) -> None:
    assert "the lesson names ex21, and there is none" in said(with_lesson(exercise, "As in ex00 and ex21."))


def test_every_function_has_a_probe_and_every_probe_a_function(exercise: Exercise) -> None:
    changed = replace(exercise, checks=(*exercise.checks[1:], Check("test_nothing", "")))
    assert "no probe is about double" in said(changed)
    assert "test_nothing is about nothing: it should use `subject.` and a name" in said(changed)


@pytest.mark.parametrize(
    ("hint", "what"),
    [("no end", "full stop"), ("Well done! Go on.", "exclamation"), ("The whole:\n    x = y", ""), ("A dot.", "")],
)
def test_hints_are_calm_and_end(exercise: Exercise, hint: str, what: str) -> None:
    calm = dict.fromkeys(exercise.hints, ("One.", "Two.", hint))
    lines = [line for line in said(replace(exercise, hints=calm)) if "hint" in line]
    assert bool(lines) is bool(what)
    assert all(what in line for line in lines)


def test_the_readme_has_a_row_with_the_minutes(exercise: Exercise) -> None:
    readme = exercise.root / "README.md"
    readme.write_text("| `ex00_mini` | counting | 30 |\n")
    assert "the README's table should have a row for it, with 20 minutes" in said(exercise)
    readme.write_text("| `ex00_mini` | counting | 20 |\n░░ 0 of 1 done\n")
    assert not any("README" in line for line in said(exercise))
    readme.write_text("| `ex00_mini` | counting | 20 |\n░░ 0 of 3 done\n")
    assert "the README shows 'of 3 done', and there are 1 exercises" in said(exercise)
