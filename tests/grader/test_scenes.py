"""Scenes: what the learner's own code does is drawn, and what is no panel is refused."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from grader.commands.show import show_scene
from grader.course.catalogue import exercise_ids
from grader.protocol.runs import Observation
from grader.protocol.values import Array, Value
from grader.report.console import Page
from grader.report.scenes.panels import PANEL, BadPanel, Bars, Curves, Maps, Panel, Shades, read_panels
from grader.report.scenes.png import save_png
from grader.report.scenes.terminal import PLOT_HEIGHT, barred, mapped, plotted, shaded, show
from grader.supervisor.launcher import Launcher
from tests.mini import ROOT

# What a person sees without scrolling far.
SCREEN = 50
BARS: dict[Value, Value] = {
    "kind": "bars", "title": "T", "note": "N", "labels": ["cat", "dog"], "names": ["p"], "values": [[0.75], [0.25]]
}  # fmt: skip
CURVES: dict[Value, Value] = {
    "kind": "curves", "title": "T", "note": "N", "x": [0, 1, 2], "names": ["loss"], "values": [[100.0, 10.0, 1.0]],
    "across": "step", "log": True,
}  # fmt: skip
MAPS: dict[Value, Value] = {
    "kind": "maps", "title": "T", "note": "N", "names": ["0"],
    "values": [[[0.9, 0.7, float("nan")], [0.1, 0.5, 0.6]]], "points": [[0, 0, 0], [1.2, 1.9, 1], [9, 9, 1]],
}  # fmt: skip
TOKENS: dict[Value, Value] = {
    "kind": "tokens", "title": "T", "note": "N", "pieces": ["The", " bank", " of", "the", " river"],
    "below": ["12", "7", "300", "9", "1024"],
}  # fmt: skip
Command = Callable[..., subprocess.CompletedProcess[str]]


def shades(rows: tuple[str, ...], columns: tuple[str, ...], values: list[list[float]]) -> dict[Value, Value]:
    data = np.array(values, dtype=np.float32)
    array = Array("float32", data.shape, data.tobytes())
    return {"kind": "shades", "title": "T", "note": "N", "rows": rows, "columns": columns, "values": array}


def panels(*values: Value) -> list[Panel]:
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
        {**BARS, "names": []},
        {**BARS, "values": [[0.5], [0.5], [0.5]]},
        {**BARS, "values": [["a"], ["b"]]},
        {**CURVES, "x": [0, 2, 1]},
        {**CURVES, "x": [0]},
        {**CURVES, "names": ["a", "b"]},
        {**MAPS, "points": [[1, 2]]},
        {**MAPS, "names": ["a", "b", "c"], "values": [[[0.0] * 23]] * 3},
        {**TOKENS, "below": ["1"]},
    ],
)
def test_what_is_no_panel_is_refused(value: Value) -> None:
    with pytest.raises(BadPanel):
        panels(value)


def test_bars_are_as_long_as_their_weights() -> None:
    (panel,) = panels(BARS)
    assert isinstance(panel, Bars)
    first, second = barred(panel)
    assert first.startswith("cat   75 ") and second.startswith("dog   25 ")
    assert first.count("█") == 65 and second.count("█") == 22


def test_curves_are_drawn_from_end_to_end() -> None:
    (panel,) = panels(CURVES)
    assert isinstance(panel, Curves)
    lines = list(plotted(panel))
    assert lines[0].startswith("100 |*")
    assert lines[PLOT_HEIGHT // 2][5 + 29 : 5 + 31] == "**"  # 10 is half way from 1 to 100
    assert lines[PLOT_HEIGHT - 1].startswith("  1 |") and lines[PLOT_HEIGHT - 1].endswith("*")
    assert lines[-1].strip() == "* loss" and "step" in lines[-2]
    (panel,) = panels({**CURVES, "values": [[float("nan"), float("nan"), float("nan")]]})
    assert isinstance(panel, Curves)
    assert list(plotted(panel)) == ["no finite number to draw"]


def test_maps_are_shaded_above_one_half_with_their_points_on_top() -> None:
    (panel,) = panels(MAPS)
    assert isinstance(panel, Maps)
    assert [line.rstrip() for line in mapped(panel)] == ["0", "+---+", "|o░?|", "|  x|", "+---+"]


def test_every_picture_shows_something(tmp_path: Path) -> None:
    for number, panel in enumerate((BARS, CURVES, MAPS, shades(("a",), ("a", "b"), [[0.2, 0.8]]))):
        path = tmp_path / f"{number}.png"
        assert save_png(panels(panel), path)
        assert len({tuple(pixel) for row in imread(path) for pixel in row}) > 5
    assert not save_png(panels(TOKENS), tmp_path / "none.png")


def test_tokens_stand_apart_and_wrap(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    show(Page(), panels(TOKENS))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:6] == ["  The| bank| of|the", "  12 |7    |300|9  ", "   river", "  1024  "]


def test_odd_weights_are_shown_all_the_same(tmp_path: Path) -> None:
    found = panels(shades(("a", "b"), ("a", "b"), [[float("nan"), -1.0], [float("inf"), 2.0]]))
    assert isinstance(found[0], Shades)
    assert [line.count("?") for line in shaded(found[0])] == [0, 2, 2]
    assert save_png(found, tmp_path / "x" / "picture.png")
    assert not save_png(panels({"kind": "text", "title": "", "note": "", "lines": []}), tmp_path / "none.png")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "ex06_attention" else pytest.mark.slow)
        for name in exercise_ids(ROOT)
        if (ROOT / "scenes" / f"{name}.py").exists()
    ],
)
def test_every_scene_fits_a_terminal_and_a_screen(
    name: str,
    subject_processes: Launcher,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code = show_scene(ROOT, name, "", None, ROOT / "solutions", 17, subject_processes, tmp_path, Page())
    lines = capsys.readouterr().out.splitlines()
    assert code == 0, lines
    assert max(map(len, lines)) <= 80
    assert len(lines) <= SCREEN


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


def test_unfinished_code_and_exercises_without_a_scene_get_one_line(command: Command, checkout: Path) -> None:
    done = command("show", "ex06")
    assert done.returncode == 1 and "still to be written" in " ".join(done.stdout.split())
    assert len(done.stdout.splitlines()) <= 2
    scene = checkout / "scenes" / "ex01_text.py"
    text = scene.read_text(encoding="utf-8")
    scene.unlink()
    try:
        done = command("show", "ex01")
    finally:
        scene.write_text(text, encoding="utf-8")
    scenes = ", ".join(sorted(path.stem for path in (ROOT / "scenes").glob("ex*.py") if path.stem != "ex01_text"))
    assert done.returncode == 2 and f"ex01_text has no scene. There are: {scenes}." in done.stderr


def test_a_scene_is_offered_when_the_exercise_passes(command: Command) -> None:
    offered = "See what your code does: python3 -m grader show ex06 --on solutions"
    assert offered in command("check", "ex06", "--on", "solutions").stdout
    assert "See what" not in command("check", "ex06").stdout
