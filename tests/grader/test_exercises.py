"""The exercises themselves: every mistake is seen and told apart, every equivalent passes, stubs are current."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from grader import catalogue
from grader.matrix import Matrix, matrix
from grader.processes.launch import Launcher, launcher

from .conftest import IS_OLDEST, ROOT

EXERCISES = {exercise.id: exercise for exercise in catalogue.load(ROOT)}
SEED = 17


@pytest.mark.parametrize("name", EXERCISES)
def test_every_mistake_is_seen_and_told_apart_and_every_equivalent_passes(name: str) -> None:
    """On other Pythons than the oldest the equivalents only: the mistakes take minutes, and depend little on it."""
    exercise = EXERCISES[name]
    started: Launcher = launcher(SEED)
    try:
        result: Matrix = matrix(exercise if IS_OLDEST else replace(exercise, mistakes=()), started, SEED)
    finally:
        started.close()
    assert [row for row in result.mistakes if not row.good] == []
    assert result.refused == {}


@pytest.mark.parametrize("name", EXERCISES)
def test_there_is_enough_to_tell(name: str) -> None:
    exercise = EXERCISES[name]
    assert len(exercise.mistakes) >= 12
    assert len(exercise.equivalents) >= 3
    assert 15 <= exercise.minutes <= 60
    assert all(check.function for check in exercise.checks)


@pytest.mark.parametrize("name", EXERCISES)
def test_every_function_is_checked(name: str) -> None:
    exercise = EXERCISES[name]
    asked = {function.partition(".")[0] for function in exercise.hints}
    assert asked <= {check.function for check in exercise.checks}


@pytest.mark.parametrize("name", EXERCISES)
def test_words_are_calm_and_end_in_a_full_stop(name: str) -> None:
    exercise = EXERCISES[name]
    sentences = [mistake.says for mistake in exercise.mistakes]
    sentences += [hint for hints in exercise.hints.values() for hint in hints[:2]]
    for text in sentences:
        assert text.rstrip("`)")[-1] in ".?:", text
        assert not re.search(r"\w!(\s|$)", text), text
