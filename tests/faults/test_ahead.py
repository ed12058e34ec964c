"""The children that the zygote forks ahead: whatever becomes of them, work is done, and nothing is left."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psutil
import pytest

from grader.course.exercise import Exercise
from grader.course.variants import variant_sources
from grader.grading.bench import job_for
from grader.protocol.job import Limits
from grader.protocol.runs import Ending
from grader.sandbox.zygote import AHEAD, REST_SECONDS
from grader.supervisor.jobs import run
from grader.supervisor.zygotes import Zygote


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    started = Zygote(17)
    yield started
    started.close()


def ahead_of(zygote: Zygote) -> list[psutil.Process]:
    """The children that wait, once torch is imported; the next one first."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = psutil.Process(zygote._process.pid).children()
        if len(children) == AHEAD:
            return sorted(children, key=lambda child: (child.create_time(), child.pid))
        time.sleep(0.05)
    raise AssertionError


def all_return(zygote: Zygote, exercise: Exercise) -> bool:
    seen = run(zygote, job_for(exercise, variant_sources(exercise), 17, Limits(30.0)))
    return {check.ending for check in seen.checks} == {Ending.RETURNED}


def test_it_does_the_next_work_and_another_one_waits(zygote: Zygote, exercise: Exercise) -> None:
    before = ahead_of(zygote)
    time.sleep(REST_SECONDS + 0.5)
    assert all(child.is_running() for child in before)
    assert all_return(zygote, exercise)
    ended = [child for child in before if not child.is_running()]
    assert len(ended) == 1
    assert {child.pid for child in before} - {ended[0].pid} < {child.pid for child in ahead_of(zygote)}


def test_if_it_is_killed_the_next_work_is_done_all_the_same(zygote: Zygote, exercise: Exercise) -> None:
    for waiting in ahead_of(zygote):
        waiting.kill()
        while waiting.status() != psutil.STATUS_ZOMBIE:  # nobody has asked for it yet
            time.sleep(0.01)
    assert all_return(zygote, exercise)


def test_it_ends_with_the_grader(zygote: Zygote) -> None:
    waiting = ahead_of(zygote)
    zygote.close()
    assert not any(child.is_running() for child in waiting)
