"""Right code that fails is found, with its seed, and so is a mistake that no check sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import Seen, measure_effects, run_block, taking_turns
from grader.course.catalogue import load
from grader.grading.bench import Processes
from grader.supervisor.start import start_launcher
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
    names = ["a", "b", "c", "d", "e"]
    turns = [taking_turns(names, seed) for seed in range(1, 6)]
    assert all(len(set(turn)) == 2 for turn in turns)
    assert {name for turn in turns for name in turn} == set(names)
    assert taking_turns(["a"], 3) == ["a"]
    assert taking_turns([], 3) == []


def test_false_alarms_and_unseen_mistakes_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_exercise(tmp_path, tutor={**TUTOR, "double": HINTS + UNSEEN + WRONG})
    (exercise,) = load(tmp_path)
    seen, launcher = Seen(), start_launcher(1)
    try:
        run_block(exercise, [3, 4], Processes(launcher), seen)
        measure_effects(exercise, [3], Processes(launcher), seen)
    finally:
        launcher.close()
    assert seen.runs == 4  # the solution and the equivalent, on two seeds
    assert seen.alarms == 2
    assert (
        f"false alarm: {ID}, seed 3, halved, test_double: doubled: 6 of 6 values are off" in capsys.readouterr().out
    )
    assert seen.noise["test_double"].version == "halved"
    assert seen.noise["test_total"].distance == 0
    assert 0 < seen.effects["hardly-more"].distance < 1
