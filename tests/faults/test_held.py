"""A process that is kept after its job: what is run again there is what a new one would show."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from grader.course.exercise import Exercise
from grader.course.variants import variant_sources
from grader.grading.bench import job_for
from grader.protocol.job import Job, Limits, Source
from grader.protocol.runs import Ending, SubjectRun
from grader.supervisor.jobs import Held
from grader.supervisor.launcher import Launcher
from tests.mini import with_body


@pytest.fixture
def held() -> Iterator[Held]:
    with Held() as process:
        yield process


def job_of(exercise: Exercise, body: str) -> Job:
    """All checks on the small exercise with this body of `double`."""
    sources = variant_sources(exercise)
    path = sources[exercise.id].path
    return job_for(exercise, {**sources, exercise.id: Source(path, with_body(body))}, 17, Limits(5.0))


def doubled(run: SubjectRun) -> object:
    (observation, _) = run.by_name()["test_double"].observations
    return observation.value


PROCESS = "import os; return os.getpid()"


def test_what_is_run_again_is_run_in_the_same_process(
    held: Held, exercise: Exercise, subject_processes: Launcher
) -> None:
    job = job_of(exercise, PROCESS)
    first, again = held.run(subject_processes, job), held.run(subject_processes, job, is_again=True)
    assert doubled(first) == doubled(again)
    assert [run.check for run in again.checks] == [run.check for run in first.checks]
    held.close()
    assert not psutil.pid_exists(int(str(doubled(first))))


def test_what_is_not_the_same_code_gets_a_new_one(
    held: Held, exercise: Exercise, subject_processes: Launcher
) -> None:
    job = job_of(exercise, PROCESS)
    assert doubled(held.run(subject_processes, job)) != doubled(held.run(subject_processes, job))


def test_nothing_is_left_for_the_second_time(held: Held, exercise: Exercise, subject_processes: Launcher) -> None:
    job = job_of(
        exercise,
        "from pathlib import Path; seen = sorted(path.name for path in Path().iterdir()); "
        "Path('file').touch(); Path('folder').mkdir(); return seen",
    )
    first, again = held.run(subject_processes, job), held.run(subject_processes, job, is_again=True)
    assert doubled(first) == doubled(again) == ["where.txt"]


def test_what_is_printed_counts_once(held: Held, exercise: Exercise, subject_processes: Launcher) -> None:
    job = job_of(exercise, "print('here'); return x * 2")
    for is_again in (False, True, True):
        held.run(subject_processes, job, is_again=is_again)
    held.close()
    assert held.output == "here\n"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("import os; os.closerange(3, 1000); return x * 2", id="all descriptors closed"),
        pytest.param(
            "import os, threading; threading.Timer(0.05, os._exit, [0]).start(); return x * 2", id="it ends itself"
        ),
    ],
)
def test_code_that_spoils_its_process_is_run_again_in_a_new_one(
    held: Held, exercise: Exercise, subject_processes: Launcher, body: str
) -> None:
    job = job_of(exercise, body)
    first = held.run(subject_processes, job)
    if first.checks[-1].ending is Ending.RETURNED:
        again = held.run(subject_processes, job, is_again=True)
        assert [run.ending for run in again.checks] == [run.ending for run in first.checks]
