"""What a watch mode will stand on: the newest text is graded, and an older one's verdict is never shown."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from grader.course.exercise import Exercise
from grader.course.variants import variant_sources
from grader.grading.bench import job_for
from grader.grading.session import Session
from grader.grading.worker import Worker
from grader.judge.results import ExerciseResult, Status
from grader.learner.history import Store
from grader.learner.submission import read_submission
from grader.protocol.job import Limits, Work
from grader.protocol.scratch import remove_remembered
from grader.supervisor import launcher
from grader.supervisor.jobs import run
from grader.supervisor.launcher import Child, Launcher
from grader.supervisor.spares import Spares
from grader.supervisor.watch import Cancelled
from tests.mini import SOLUTION, with_body

ENDLESS = with_body("while True: pass")
WRONG = with_body("return x * 3")
Save = Callable[[str], None]


@pytest.fixture
def shown() -> list[ExerciseResult]:
    return []


@pytest.fixture
def save(repository: Path, exercise: Exercise) -> Save:
    return lambda text: (repository / "exercises" / exercise.file_name).write_text(text, encoding="utf-8") and None


@pytest.fixture
def worker(
    repository: Path, exercise: Exercise, subject_processes: Launcher, store: Store, shown: list[ExerciseResult]
) -> Iterator[Worker]:
    session = Session((exercise,), repository / "exercises", 17, subject_processes, store)
    started = Worker(session, shown.append)
    yield started
    started.close()


def wait_for_run_of(store: Store, text: str) -> None:
    """Until this text is in the history, which is just before it is run."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        kept = [store.text_of(attempt.id) for attempt in store.attempts()]
        if any(found and found[1] == text for found in kept):
            return
        time.sleep(0.01)
    raise AssertionError("the text was never graded")


def test_a_save_is_graded_and_shown_once(
    worker: Worker, exercise: Exercise, save: Save, shown: list[ExerciseResult]
) -> None:
    save(SOLUTION)
    worker.grade(exercise)
    assert worker.wait(60)
    assert [result.status for result in shown] == [Status.PASSED]


def test_a_newer_text_calls_off_the_run_of_an_older_one(
    worker: Worker, exercise: Exercise, save: Save, shown: list[ExerciseResult], store: Store
) -> None:
    save(ENDLESS)
    worker.grade(exercise)
    wait_for_run_of(store, ENDLESS)
    save(WRONG)
    worker.grade(exercise)
    assert worker.wait(60)
    assert [result.status for result in shown] == [Status.WRONG]
    older = [attempt for attempt in store.attempts() if attempt.status is None]
    assert len(older) == 1, "the text that was called off is kept, without a verdict"


def test_of_many_saves_the_last_one_is_shown(
    worker: Worker, exercise: Exercise, save: Save, shown: list[ExerciseResult], repository: Path
) -> None:
    for number in range(12):
        save(f"{WRONG if number % 2 else SOLUTION}\n# {number}\n")
        worker.grade(exercise)
        time.sleep(0.03 * (number % 4))
    save(SOLUTION + "\n# the last\n")
    worker.grade(exercise)
    assert worker.wait(120)
    assert shown[-1].status is Status.PASSED
    assert shown[-1].digest == read_submission(repository / "exercises", exercise.id).digest


def test_a_save_that_nobody_announced_is_not_overlooked(
    worker: Worker,
    exercise: Exercise,
    save: Save,
    shown: list[ExerciseResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The text changes while it is graded, and no event comes: the older verdict is stale and not shown."""
    real, saved = Session.grade, threading.Event()

    def grade(session: Session, *arguments: Exercise) -> ExerciseResult:
        result = real(session, *arguments)
        if not saved.is_set():
            saved.set()
            save(SOLUTION)
        return result

    monkeypatch.setattr(Session, "grade", grade)
    save(WRONG)
    worker.grade(exercise)
    assert worker.wait(60)
    assert [result.status for result in shown] == [Status.PASSED]


def test_a_half_saved_file_is_waited_for(
    worker: Worker, exercise: Exercise, save: Save, shown: list[ExerciseResult]
) -> None:
    """An editor writes half of the text, and the rest a moment later."""
    save(SOLUTION[: len(SOLUTION) // 2])
    worker.grade(exercise)
    time.sleep(0.02)
    save(SOLUTION)
    worker.grade(exercise)
    assert worker.wait(60)
    assert shown[-1].status is Status.PASSED
    assert all(result.status is Status.PASSED for result in shown)


def test_closing_ends_what_runs(
    repository: Path, exercise: Exercise, subject_processes: Launcher, store: Store, save: Save
) -> None:
    before = set(subject_processes.scratch.iterdir())  # of trusted processes that wait for more
    worker = Worker(
        Session((exercise,), repository / "exercises", 17, subject_processes, store), lambda result: None
    )
    save(ENDLESS)
    worker.grade(exercise)
    wait_for_run_of(store, ENDLESS)
    worker.close()
    assert set(subject_processes.scratch.iterdir()) <= before


def test_a_run_that_is_still_ending_cannot_keep_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It removes its own part of it meanwhile: what the one finds, the other takes away."""
    # Not where the folders of other graders are: one that was killed may have left some, to be removed as well.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tries: list[Path] = []

    def fail_twice(folder: Path) -> bool:
        tries.append(folder)
        return len(tries) > 2 and remove_remembered(folder)

    monkeypatch.setattr(launcher, "remove_remembered", fail_twice)
    processes = Spares(seed=17)
    processes.close()
    assert tries == [processes.scratch] * 3
    assert not processes.scratch.exists()


def test_a_cancelled_run_ends_its_process(
    exercise: Exercise, subject_processes: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = variant_sources(exercise, next(mistake for mistake in exercise.mistakes if mistake.hangs))
    cancelled = threading.Event()
    started: list[Child] = []
    start = subject_processes.start

    def noting(work: Work) -> Child:
        started.append(start(work))
        return started[-1]

    monkeypatch.setattr(subject_processes, "start", noting)
    threading.Timer(0.5, cancelled.set).start()
    with pytest.raises(Cancelled):
        run(subject_processes, job_for(exercise, endless, 17, Limits(3600)), cancelled)
    (child,) = started
    assert child.ended.wait(10)
    assert not psutil.pid_exists(child.pid)
