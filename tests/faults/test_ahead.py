"""The child that the zygote forks ahead: whatever becomes of it, the next work is done, and nothing is left."""

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
from grader.sandbox.zygote import REST_SECONDS
from grader.supervisor.jobs import run
from grader.supervisor.zygotes import Zygote


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    started = Zygote(17)
    yield started
    started.close()


def ahead_of(zygote: Zygote) -> psutil.Process:
    """The child that waits, once torch is imported."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = psutil.Process(zygote._process.pid).children()
        if children:
            return children[0]
        time.sleep(0.05)
    raise AssertionError


def all_return(zygote: Zygote, exercise: Exercise) -> bool:
    seen = run(zygote, job_for(exercise, variant_sources(exercise), 17, Limits(30.0)))
    return {check.ending for check in seen.checks} == {Ending.RETURNED}


def test_it_does_the_next_work_and_another_one_waits(zygote: Zygote, exercise: Exercise) -> None:
    first = ahead_of(zygote)
    time.sleep(REST_SECONDS + 0.5)
    assert first.is_running()
    assert all_return(zygote, exercise)
    assert not first.is_running()
    assert ahead_of(zygote).pid != first.pid


def test_if_it_is_killed_the_next_work_is_done_all_the_same(zygote: Zygote, exercise: Exercise) -> None:
    waiting = ahead_of(zygote)
    waiting.kill()
    while waiting.status() != psutil.STATUS_ZOMBIE:  # nobody has asked for it yet
        time.sleep(0.01)
    assert all_return(zygote, exercise)


def test_it_ends_with_the_grader(zygote: Zygote) -> None:
    waiting = ahead_of(zygote)
    zygote.close()
    assert not waiting.is_running()
