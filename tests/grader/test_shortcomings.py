"""What an exercise lacks is said in one sentence each; `matrix` and the suite ask for the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.course.exercise import Check, Exercise
from grader.course.scene import read_scene
from grader.course.shortcomings import LESSON_PARTS, shortcomings
from grader.protocol.job import Source


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


def test_the_parts_of_a_lesson_are_asked_for(exercise: Exercise) -> None:
    lacking = [line for line in said(exercise) if "lacks its part" in line]
    assert len(lacking) == len(LESSON_PARTS)
    lesson = "\n\n".join(f"{part}: this and that." for part in LESSON_PARTS)
    changed = with_lesson(exercise, lesson)
    assert not any("lacks its part" in line for line in said(changed))


def test_answers_a_scene_and_fine_print_are_asked_for(exercise: Exercise) -> None:
    wanted = [
        "the file should end in the answers to the two questions, after the line '# ANSWERS'",
        "it has no scene",
        "no probe is about the fine print: see the line that begins it in another file of probes",
    ]
    assert [line for line in said(exercise) if line in wanted] == wanted
    solution = replace(exercise.solution, text=exercise.solution.text + "\n# ANSWERS\n# 1. Yes.\n")
    checks = (*exercise.checks, Check("test_more", "double", fine_print=True))
    scene = read_scene(Source("scene.py", "def look(subject, draw, observe): ..."))
    changed = replace(exercise, solution=solution, checks=checks, scene=scene)
    assert not [line for line in said(changed) if line in wanted]


@pytest.mark.parametrize("after", ["Example: x.", "Fine print\n        More.", "Source: the lesson."])
def test_only_the_core_of_a_docstring_has_to_be_short(exercise: Exercise, after: str) -> None:
    def with_docstring(words: int, rest: str) -> list[str]:
        text = exercise.solution.text.replace("Twice x.", f"{'word ' * words}\n\n    {rest}\n    {'more ' * 90}")
        changed = replace(exercise, solution=replace(exercise.solution, text=text))
        return [line for line in said(changed) if line.startswith("the core of")]

    assert with_docstring(80, after) == []
    assert with_docstring(81, after) == ["the core of double has 81 words, and should have 80 or fewer"]
