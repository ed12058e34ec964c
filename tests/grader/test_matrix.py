"""The kill matrix finds what is wrong with the known mistakes of an exercise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.course.exercise import Exercise, Mistake
from grader.grading.bench import Bench, Processes
from grader.grading.matrix import checks_that_see, find_reach, run_mistakes
from grader.supervisor.launcher import Launcher


def mistake(find: str, replacement: str, says: str = "Says.", hangs: bool = False) -> Mistake:
    return Mistake("made-up", "double", find, replacement, says, hangs)


@pytest.mark.parametrize(
    ("made_up", "what"),
    [
        (mistake("x * 2", "x * 4"), ""),
        (mistake("x * 2", "2 * x"), "unseen"),
        (mistake("x * 2", "x *"), "not importable"),
        (mistake("x * 2", "x * 4", hangs=True), "hangs"),
        (mistake("x * 2", "x + x + x", says="Another."), "twin"),
    ],
)
def test_what_is_wrong_with_a_mistake_is_found(
    exercise: Exercise, subject_processes: Launcher, made_up: Mistake, what: str
) -> None:
    changed = replace(exercise, mistakes=(*exercise.mistakes, made_up))
    row = run_mistakes(Bench(changed, 17, Processes(subject_processes)))[-1]
    assert row.good is (what == "")
    assert bool(row.caught_by) is (what != "unseen")
    assert row.is_importable is (what != "not importable")
    assert row.hang_is_marked is (what != "hangs")
    assert row.same_as == (("tripled",) if what == "twin" else ())


def test_a_mistake_is_run_on_the_checks_that_run_its_function(
    exercise: Exercise, subject_processes: Launcher
) -> None:
    reach = find_reach(Bench(exercise, 17, Processes(subject_processes)))
    assert reach["", "double"] == {"test_double"}
    assert reach["", "Counter.add"] == reach["", "Counter.__init__"] == {"test_counter"}
    every = tuple(check.name for check in exercise.checks)
    for edit, names in (
        (mistake("x * 2", "x * 4"), ("test_double",)),
        (mistake("amount=1", "amount=2"), every),  # not within a body
        (mistake("return x * 2", "return x\n\n\ntotal = None"), every),  # leads out of it
    ):
        assert checks_that_see(edit, exercise, reach) == names
