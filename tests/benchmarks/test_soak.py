"""Right code that fails is found, with its seed, and so is a mistake that no check sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import SOLUTION, Seen, measure_effects, run_block, whose_turn
from grader.course.catalogue import load
from grader.grading.bench import Processes
from grader.supervisor.start import start_launcher
from tests import mini
from tests.mini import HINTS, ID, TUTOR, write_exercise

WRONG = """
[equivalent.halved]
find = "x * 2"
with = "x / 2"
"""
UNSEEN = """
[mistake.hardly-more]
find = "x * 2"
with = "x * 2.000001"
says = "It is hardly more."
"""


def test_each_version_has_its_turn() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    turns = [whose_turn(names, seed) for seed in range(1, 31)]
    assert turns.count(SOLUTION) == 6
    assert all(turns.count(name) == 4 for name in names)
    assert whose_turn([], 3) == SOLUTION


def test_false_alarms_and_unseen_mistakes_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_exercise(tmp_path, tutor={**TUTOR, "double": HINTS + UNSEEN + WRONG})
    (exercise,) = load(tmp_path)
    seen, launcher = Seen(), start_launcher(1)
    try:
        run_block(exercise, [3, 4, 5], Processes(launcher), True, seen)
        measure_effects(exercise, [3], Processes(launcher), seen)
    finally:
        launcher.close()
    assert seen.runs == 3  # the equivalent on two seeds, the solution on one
    assert seen.alarms == 2
    assert (
        f"false alarm: {ID}, seed 3, halved, test_double: doubled: 6 of 6 values are off" in capsys.readouterr().out
    )
    assert seen.noise["test_double"].version == "halved"
    assert seen.noise["test_total"].distance == 0
    assert 0 < seen.effects["hardly-more"].distance < 1


def test_a_reference_that_does_not_complete_is_an_alarm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_exercise(
        tmp_path, solution=mini.SOLUTION.replace("return x * 2", "return x * 2 if x is None else x.nothing")
    )
    (exercise,) = load(tmp_path)
    seen, launcher = Seen(), start_launcher(1)
    try:
        run_block(exercise, [5], Processes(launcher), False, seen)
    finally:
        launcher.close()
    assert seen.alarms
    assert "the reference does not complete test_double" in capsys.readouterr().out


STUB = """
[equivalent.left-a-stub]
find = "return x.sum(dim=-1)"
with = "raise NotImplementedError"
"""


def test_a_function_that_may_be_left_a_stub_is_no_alarm(tmp_path: Path) -> None:
    optional = mini.SOLUTION.replace("def total(x):", "def total(x):  # optional")
    write_exercise(tmp_path, solution=optional, tutor={**TUTOR, "total": HINTS + STUB})
    (exercise,) = load(tmp_path)
    seen, launcher = Seen(), start_launcher(1)
    try:
        run_block(exercise, [3, 4], Processes(launcher), False, seen)
    finally:
        launcher.close()
    assert (seen.runs, seen.alarms) == (2, 0)  # one of them is the stub's turn
    assert seen.noise["test_total"].version == "added"
