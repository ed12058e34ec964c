"""Each file in another style: right ones pass, wrong ones fail, and what is named is what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.course import catalogue
from grader.course.exercise import Exercise
from grader.supervisor.launcher import Launcher
from tests.mini import ROOT
from tests.natural.harness import UNNAMED, Graders, as_expected, expected, named, natural_files

PATHS = natural_files()


@pytest.fixture(scope="module")
def exercises() -> dict[str, Exercise]:
    return {exercise.id: exercise for exercise in catalogue.load(ROOT)}


@pytest.fixture(scope="module")
def graders(
    exercises: dict[str, Exercise], subject_processes: Launcher, tmp_path_factory: pytest.TempPathFactory
) -> Graders:
    return Graders(exercises, subject_processes, tmp_path_factory.mktemp("natural"))


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_verdict_is_what_the_file_says(path: Path, graders: Graders) -> None:
    result = graders.grade(path)
    assert as_expected(path, result), (result.status, sorted(named(result)))


def test_what_is_expected_is_known(exercises: dict[str, Exercise]) -> None:
    for path in PATHS:
        known = {mistake.name for mistake in exercises[path.parent.name].mistakes}
        assert expected(path).all_names <= known, path


def test_nearly_everything_wrong_has_a_name() -> None:
    wrong = [path for path in PATHS if not expected(path).is_right]
    unnamed = [path for path in wrong if UNNAMED in path.read_text(encoding="utf-8").partition("\n")[0]]
    assert len(unnamed) <= 0.05 * len(wrong), unnamed


@pytest.mark.parametrize("exercise", sorted({path.parent.name for path in PATHS}))
def test_there_are_files_of_each_kind(exercise: str) -> None:
    kinds = [expected(path) for path in PATHS if path.parent.name == exercise]
    right = sum(kind.is_right for kind in kinds)
    double = sum(len(kind.mistakes) + bool(kind.hidden) > 1 for kind in kinds)
    assert right >= 6
    assert double >= 4
    assert len(kinds) - right - double >= 8
