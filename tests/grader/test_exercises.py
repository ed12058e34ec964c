"""The exercises themselves: every mistake is seen and told apart, every equivalent passes, indexes are current."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.course import catalogue
from grader.course.index import INDEX_SEED, read_index
from grader.course.shortcomings import shortcomings
from grader.grading.bench import Bench, Processes
from grader.grading.matrix import run_equivalents, run_mistakes
from grader.supervisor.launcher import Launcher
from grader.supervisor.start import start_launcher
from tests.mini import ROOT

EXERCISES = {exercise.id: exercise for exercise in catalogue.load(ROOT)}


@pytest.fixture(scope="module")
def processes() -> Iterator[Launcher]:
    started = start_launcher(INDEX_SEED)
    yield started
    started.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_every_mistake_is_seen_and_told_apart(name: str, processes: Launcher) -> None:
    """On the checks that the index names. `matrix --check` takes longer: it also shows that no other sees it."""
    exercise = EXERCISES[name]
    index = read_index(exercise)
    assert index, f"`python3 -m grader matrix {name[:4]}` writes its index"
    rows = run_mistakes(Bench(exercise, INDEX_SEED, Processes(processes)), index)
    assert len(rows) == len(exercise.mistakes) > 0
    assert [row for row in rows if not row.good] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_every_equivalent_passes(name: str, processes: Launcher) -> None:
    assert run_equivalents(Bench(EXERCISES[name], INDEX_SEED, Processes(processes))) == {}


@pytest.mark.parametrize("name", EXERCISES)
def test_nothing_is_lacking(name: str) -> None:
    assert list(shortcomings(EXERCISES[name])) == []
