"""The history survives what can happen to it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from grader.errors import GraderError
from grader.records import CheckResult, ExerciseResult, Status
from grader.state.files import replace_keeping
from grader.state.store import Store

from .conftest import ROOT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".grader" / "progress.sqlite3"


def texts(path: Path) -> list[str]:
    store = Store(path)
    found = [store.text_of(attempt.id) for attempt in store.attempts()]
    store.close()
    return [item[1] for item in found if item]


def test_a_text_and_its_verdict_are_kept(path: Path) -> None:
    store = Store(path)
    number = store.keep("ex00_mini", "x = 'é🙂'\n", "graded", 17)
    result = ExerciseResult("ex00_mini", Status.WRONG, 0.1, (CheckResult("test_x", Status.WRONG),))
    store.finish(number, result)
    store.close()
    again = Store(path)
    (attempt,) = again.attempts("ex00_mini")
    assert (attempt.status, attempt.checks, attempt.seed) == (Status.WRONG, {"test_x": "wrong"}, 17)
    assert again.latest_graded()["ex00_mini"].id == number
    assert again.text_of(attempt.id) == (attempt, "x = 'é🙂'\n")
    assert again.text_of(999) is None
    again.close()


def test_hints_come_one_by_one_and_end(path: Path) -> None:
    store = Store(path)
    assert [store.next_hint("ex00_mini", "double", 3) for _ in range(5)] == [1, 2, 3, 3, 3]
    assert store.next_hint("ex00_mini", "total", 3) == 1
    store.close()


def test_two_graders_at_once_lose_nothing(path: Path) -> None:
    stores = [Store(path), Store(path)]

    def work(store: Store, name: str) -> None:
        for number in range(50):
            assert store.keep("ex00_mini", f"{name} {number}", "graded", 1) is not None

    threads = [threading.Thread(target=work, args=(store, name)) for store, name in zip(stores, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.problem for store in stores] == ["", ""]
    for store in stores:
        store.close()
    assert len(set(texts(path))) == 100


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_grader_loses_nothing(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from grader.state.store import Store\n"
        f"store = Store(Path({str(path)!r}))\n"
        "for n in range(10**6):\n"
        "    store.keep('ex00_mini', f'text {n}', 'graded', 1); print(n, flush=True)\n"
    )
    confirmed = 0
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(20)]
        time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        confirmed += sum(line.endswith("\n") for line in lines)
        assert len(texts(path)) >= confirmed
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_unusable_place_is_noted_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "progress.sqlite3")
    assert store.problem
    assert store.keep("ex00_mini", "x", "graded") is not None
    store.close()


def test_a_store_that_is_no_database_is_noted_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is not a database, but it is somebody's file\n" * 50)
    before = path.read_bytes()
    store = Store(path)
    assert store.problem
    store.close()
    assert path.read_bytes() == before


def test_what_cannot_be_kept_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "progress.sqlite3")
    mine = tmp_path / "ex00_mini.py"
    mine.write_text("weeks of work")
    with pytest.raises(GraderError, match="left alone"):
        replace_keeping(mine, "stub", store, "before reset")
    assert mine.read_text() == "weeks of work"
    store.close()


def test_what_is_replaced_is_kept(tmp_path: Path, path: Path) -> None:
    mine = tmp_path / "ex00_mini.py"
    mine.write_text("old\n")
    store = Store(path)
    assert replace_keeping(mine, "new\n", store, "before reset") is not None
    assert mine.read_text() == "new\n"
    assert sorted(item.name for item in tmp_path.iterdir()) == [".grader", "ex00_mini.py"]
    store.close()
    assert texts(path) == ["old\n"]


def test_bytes_that_are_no_text_are_set_aside(tmp_path: Path, path: Path) -> None:
    mine = tmp_path / "ex00_mini.py"
    mine.write_bytes(b"\xff\xfe caf\xe9")
    store = Store(path)
    replace_keeping(mine, "new\n", store, "before reset")
    store.close()
    assert (tmp_path / "ex00_mini.py.unreadable").read_bytes() == b"\xff\xfe caf\xe9"
    assert mine.read_text() == "new\n"
