"""The grader removes the folders that it made, whatever lies in their place or in them, and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from grader.course.exercise import Exercise
from grader.errors import note_traceback
from grader.grading.bench import job_for
from grader.protocol import scratch
from grader.protocol.job import Limits, Source
from grader.protocol.layers import WITHOUT
from grader.protocol.scratch import clear, remember, remove_tree
from grader.report.scenes.panels import Bars
from grader.report.scenes.png import save_png
from grader.sandbox import spare
from grader.sandbox.guard import Guard
from grader.supervisor import launcher
from grader.supervisor.jobs import run
from grader.supervisor.launcher import new_scratch, remove_abandoned, remove_scratch
from grader.supervisor.spares import Spares
from grader.supervisor.zygotes import Zygote
from tests.mini import with_body

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links are not everybody's there")
# Past Python's own refusals: which folder is to lose its place, and what is put there.
REPLACING = """
import ctypes, os
C = ctypes.CDLL(None)
here = os.getcwd().encode()
for name in os.listdir('.'): C.unlink(name.encode())
C.rmdir(here)
"""
LINK = "C.symlink({victim!r}.encode(), here)\n"
MOVE = "C.rename({victim!r}.encode(), here)\n"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    remember(folder)
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "precious").touch()
    return folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders of graders are, for this test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def is_whole(folder: Path) -> bool:
    return (folder / "inner" / "precious").exists()


def test_what_is_in_it_goes_with_it(made: Path, victim: Path) -> None:
    (made / "file").touch()
    (made / "closed").mkdir()
    (made / "closed" / "file").touch()
    (made / "closed").chmod(0)
    (made / "link").symlink_to(victim)
    (made / "closed to writing").mkdir()
    (made / "closed to writing" / "link").symlink_to(victim / "inner")
    (made / "closed to writing").chmod(0o500)
    made.chmod(0)
    remove_tree(made)
    assert not made.exists()
    assert is_whole(victim)


def test_so_does_what_no_path_reaches(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    for _ in range(40):
        Path("n" * 200).mkdir()
        os.chdir("n" * 200)
        Path("file").touch()
    os.chdir(made)
    (made / ".0" / ".0" / ".1").mkdir(parents=True)
    (made / ".1" / "file" / ".0").mkdir(parents=True)
    os.chdir(made.parent)
    remove_tree(made)
    assert not made.exists()


def test_a_link_in_its_place_is_not_followed(made: Path, victim: Path) -> None:
    made.rmdir()
    made.symlink_to(victim)
    remove_tree(made)
    assert is_whole(victim)
    assert not made.is_symlink()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_else_in_its_place_is_left(made: Path, victim: Path, kind: str) -> None:
    made.rename(made.with_name("away"))
    if kind == "folder":
        victim.rename(made)
        remove_tree(made)
        assert is_whole(made)
    else:
        (victim / "inner" / "precious").rename(made)
        remove_tree(made)
        assert made.is_file()


def test_a_link_above_it_leads_to_nothing_else(tmp_path: Path, victim: Path) -> None:
    folder = tmp_path / "above" / "inner"
    folder.mkdir(parents=True)
    remember(folder)
    folder.parent.rename(tmp_path / "away")
    folder.parent.symlink_to(victim)
    remove_tree(folder)
    assert is_whole(victim)


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(
    made: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (made / "a").mkdir()
    real = scratch._remove_files

    def list_then_replace(folder: int) -> list[str]:
        names = real(folder)
        if (made / "a").is_dir() and not (made / "a").is_symlink():
            (made / "a").rmdir()
            (made / "a").symlink_to(victim)
        return names

    monkeypatch.setattr(scratch, "_remove_files", list_then_replace)
    remove_tree(made)
    assert is_whole(victim)


def test_between_two_jobs_the_trace_stays(made: Path, victim: Path) -> None:
    (made / "where.txt").touch()
    (made / "other.txt").touch()
    (made / "folder" / "deeper").mkdir(parents=True)
    (made / "link").symlink_to(victim)
    clear(made)
    assert {path.name for path in made.iterdir()} == {"where.txt"}
    assert is_whole(victim)


def test_an_interpreter_that_is_left_alone_removes_its_own_folder(
    made: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the one that the code under test has gone to."""
    monkeypatch.setattr(spare, "_is_there", lambda process: False)
    monkeypatch.setattr(os, "_exit", lambda code: None)
    monkeypatch.chdir(victim)
    spare._wait_for_its_end(1, str(made))
    assert is_whole(victim)
    assert not made.exists()


def test_what_others_put_beside_the_runs_is_kept(
    temporary: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "LAST_RUNS_SECONDS", 0.05)
    folder = new_scratch()
    (folder / "run").mkdir()
    remember(folder / "run")
    (folder / "run").rmdir()
    victim.rename(folder / "run")
    remove_scratch(folder)
    assert is_whole(temporary / f"kept-by-{folder.name}" / "run")


def test_of_dead_graders_only_real_folders_of_this_user_are_removed(
    temporary: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"gpt-kata-{2**22 + 7}"  # more than there can be processes
    old = time.time() - 2 * launcher.ABANDONED_AFTER_SECONDS
    (temporary / f"{dead}-link").symlink_to(victim)
    (temporary / f"{dead}-own" / "deeper").mkdir(parents=True)
    for path in (victim, temporary / f"{dead}-own"):
        os.utime(path, (old, old))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    remove_abandoned()
    assert (temporary / f"{dead}-own").exists(), "it is another user's"
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    remove_abandoned()
    assert not (temporary / f"{dead}-own").exists()
    assert is_whole(victim)


@pytest.fixture(params=[Zygote, pytest.param(Spares, marks=pytest.mark.slow)])
def unconfined(
    request: pytest.FixtureRequest, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Zygote | Spares]:
    """Processes that nothing keeps in their folder, as in many containers."""
    monkeypatch.setenv(WITHOUT, "landlock")
    monkeypatch.setattr(launcher, "LAST_RUNS_SECONDS", 0.5)
    started = request.param(seed=17)
    yield started
    started.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the zygote needs it")
def test_code_that_replaces_its_folder_loses_nobody_anything(
    unconfined: Zygote | Spares, exercise: Exercise, temporary: Path, victim: Path
) -> None:
    for replacing in (LINK, MOVE):
        body = (REPLACING + replacing.format(victim=str(victim))).replace("\n", "\n    ")
        text = with_body(f"{body}\n    return x * 2")
        source = {exercise.id: Source(exercise.file_name, text)}
        run(unconfined, job_for(exercise, source, 17, Limits(20)))
    unconfined.close()
    assert list(temporary.rglob("precious")), "moved by that code, but there"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a descriptor does not tell its folder")
@pytest.mark.parametrize(
    "act",
    [
        lambda here, above: here.rmdir(),
        lambda here, above: os.rmdir(here.name, dir_fd=above),
        lambda here, above: (here / "inner" / "..").rmdir(),
        lambda here, above: here.rename(here.with_name("away")),
        lambda here, above: os.rename(here.name, "away", src_dir_fd=above, dst_dir_fd=above),
        lambda here, above: os.rename("inner", here.name, dst_dir_fd=above),
        lambda here, above: shutil.rmtree(here),
        lambda here, above: (here.parent / "link" / here.name).rmdir(),
    ],
)
def test_python_refuses_to_replace_the_folder(
    made: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path, int], object]
) -> None:
    """And says so with the line, whatever the way to it. Tried in a process of its own: a guard stays."""
    (made / "inner").mkdir()
    (made.parent / "link").symlink_to(made.parent)
    monkeypatch.chdir(made)
    here, there = multiprocessing.Pipe()

    def attempt() -> None:
        guard = Guard(made, made)
        guard.watch_over(frozenset({__file__}), frozenset({__file__}))
        above = os.open("..", os.O_RDONLY)
        guard.install()
        try:
            act(made, above)
        except PermissionError as error:
            there.send((str(error), guard.noted))

    process = multiprocessing.get_context("fork").Process(target=attempt)
    process.start()
    there.close()
    message, noted = here.recv()
    process.join()
    assert "your code may not remove or replace its own working folder" in message
    assert [note.partition(" (line")[0] for note in noted] == ["remove or replace its own working folder"]


def test_what_the_grader_writes_afterwards_goes_through_no_link(tmp_path: Path, victim: Path) -> None:
    precious = victim / "inner" / "precious"
    for name in ("scene.png", "last-error.txt"):
        (tmp_path / name).symlink_to(precious)
    assert save_png([Bars("title", "note", ("label",), ("name",), np.ones((1, 1)))], tmp_path / "scene.png")
    note_traceback(tmp_path)
    assert precious.read_bytes() == b""
    assert (tmp_path / "scene.png").stat().st_size > 0
    assert (tmp_path / "last-error.txt").read_text() == "NoneType: None\n"
