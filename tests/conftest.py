"""A repository of one small exercise, and what is needed to grade on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader import catalogue
from grader.catalogue import Exercise
from grader.processes.launch import Launcher, launcher
from grader.records import ExerciseResult
from grader.session import Session

ROOT = Path(__file__).resolve().parents[2]
# What takes minutes and depends little on the version of Python runs on one of them.
IS_OLDEST = sys.version_info[:2] == (3, 11)
on_the_oldest = pytest.mark.skipif(not IS_OLDEST, reason="takes minutes; runs on Python 3.11")

SOLUTION = '''"""A small exercise."""

import torch


def double(x):
    """Twice x."""
    # What a reader of the solution should see, and a learner should not.
    return x * 2


def total(x):
    """The sum of x over its last axis."""
    return x.sum(dim=-1)


class Counter:
    """Counts."""

    def __init__(self):
        """Begin at 0."""
        super().__init__()
        self.count = 0

    def add(self, amount=1):
        """Add, and return the new count. Raises ValueError for a negative amount, and names it."""
        if amount < 0:
            raise ValueError(f"cannot add {amount}")
        self.count += amount
        return self.count


def _helper():
    return None
'''

PROBES = """
import torch


def test_double(subject, draw, observe):
    observe("doubled", subject.double(draw.normal(2, 3)))


def test_total(subject, draw, observe):
    observe("total", subject.total(draw.normal(2, 3)))


def test_counter(subject, draw, observe):
    counter = subject.Counter()
    observe("counts", [counter.add(), counter.add(5)])
    observe.outcome("negative", counter.add, -3, mentions=("-3",))
"""

HINTS = """
[hints]
double = ["one", "two", "three"]
total = ["one", "two", "three"]
"Counter.__init__" = ["one", "two", "three"]
"Counter.add" = ["one", "two", "three"]
"""

TUTOR = f'''
title = "Mini"
minutes = 5

{HINTS}
[forbidden]
double = ["sum", "AdamW", "clip_grad_norm_"]
"*" = ["tiktoken"]

[[mistake]]
name = "tripled"
find = "x * 2"
with = "x * 3"
says = "You triple."

[[mistake]]
name = "endless"
find = "return x * 2"
with = """while True:
        pass"""
says = "Your loop does not end."
hangs = true

[[equivalent]]
name = "added"
find = "x * 2"
with = "x + x"
'''

ID = "ex00_mini"


def reader(data: bytes) -> Callable[[int], bytes]:
    """Reads from these bytes as from a pipe."""
    view = memoryview(data)

    def take(size: int) -> bytes:
        nonlocal view
        part, view = bytes(view[:size]), view[size:]
        return part

    return take


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A root with one exercise; `exercises/` holds its stub."""
    files = {
        f"solutions/{ID}.py": SOLUTION,
        f"tests/test_{ID}.py": PROBES,
        f"tutor/{ID}.toml": TUTOR,
        "exercises/__init__.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (exercise,) = catalogue.load(tmp_path)
    (tmp_path / "exercises" / exercise.file_name).write_text(exercise.stub, encoding="utf-8")
    return tmp_path


@pytest.fixture
def exercise(repository: Path) -> Exercise:
    return catalogue.load(repository)[0]


@pytest.fixture(scope="session")
def subject_processes() -> Iterator[Launcher]:
    """The launcher of this system, shared by all tests."""
    started = launcher(seed=17)
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
    for name in ("exercises", "solutions", "tests", "tutor", "grader"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
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
