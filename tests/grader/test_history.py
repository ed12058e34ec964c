"""The history survives what can happen to it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from grader.errors import GraderError
from grader.judge.results import CheckResult, ExerciseResult, Status
from grader.learner import history as state
from grader.learner.history import Store
from grader.learner.replace import replace_keeping
from tests.mini import ROOT


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
        "import sys; from pathlib import Path; from grader.learner.history import Store\n"
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
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_unusable_place_is_noted_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "progress.sqlite3")
    assert store.problem
    assert store.keep("ex00_mini", "x", "graded") is not None
    store.close()


def fill(path: Path, count: int) -> bytes:
    """A store with some texts; returns the file."""
    with closing(Store(path)) as store:
        for number in range(count):
            assert store.keep("ex00_mini", f"text {number}\n" * 100, "graded", 1) is not None
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"this is not a database, but it is somebody's file\n" * 50,
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[: len(whole) // 2 + 77],
        lambda whole: whole[:50],
        lambda whole: whole[:8192] + bytes(len(whole) - 8192),
        lambda whole: bytes(len(whole)),
    ],
    ids=["no database", "half", "half a page", "half a header", "zeros inside", "zeros"],
)
def test_a_damaged_store_is_left_alone_and_the_message_says_what_to_do(
    path: Path, damage: Callable[[bytes], bytes]
) -> None:
    damaged = damage(fill(path, 40))
    path.write_bytes(damaged)
    with closing(Store(path)) as store:
        store.keep("ex00_mini", "x", "graded")
        assert store.problem == f"{path} is damaged; move the folder .grader away, and a new history begins"
    assert path.read_bytes() == damaged


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    fill(path, 3)
    assert len(texts(path)) == 3


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("left", [1.0, 0.9, 0.5, 0.01, 0.0])
def test_of_a_log_that_a_killed_grader_left_whatever_is_whole_is_read(path: Path, left: float) -> None:
    """SQLite writes to the log first; where its end is missing, as after a power cut, only the end is lost."""
    fill(path, 1)
    script = (
        "import os, signal; from pathlib import Path; from grader.learner.history import Store\n"
        f"store = Store(Path({str(path)!r}))\n"
        "for n in range(1, 20):\n"
        "    store.keep('ex00_mini', f'text {n}\\n' * 100, 'graded', 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    log = path.with_name(path.name + "-wal")
    os.truncate(log, int(log.stat().st_size * left))
    with closing(Store(path)) as store:
        numbers = [attempt.id for attempt in store.attempts()]
        assert store.problem == ""
    assert texts(path) == [f"text {number - 1}\n" * 100 for number in numbers]
    assert numbers == list(range(len(numbers), 0, -1))
    assert len(numbers) == 20 if left == 1.0 else 1 <= len(numbers) < 20


def test_without_space_the_old_texts_stay_and_new_ones_come_when_there_is_space(path: Path) -> None:
    fill(path, 10)
    with closing(Store(path)) as store:
        used = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {used}")
        assert store.keep("ex00_mini", "long\n" * 10_000, "graded") is None
        assert store.problem == f"no space is left on the disk of {path}"
        store._connection.execute(f"PRAGMA max_page_count = {used + 100}")
        assert store.keep("ex00_mini", "long\n" * 10_000, "graded") == 11
    assert len(texts(path)) == 11


def test_what_cannot_be_kept_whole_is_not_kept_in_part(path: Path) -> None:
    fill(path, 1)
    with closing(Store(path)) as store, closing(sqlite3.connect(path, timeout=0)) as other:
        other.execute("CREATE TRIGGER t BEFORE INSERT ON attempts BEGIN SELECT RAISE(FAIL, 'no'); END")
        assert store.keep("ex00_mini", "half", "graded") is None
        assert other.execute("SELECT count(*) FROM texts").fetchone() == (1,)
        other.execute("DROP TRIGGER t")  # and nothing is locked any more
        assert store.keep("ex00_mini", "whole", "graded") == 2
    assert len(texts(path)) == 2


def test_who_is_waited_for_in_vain_is_not_waited_for_so_long_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "BUSY_SECONDS", 0.3)
    fill(path, 1)
    with closing(Store(path)) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        assert store.keep("ex00_mini", "x", "graded") is None
        assert time.monotonic() - start > 0.2
        assert store.problem == f"another program is writing to {path}"
        assert store._connection.execute("PRAGMA busy_timeout").fetchone() == (state.BUSY_AGAIN_SECONDS * 1000,)
        other.execute("COMMIT")
        assert store.keep("ex00_mini", "x", "graded") == 2


def test_graders_that_make_the_store_at_the_same_moment_all_get_it(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE early (x)")  # not yet in WAL mode: switching to it waits for nobody
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor() as pool:
            opening = pool.submit(Store, path)
            time.sleep(0.3)
            other.execute("COMMIT")
            store = opening.result()
    assert store.problem == ""
    store.close()


def test_it_is_not_closed_while_a_thread_uses_it(path: Path) -> None:
    fill(path, 1)
    store = Store(path)
    with store._using() as connection:
        closer = threading.Thread(target=store.close)
        closer.start()
        closer.join(0.2)
        assert closer.is_alive()
        assert connection.execute("SELECT count(*) FROM texts").fetchone() == (1,)
    closer.join()
    assert store.keep("ex00_mini", "too late", "graded") is None
    assert store.problem == f"{path} is closed"
    assert len(texts(path)) == 1


def test_the_history_keeps_its_order_when_the_clock_goes_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store(path)) as store:
        for year in (2026, 2025, 1970):

            class Clock:
                @staticmethod
                def now(zone: tzinfo, year: int = year) -> datetime:
                    return datetime(year, 5, 1, tzinfo=zone)

            monkeypatch.setattr(state, "datetime", Clock)
            number = store.keep("ex00_mini", str(year), "graded", 1)
            store.finish(number, ExerciseResult("ex00_mini", Status.WRONG, 0.1, ()))
        monkeypatch.undo()
        assert [attempt.saved_at.year for attempt in store.attempts()] == [1970, 2025, 2026]
        assert store.latest_graded()["ex00_mini"].id == 3


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
