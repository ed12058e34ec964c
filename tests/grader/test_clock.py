"""When time is up: not for a process that the machine has kept waiting, and in the end for every one."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from grader.supervisor.clock import LOOK_SECONDS, PATIENCE, Clock, Used
from grader.supervisor.tree import TELLS_OF_WAITING, ProcessTree

LIMIT = 5.0
Behaviour = Callable[[float], Used]
"""What a process had after so many seconds on the wall."""


def ended_after(behaviour: Behaviour, limit: float = LIMIT, between: float = 0.05) -> float:
    """Seconds on the wall until time is up."""
    clock = Clock(limit, 100.0, behaviour(0.0))
    elapsed = 0.0
    while not clock.is_over:
        elapsed += between
        clock.look(100.0 + elapsed, behaviour(elapsed))
    return elapsed


def working(share: float, works_for: float = math.inf, tells: bool = True) -> Behaviour:
    """A process that gets this share of a processor while it works, and then waits for something."""

    def behaviour(elapsed: float) -> Used:
        working = min(elapsed, works_for)
        return Used(7.0 + share * working, 3.0 + (1 - share) * working if tells else None)

    return behaviour


@pytest.mark.parametrize("tells", [True, False])
def test_a_loop_on_a_quiet_machine_ends_at_the_limit(tells: bool) -> None:
    assert ended_after(working(1.0, tells=tells)) == pytest.approx(LIMIT, abs=LOOK_SECONDS + 0.11)


@pytest.mark.parametrize("tells", [True, False])
def test_one_that_waits_for_what_does_not_come_ends_there_too(tells: bool) -> None:
    assert ended_after(working(0.0, 0.0, tells)) == pytest.approx(LIMIT, abs=LOOK_SECONDS + 0.11)


def test_one_that_sleeps_between_its_turns_ends_there_too() -> None:
    assert ended_after(lambda elapsed: Used(0.1 * elapsed, 0.0)) == pytest.approx(LIMIT, abs=0.11)


@pytest.mark.parametrize("tells", [True, False])
def test_one_that_is_kept_waiting_gets_its_time(tells: bool) -> None:
    assert ended_after(working(0.25, tells=tells)) == pytest.approx(LIMIT / 0.25, abs=LOOK_SECONDS + 0.11)


@pytest.mark.parametrize("tells", [True, False])
def test_patience_ends(tells: bool) -> None:
    assert ended_after(working(0.1, tells=tells)) == pytest.approx(LIMIT * PATIENCE, abs=LOOK_SECONDS + 0.11)


def test_threads_that_keep_each_other_waiting_get_no_more_for_it() -> None:
    def twenty_on_two_processors(elapsed: float) -> Used:
        return Used(2 * elapsed, 0.9 * elapsed)

    assert ended_after(twenty_on_two_processors) == pytest.approx(LIMIT, abs=0.11)


def test_what_passes_while_the_grader_itself_stands_still_does_not_count() -> None:
    clock = Clock(LIMIT, 100.0, Used(0.0, 0.0))
    for now in (100.05, 100.1, 160.1, 160.15):
        clock.look(now, Used(0.0, 0.0))
    assert clock.own == pytest.approx(1.15)
    assert not clock.is_over


def test_what_a_process_computes_meanwhile_does() -> None:
    clock = Clock(LIMIT, 100.0, Used(0.0, 0.0))
    clock.look(160.0, Used(60.0, 0.0))
    assert clock.is_over


def test_a_grader_that_rarely_gets_to_look_ends_a_process_all_the_same() -> None:
    assert ended_after(working(0.0, 0.0), between=4.0) <= 4 * (LIMIT + 1)
    assert ended_after(working(1.0), between=4.0) <= LIMIT + 4.0
    assert ended_after(working(0.1), between=4.0) <= 4 * PATIENCE * (LIMIT + 1)


def test_however_it_is_looked_at_no_process_is_ended_before_it_had_its_time_or_six_times_the_limit() -> None:
    chance = random.Random(17)
    for _ in range(300):
        share, tells = chance.choice((0.1, 0.2, 0.5, 1.0)), chance.random() < 0.5
        behaviour, elapsed = working(share, tells=tells), 0.0
        clock = Clock(LIMIT, 100.0, behaviour(0.0))
        while not clock.is_over:
            elapsed += chance.choice((0.05, 0.06, 0.3, 1.5))
            clock.look(100.0 + elapsed, behaviour(elapsed))
        had = behaviour(elapsed).cpu - 7.0
        assert had >= LIMIT - 1e-6 or clock.on_the_wall > PATIENCE * LIMIT


@pytest.mark.skipif(not TELLS_OF_WAITING, reason="this system does not tell for how long a process waited")
def test_time_spent_waiting_for_a_processor_is_told_apart_from_time_spent_computing() -> None:
    """Two loops on one processor keep each other waiting, on any machine; a sleep waits for nothing."""
    import psutil

    processor = psutil.Process().cpu_affinity()[0]
    loop, sleep = "while True: pass", "import time; time.sleep(60)"

    def started(code: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code])
        psutil.Process(process.pid).cpu_affinity([processor])
        return process

    processes = [started(loop), started(loop), started(sleep)]
    try:
        trees = [ProcessTree(process.pid) for process in processes]
        before = [tree.used() for tree in trees]
        deadline = time.monotonic() + 30
        used = before
        while min(now.cpu - then.cpu for now, then in zip(used[:2], before[:2], strict=True)) < 0.3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            used = [tree.used() for tree in trees]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for now, then in zip(used[:2], before[:2], strict=True):
        assert now.kept_waiting - then.kept_waiting > 0.2
    assert used[2].cpu - before[2].cpu < 0.3
