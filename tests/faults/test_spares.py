"""How many interpreters are started ahead: what is used up is replaced, and nothing is started for nobody."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from grader.errors import GraderError
from grader.protocol.job import Work
from grader.supervisor import spares
from grader.supervisor.spares import AHEAD, AT_FIRST, Spares, expected_for

# As an interpreter without torch: it says that it is ready, waits for work, and does none.
READY = "import sys; sys.stdout.write(chr(10)); sys.stdout.flush(); sys.stdin.readline()"
Started = Callable[[int | None], Spares]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    made: list[Spares] = []

    def start(expected: int | None) -> Spares:
        made.append(Spares(17, expected))
        return made[-1]

    monkeypatch.setattr(spares, "COMMAND", (sys.executable, "-c", READY))
    yield start
    for one in made:
        one.close()


def interpreters() -> set[int]:
    return {
        process.pid
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE and READY in process.cmdline()
    }


def wait_for(count: int) -> None:
    deadline = time.monotonic() + 20
    while len(interpreters()) != count and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    assert len(interpreters()) == count


@pytest.mark.parametrize("expected, at_first", [(None, AT_FIRST), (25, AT_FIRST), (1, 1)])
def test_no_more_are_started_than_are_expected(started: Started, expected: int | None, at_first: int) -> None:
    started(expected)
    wait_for(at_first)


def test_what_has_ended_is_replaced(started: Started) -> None:
    processes = started(None)
    for _ in range(AT_FIRST + 1):
        processes.start(Work((), str(processes.scratch))).ended.wait(20)
    wait_for(AHEAD)


def test_where_none_is_left_another_one_is_started(started: Started) -> None:
    processes = started(1)
    assert len({processes.start(Work((), str(processes.scratch))).pid for _ in range(3)}) == 3
    wait_for(0)


def test_after_the_end_nothing_is_left_and_nothing_begins(started: Started, tmp_path: Path) -> None:
    processes = started(None)
    processes.close()
    assert interpreters() == set()
    assert not processes.scratch.exists()
    with pytest.raises(GraderError, match="ending"):
        processes.start(Work((), str(tmp_path)))


def test_grading_one_exercise_needs_what_is_started_at_first() -> None:
    assert expected_for(1) == AT_FIRST
