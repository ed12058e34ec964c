"""When time is up: not for a process that the machine has kept waiting."""

from __future__ import annotations

import pytest

from grader.supervisor.limits import PATIENCE, Clock


def ended_after(share: float, works_for: float = float("inf"), limit: float = 5.0) -> float:
    """Seconds until time is up for a process that gets this share of a processor while it works."""
    clock = Clock(limit, 100.0, 7.0)
    elapsed = 0.0

    def cpu_seconds() -> float:
        return 7.0 + share * min(elapsed, works_for)

    while not clock.is_over(100.0 + elapsed, cpu_seconds):
        elapsed += 0.05
    return elapsed


def test_a_loop_on_a_quiet_machine_ends_at_the_limit() -> None:
    assert ended_after(1.0) == pytest.approx(5.0, abs=0.11)


def test_one_that_waits_for_nothing_to_come_ends_there_too() -> None:
    assert ended_after(0.0) == pytest.approx(5.0, abs=0.11)
    assert ended_after(0.5, works_for=2.0) == pytest.approx(5.0, abs=0.11)


def test_one_that_is_kept_waiting_gets_its_time() -> None:
    assert ended_after(0.25) == pytest.approx(0.8 * 5 / 0.25, abs=0.6)


def test_patience_ends() -> None:
    assert ended_after(0.1) == pytest.approx(5 * PATIENCE, abs=0.11)


def test_what_passes_while_the_grader_itself_stands_still_does_not_count() -> None:
    clock = Clock(5.0, 100.0, 0.0)
    for now in (100.05, 100.1, 160.1, 160.15):
        clock.tick(now)
    assert clock.start == pytest.approx(160.0)
    assert not clock.is_over(164.0, lambda: 60.0)


def test_looks_that_come_in_time_all_count() -> None:
    clock = Clock(5.0, 100.0, 0.0)
    for number in range(200):
        clock.tick(100.0 + 0.9 * number)
    assert clock.start == 100.0
