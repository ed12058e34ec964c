"""A save is noticed once, whole, however an editor makes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.commands.watching import saves as module
from grader.commands.watching.desk import concerned
from grader.commands.watching.saves import GLANCES, HALF_SECONDS, Saves, is_whole
from tests.mini import ROOT

FIRST, SECOND = "x = 1\n", "x = 2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ex00_mini.py"
    path.write_text(FIRST)
    return path


def looked_at(saves: Saves, seconds: float = 0.6) -> list[str]:
    """What is noticed within this time, by looking all the while."""
    noticed = []
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        noticed += saves.look()
        time.sleep(0.01)
    return noticed


def replaced(path: Path, text: str) -> None:
    """As editors do that save atomically: VS Code, `sed -i`."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


def renamed_away(path: Path, text: str) -> None:
    """As vim does with `backupcopy=no`."""
    path.rename(path.with_name(f"{path.name}~"))
    time.sleep(0.05)
    path.write_text(text)


def in_two_halves(path: Path, text: str) -> None:
    with path.open("w") as stream:
        time.sleep(0.05)
        stream.write(text[:3])
        stream.flush()
        time.sleep(0.05)
        stream.write(text[3:])


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("save", [replaced, renamed_away, in_two_halves, in_place])
def test_a_save_is_noticed_once(file: Path, save: Callable[[Path, str], None]) -> None:
    saves = Saves(file.parent)
    assert saves.look() == []
    noticed: list[str] = []
    import threading

    saving = threading.Thread(target=save, args=(file, SECOND))
    saving.start()
    noticed = looked_at(saves, 0.8)
    saving.join()
    assert noticed == ["ex00_mini"]


EDITORS = {
    "vim, :w": ["vim", "-u", "NONE", "-N", "-es", "-c", "s/1/2/", "-c", "w", "-c", "q"],
    "vim, :w with a backup": [
        *("vim", "-u", "NONE", "-N", "-es", "-c", "set backup backupcopy=no backupdir=.", "-c", "s/1/2/"),
        *("-c", "w", "-c", "q"),
    ],
    "sed -i": ["sed", "-i", "s/1/2/"],
    "perl -i": ["perl", "-pi", "-e", "s/1/2/"],
}


@pytest.mark.parametrize("command", EDITORS.values(), ids=EDITORS)
def test_the_save_of_an_editor_is_noticed_once(file: Path, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    saves = Saves(file.parent)
    subprocess.run([*command, str(file)], check=False, cwd=file.parent, stdin=subprocess.DEVNULL)
    assert file.read_text() == SECOND
    assert looked_at(saves) == ["ex00_mini"]


def test_git_checkout_is_a_save_of_each_file_that_changes(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=learner", "-c", "user.email=learner@localhost")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    names = ["ex00_a", "ex01_b", "ex02_c"]
    git("init", "-q")
    for name in names:
        (tmp_path / f"{name}.py").write_text(FIRST)
    git("add", ".")
    git("commit", "-qm", "first")
    for name in names[:2]:
        (tmp_path / f"{name}.py").write_text(SECOND)
    saves = Saves(tmp_path)
    git("checkout", "-q", ".")
    assert sorted(looked_at(saves)) == names[:2]


def test_a_change_that_shows_in_neither_time_nor_size_is_noticed(file: Path) -> None:
    saves = Saves(file.parent)
    assert saves.look() == []
    file.write_text(SECOND)
    assert saves.look() == ["ex00_mini"]
    before = file.stat()
    file.write_text(FIRST)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_ino == before.st_ino and file.stat().st_size == before.st_size
    assert saves.look() == ["ex00_mini"]


def test_the_same_text_again_is_no_save(file: Path) -> None:
    saves = Saves(file.parent)
    file.write_text(FIRST)
    replaced(file, FIRST)
    assert looked_at(saves, 0.3) == []


def test_what_cannot_be_right_counts_when_it_stays(file: Path) -> None:
    saves = Saves(file.parent)
    start = time.monotonic()
    file.write_text("def f(:\n")
    assert looked_at(saves, HALF_SECONDS / 2) == []
    assert looked_at(saves, 2 * HALF_SECONDS) == ["ex00_mini"]
    assert time.monotonic() - start >= HALF_SECONDS


def test_a_file_that_is_gone_is_told_once_and_so_is_its_coming_back(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GONE_SECONDS", 0.2)
    saves = Saves(file.parent)
    file.unlink()
    assert looked_at(saves, 0.6) == ["ex00_mini"]
    file.write_text(FIRST)
    assert looked_at(saves, 0.3) == ["ex00_mini"]


def test_a_new_file_is_a_save(file: Path) -> None:
    saves = Saves(file.parent)
    (file.parent / "helper.py").write_text(FIRST)
    assert looked_at(saves, 0.3) == ["helper"]


def test_a_folder_that_is_gone_is_waited_for(file: Path) -> None:
    saves = Saves(file.parent)
    away = file.parent.with_name("away")
    file.parent.rename(away)
    assert looked_at(saves, 0.2) == []
    away.rename(file.parent)
    assert looked_at(saves, 0.2) == []


def test_every_exercise_is_whole() -> None:
    assert all(is_whole(path.read_bytes()) for path in (ROOT / "exercises").glob("ex*.py"))
    assert not any(map(is_whole, (None, b"", b" \n", b"def f(", b"\xff\xfe\x00", b'"""never ends')))


IDS = ("ex00_a", "ex01_b", "ex02_c")


@pytest.mark.parametrize(
    "saved, used, chosen",
    [
        (["ex02_c"], [], "ex02_c"),
        (["ex00_a"], [], "ex00_a"),
        (["ex00_a"], ["ex00_a"], "ex00_a"),  # saved alone: it is what is worked on
        (["helper"], ["helper"], "ex01_b"),
        (["helper"], [], None),
        (["ex00_a", "ex01_b"], [], "ex01_b"),
        (["ex00_a", "ex02_c"], ["ex00_a"], "ex01_b"),
        (["ex00_a", "ex02_c"], [], "ex00_a"),
        ([], [], None),
    ],
)
def test_which_exercise_a_save_is_about(saved: list[str], used: list[str], chosen: str | None) -> None:
    assert concerned(IDS, saved, "ex01_b", used) == chosen


def test_a_glance_sees_the_file_that_is_worked_on_at_once_and_others_soon(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "ex01_other.py"
    other.write_text(FIRST)
    for path in (file, other):
        os.utime(path, (1, 1))  # or both times of one file could be the same, on a coarse clock
    saves = Saves(tmp_path)
    file.write_text("x = 2\n")
    assert saves.glance("ex00_mini") == ["ex00_mini"]
    other.write_text("x = 2\n")
    seen = [saves.glance("ex00_mini") for _ in range(GLANCES)]
    assert seen.count(["ex01_other"]) == 1
    assert [saves.glance("ex09_none") for _ in range(GLANCES)] == [[]] * GLANCES
