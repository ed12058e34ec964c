"""The exercises themselves: every mistake is seen and told apart, every equivalent passes, stubs are current."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from grader.course import catalogue
from grader.grading.bench import Bench, Processes
from grader.grading.matrix import run_equivalents, run_mistakes
from grader.supervisor.launcher import Launcher
from grader.supervisor.start import start_launcher
from tests.mini import ROOT

EXERCISES = {exercise.id: exercise for exercise in catalogue.load(ROOT)}
SEED = 17


@pytest.fixture(scope="module")
def processes() -> Iterator[Launcher]:
    started = start_launcher(SEED)
    yield started
    started.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_every_mistake_is_seen_and_told_apart(name: str, processes: Launcher) -> None:
    rows = run_mistakes(Bench(EXERCISES[name], SEED, Processes(processes)))
    assert len(rows) == len(EXERCISES[name].mistakes) > 0
    assert [row for row in rows if not row.good] == []


@pytest.mark.parametrize("name", EXERCISES)
def test_every_equivalent_passes(name: str, processes: Launcher) -> None:
    assert EXERCISES[name].equivalents
    assert run_equivalents(Bench(EXERCISES[name], SEED, Processes(processes))) == {}


@pytest.mark.parametrize("name", EXERCISES)
def test_every_check_is_about_something(name: str) -> None:
    assert all(check.function for check in EXERCISES[name].checks)


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
        assert text.rpartition("\n")[2].startswith(" ") or text.rstrip("`)")[-1] in ".?:", text
        assert not re.search(r"\w!(\s|$)", text), text
