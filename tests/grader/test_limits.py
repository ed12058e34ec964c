"""What counts against the limits on files and on what is written, wherever it is kept."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from grader.protocol.job import Limits
from grader.supervisor.limits import over_limit
from grader.supervisor.tree import ProcessTree

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system does not tell")
LIMITS = Limits(5.0, file_bytes=2**20)
FILE_SIZE = 2**18


def mapped(descriptor: int) -> object:
    """A page of the file in memory. Not by Python's `mmap`, which keeps the file open."""
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    arguments = (None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, descriptor, 0)
    return library.mmap(*map(ctypes.c_void_p, arguments))


def unnamed_files(count: int, keep: Callable[[int], object]) -> list[object]:
    """Each is kept by what `keep` makes of its descriptor."""
    kept = []
    for _ in range(count):
        descriptor = os.open("file", os.O_CREAT | os.O_RDWR)
        os.truncate(descriptor, FILE_SIZE)
        kept.append(keep(descriptor))
        Path("file").unlink()
        os.close(descriptor)
    return kept


def do(act: Callable[[], object], folder: Path, told: Connection) -> None:
    os.chdir(folder)
    kept = act()
    told.send(None)
    told.recv()
    del kept


@contextmanager
def process_that(act: Callable[[], object], folder: Path) -> Iterator[ProcessTree]:
    """A process that has done this, and waits."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=do, args=(act, folder, there))
    process.start()
    tree = ProcessTree(process.pid or 0)
    try:
        here.recv()
        tree.look()
        yield tree
    finally:
        tree.kill()
        process.join()


@on_linux
@pytest.mark.parametrize("keep", [os.dup, mapped])
def test_files_without_a_name_count(tmp_path: Path, keep: Callable[[int], object]) -> None:
    with process_that(lambda: unnamed_files(3, keep), tmp_path) as tree:
        assert over_limit(LIMITS, tree, 0, tmp_path, 1) is None
    with process_that(lambda: unnamed_files(9, keep), tmp_path) as tree:
        assert over_limit(LIMITS, tree, 0, tmp_path, 1) == "wrote files of more than 1 MB"


@on_linux
def test_a_mapping_of_unknown_size_counts_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for an ordinary user, to whom the system does not tell it."""
    real = Path.stat

    def stat(path: Path) -> os.stat_result:
        if "map_files" in path.parts:
            raise PermissionError
        return real(path)

    monkeypatch.setattr(Path, "stat", stat)
    # Seven, not eight: a page that this process shares with its children counts as well.
    with process_that(lambda: unnamed_files(7, mapped), tmp_path) as tree:
        assert over_limit(LIMITS, tree, 0, tmp_path, 1) is None
    with process_that(lambda: unnamed_files(9, mapped), tmp_path) as tree:
        assert over_limit(LIMITS, tree, 0, tmp_path, 1) == "wrote files of more than 1 MB"


def test_memory_shared_with_nobody_is_no_file(tmp_path: Path) -> None:
    with process_that(lambda: None, tmp_path) as tree:
        inherited = tree.unnamed(2**20)
    with process_that(lambda: mmap.mmap(-1, 2**22), tmp_path) as tree:
        assert tree.unnamed(2**20) == inherited


@on_linux
def test_a_counter_that_cannot_be_read_any_more_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    with process_that(lambda: None, tmp_path) as tree:
        assert over_limit(LIMITS, tree, 0, tmp_path, 1) is None
        monkeypatch.setattr(psutil.Process, "io_counters", refuse)
        assert over_limit(LIMITS, tree, 0, tmp_path, 1) == "hid from the grader how much it writes"
        # Where the system never told, nothing is held against anybody.
        (pid,) = tree._seen
        assert over_limit(LIMITS, ProcessTree(pid), 0, tmp_path, 1) is None


@on_linux
def test_one_that_has_ended_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until somebody asks how it ended, the system answers an ordinary user as if it hid."""

    def refuse(process: psutil.Process) -> None:
        raise psutil.AccessDenied(process.pid)

    with process_that(lambda: None, tmp_path) as tree:
        os.kill(tree._pid, signal.SIGKILL)
        while psutil.Process(tree._pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        monkeypatch.setattr(psutil.Process, "io_counters", refuse)
        assert over_limit(LIMITS, tree, 0, tmp_path, 1) is None


@on_linux
def test_folders_that_no_path_reaches_are_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        Path("n" * 250).mkdir()
        os.chdir("n" * 250)
    Path("file").write_bytes(b"x")
    with process_that(lambda: None, tmp_path) as tree:
        found = over_limit(LIMITS, tree, 0, tmp_path, 1)
    assert found == "made a folder that the grader cannot look into"


def test_a_link_to_much_is_no_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "much").mkdir()
    (tmp_path / "much" / "file").write_bytes(b"x" * 2**21)
    (tmp_path / "link").symlink_to(tmp_path / "much")
    with process_that(lambda: None, tmp_path) as tree:
        assert over_limit(LIMITS, tree, 0, tmp_path / "link", 1) is None
