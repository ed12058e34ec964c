"""What lies in a learner's folder may be anything: reading it never blocks, leads nowhere else and has a bound."""

from __future__ import annotations

import itertools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.commands.hints import give_hint
from grader.commands.history import reset_exercise, restore_attempt
from grader.commands.update import update_exercises
from grader.course.exercise import Exercise
from grader.grading.session import Session
from grader.judge.results import Status
from grader.learner import opening
from grader.learner.history import Store
from grader.learner.opening import read_file
from grader.learner.submission import MAX_BYTES, MAX_FILES, Unreadable, read_submission, read_text
from tests.mini import ID, SOLUTION

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes, links and devices as files")
Put = Callable[[Path], object]
LEADS_OUT = "a link that leads out of its folder"


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(path.parent)  # such a path may have a hundred characters
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)


ODD: dict[str, tuple[Put, str]] = {
    "pipe": (os.mkfifo, "a named pipe"),
    "folder": (Path.mkdir, "a folder"),
    "socket": (bind, "a socket"),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), LEADS_OUT),
    "link to the solution": (lambda path: path.symlink_to(f"../solutions/{ID}.py"), LEADS_OUT),
    "link to the solution, by its whole path": (
        lambda path: path.symlink_to(path.parent.parent / "solutions" / f"{ID}.py"),
        LEADS_OUT,
    ),
    "link to a pipe beside it": (
        lambda path: (os.mkfifo(path.with_name("p")), path.symlink_to("p")),
        "a named pipe",
    ),
    "link to itself": (lambda path: path.symlink_to(path.name), "a link that leads to no file"),
    "link to nothing": (lambda path: path.symlink_to("nothing.py"), "a link that leads to no file"),
    "link through a link": (
        lambda path: (path.with_name("a").symlink_to("../solutions"), path.symlink_to(f"a/{ID}.py")),
        LEADS_OUT,
    ),
}
each_odd = pytest.mark.parametrize("odd", ODD)


@pytest.fixture
def path(repository: Path) -> Path:
    """Where the learner's file should be, and is not."""
    file = repository / "exercises" / f"{ID}.py"
    file.unlink()
    return file


@pytest.fixture
def store(repository: Path) -> Iterator[Store]:
    opened = Store(repository / ".grader" / "progress.sqlite3")
    yield opened
    opened.close()


@each_odd
def test_what_is_no_file_is_named_and_not_opened(path: Path, odd: str) -> None:
    put, said = ODD[odd]
    put(path)
    with pytest.raises(Unreadable, match=f"^The file cannot be opened: it is {said}. Put a "):
        read_text(path)


@each_odd
def test_nor_is_it_as_a_neighbour(path: Path, exercise: Exercise, odd: str) -> None:
    put, said = ODD[odd]
    path.write_text("from .helpers import x\n" + SOLUTION)
    put(path.with_name("helpers.py"))
    result = Session((exercise,), path.parent, 17, None, None).grade(exercise)  # type: ignore[arg-type]
    assert result.status is Status.BLOCKED
    assert result.place is not None and Path(result.place.file).name == "helpers.py"
    assert f"it is {said}" in result.message


@each_odd
def test_every_command_gets_past_it_and_changes_nothing_else(
    path: Path, repository: Path, store: Store, odd: str
) -> None:
    put, _ = ODD[odd]
    put(path)
    solution = (repository / "solutions" / f"{ID}.py").read_text()
    assert give_hint(repository, ID, None, path.parent, store)
    assert "left alone" in next(iter(update_exercises(repository, [], path.parent, store)))
    assert "as it was at the beginning" in reset_exercise(repository, ID, path.parent, store)
    assert path.is_file() and not path.is_symlink()
    assert os.path.lexists(path.with_name(f"{path.name}.unreadable"))
    kept = store.keep(ID, SOLUTION, "graded")
    assert kept is not None
    path.unlink()
    ODD["link to itself"][0](path)
    restore_attempt(repository, kept, path.parent, store)
    assert path.read_text() == SOLUTION
    assert (repository / "solutions" / f"{ID}.py").read_text() == solution


def test_a_link_within_the_folder_is_followed_and_so_is_the_folder_itself(path: Path, tmp_path: Path) -> None:
    path.with_name("mine.py").write_text(SOLUTION)
    path.with_name("newest.py").symlink_to(path.with_name("mine.py"))
    path.symlink_to("./newest.py")
    folder = tmp_path / "by another name"
    folder.symlink_to(path.parent)
    assert read_text(path) == read_text(folder / path.name) == SOLUTION


def test_what_becomes_a_pipe_between_two_looks_does_not_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(path)
    looked: list[int] = []
    real = opening._refuse_unless_regular
    monkeypatch.setattr(
        opening, "_refuse_unless_regular", lambda mode: looked.append(mode) if not looked else real(mode)
    )
    with pytest.raises(OSError, match="a named pipe"):
        read_file(path, MAX_BYTES)


def test_of_a_huge_file_only_the_beginning_is_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)
    assert len(read_file(path, 1000)) == 1001
    with pytest.raises(Unreadable, match="more than 1,000,000 bytes"):
        read_text(path)


def test_names_that_no_file_can_have_are_not_there(path: Path) -> None:
    path.write_text(f"from .{'a' * 300} import x\nfrom . import *\nfrom .. import y\nfrom ..solutions import z\n")
    assert list(read_submission(path.parent, ID).sources) == [ID]


def test_all_that_is_imported_has_a_bound(path: Path) -> None:
    names = [f"n{number}" for number in range(MAX_FILES + 5)]
    for name, following in itertools.pairwise(names):
        path.with_name(f"{name}.py").write_text(f"from . import {following}\n")
        os.utime(path.with_name(f"{name}.py"), (0, 0))
    path.write_text("from . import n50\n")
    assert len(read_submission(path.parent, ID).sources) < MAX_FILES
    path.write_text("from . import n0\n")
    with pytest.raises(Unreadable, match=f"more than {MAX_FILES} files") as refused:
        read_submission(path.parent, ID)
    assert refused.value.path == path


def test_large_neighbours_have_a_bound_together(path: Path) -> None:
    for number in range(5):
        path.with_name(f"n{number}.py").write_text("#" * (MAX_BYTES - 1))
    path.write_text("from . import n0, n1, n2, n3, n4\n")
    with pytest.raises(Unreadable, match="characters"):
        read_submission(path.parent, ID)


@pytest.mark.parametrize(
    "name",
    [
        f"{ID} (1).py",
        f"{ID.upper()}.py",
        f"{ID}.py.txt",
        f"{ID}.py.orig",
        f"{ID}.py~",
        f"Copy of {ID}.py",
        "ex00.py",
    ],
)
def test_a_missing_file_that_lies_there_under_another_name_is_named(path: Path, name: str) -> None:
    path.with_name(name).write_text(SOLUTION)
    with pytest.raises(Unreadable) as missing:
        read_text(path)
    assert f"Is it `{name}`? Then rename that to {path.name}." in str(missing.value)


def test_a_notebook_is_not_renamed(path: Path) -> None:
    path.with_suffix(".ipynb").write_text("{}")
    path.with_name("ex01_other.py").write_text("")
    with pytest.raises(Unreadable, match=rf"Is it `{ID}.ipynb`\? Then copy the code out of that notebook"):
        read_text(path)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told_as_that(path: Path) -> None:
    path.write_text(SOLUTION)
    path.chmod(0)
    with pytest.raises(Unreadable, match="cannot be opened: Permission denied"):
        read_text(path)
