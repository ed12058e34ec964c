"""Scenes: what the learner's own code does is drawn, and what is no panel is refused."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from grader.protocol.runs import Observation
from grader.protocol.values import Array, Value
from grader.report.scene import PANEL, BadPanel, Shades, Text, read_panels, save_png, shaded
from tests.mini import ROOT

Command = Callable[..., subprocess.CompletedProcess[str]]


def shades(rows: tuple[str, ...], columns: tuple[str, ...], values: list[list[float]]) -> dict[Value, Value]:
    data = np.array(values, dtype=np.float32)
    array = Array("float32", data.shape, data.tobytes())
    return {"kind": "shades", "title": "T", "note": "N", "rows": rows, "columns": columns, "values": array}


def panels(*values: Value) -> list[Shades | Text]:
    return read_panels([Observation(PANEL, value) for value in values])


def test_weights_are_shaded_and_labelled_and_0_is_blank() -> None:
    (panel,) = panels(shades(("the", "bank"), ("the", "bank"), [[1.0, 0.0], [0.25, 0.75]]))
    assert isinstance(panel, Shades)
    assert list(shaded(panel)) == ["      the     bank", "the   ██ 100", "bank  ░░  25  ▓▓  75"]


@pytest.mark.parametrize(
    "value",
    [
        3,
        {"kind": "unknown", "title": "", "note": ""},
        {"kind": "text", "title": 3, "note": "", "lines": []},
        {"kind": "text", "title": "", "note": "", "lines": "abc"},
        {"kind": "text", "title": "", "note": "", "lines": [1]},
        shades(("a",), ("a", "b"), [[1.0]]),
        shades(("a",) * 17, ("a",), [[1.0]] * 17),
        {**shades(("a",), ("a",), [[1.0]]), "values": 3},
    ],
)
def test_what_is_no_panel_is_refused(value: Value) -> None:
    with pytest.raises(BadPanel):
        panels(value)


def test_odd_weights_are_shown_all_the_same(tmp_path: Path) -> None:
    found = panels(shades(("a", "b"), ("a", "b"), [[float("nan"), -1.0], [float("inf"), 2.0]]))
    assert isinstance(found[0], Shades)
    assert [line.count("?") for line in shaded(found[0])] == [0, 2, 2]
    assert save_png(found, tmp_path / "x" / "picture.png")
    assert not save_png(panels({"kind": "text", "title": "", "note": "", "lines": []}), tmp_path / "none.png")


def test_ex06_shows_who_looks_at_whom(command: Command, checkout: Path) -> None:
    """As the lesson promises; with nothing of the future under the mask."""
    done = command("show", "ex06", "--on", "solutions", COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.isprintable() or "\x1b" not in done.stdout
    _, unmasked, masked = done.stdout.split("  the  ")[0], *done.stdout.split("        the     bank    of")[1:]
    assert len(unmasked.splitlines()[2].split()) == 11  # bank: a shade and a percentage for each of five words
    assert masked.splitlines()[2].split() == ["bank", "░░", "9", "██", "91"]
    assert (checkout / ".grader" / "scenes" / "ex06_attention.png").read_bytes().startswith(b"\x89PNG")


def test_a_scene_shows_the_learners_own_mistake(command: Command, checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(checkout / "solutions", folder)
    path = folder / "ex06_attention.py"
    path.write_text(path.read_text(encoding="utf-8").replace("diagonal=1)", "diagonal=2)"), encoding="utf-8")
    masked = command("show", "ex06", "--on", str(folder)).stdout.split("        the     bank    of")[2]
    assert masked.splitlines()[1].split()[:1] == ["the"] and len(masked.splitlines()[1].split()) == 5


def test_unfinished_code_and_exercises_without_a_scene_get_one_line(command: Command) -> None:
    done = command("show", "ex06")
    assert done.returncode == 1 and "still to be written" in " ".join(done.stdout.split())
    assert len(done.stdout.splitlines()) <= 2
    done = command("show", "ex01")
    scenes = ", ".join(sorted(path.stem for path in (ROOT / "scenes").glob("ex*.py")))
    assert done.returncode == 2 and f"ex01_text has no scene. There are: {scenes}." in done.stderr


def test_a_scene_is_offered_when_the_exercise_passes(command: Command) -> None:
    offered = "See what your code does: python3 -m grader show ex06 --on solutions"
    assert offered in command("check", "ex06", "--on", "solutions").stdout
    assert "See what" not in command("check", "ex06").stdout
