"""What the tests of several folders share: the small exercise, processes to grade it in, commands to run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.course import catalogue
from grader.course.exercise import Exercise
from grader.grading.session import Session
from grader.judge.results import ExerciseResult
from grader.learner.history import Store
from grader.supervisor.launcher import Launcher
from grader.supervisor.start import start_launcher
from tests.mini import ROOT, write_exercise

try:
    import hypothesis
    from hypothesis.internal.conjecture import providers
    from hypothesis.internal.constants_ast import Constants
except ModuleNotFoundError:  # comes with the extra `test`
    pass
else:
    # The same draws everywhere. Hypothesis also draws constants that it finds in the modules that are loaded, and
    # which these are differs from worker to worker: what one of them drew, nobody could draw again.
    hypothesis.settings.register_profile("alike", derandomize=True, deadline=None)
    hypothesis.settings.load_profile("alike")
    assert callable(providers._get_local_constants)
    providers._get_local_constants = Constants


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A root with one exercise; `exercises/` holds its stub."""
    write_exercise(tmp_path)
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "__init__.py").touch()
    (exercise,) = catalogue.load(tmp_path)
    (tmp_path / "exercises" / exercise.file_name).write_text(exercise.stub, encoding="utf-8")
    return tmp_path


@pytest.fixture
def exercise(repository: Path) -> Exercise:
    return catalogue.load(repository)[0]


@pytest.fixture
def store(repository: Path) -> Iterator[Store]:
    opened = Store(repository / ".grader" / "progress.sqlite3")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def subject_processes() -> Iterator[Launcher]:
    """The launcher of this system, shared by all tests."""
    started = start_launcher(seed=17)
    yield started
    started.close()


@pytest.fixture
def grade(repository: Path, exercise: Exercise, subject_processes: Launcher) -> Callable[[str], ExerciseResult]:
    """Grade a text as the learner's file of the small exercise."""

    def run(text: str) -> ExerciseResult:
        (repository / "exercises" / exercise.file_name).write_text(text, encoding="utf-8")
        session = Session((exercise,), repository / "exercises", 17, subject_processes, None)
        return session.grade(exercise)

    return run


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository's tracked folders, to run commands in. Tests share it and clean up."""
    target = tmp_path_factory.mktemp("checkout")
    for name in ("exercises", "solutions", "scenes", "tests", "tutor", "grader", "data"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "natural"))
    for name in ("pyproject.toml", "constraints.txt", "conftest.py"):
        shutil.copy(ROOT / name, target / name)
    for exercise in catalogue.load(target):
        (target / "exercises" / exercise.file_name).write_text(exercise.stub, encoding="utf-8")
    return target


@pytest.fixture
def command(checkout: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m grader …` in the checkout, as a person without colour would see it."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "grader", *arguments],
            cwd=checkout,
            env={**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "NO_COLOR": "1", "PYTHONUTF8": "1", **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    return run
