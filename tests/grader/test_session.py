"""Whatever goes wrong while one exercise is graded, the others get their verdicts, and no verdict is lost."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.course.catalogue import load
from grader.course.exercise import Check, Exercise
from grader.errors import GraderError
from grader.grading import session as module
from grader.grading.ahead import Ahead
from grader.grading.bench import Bench
from grader.grading.grading import Grading
from grader.grading.session import Session
from grader.grading.worker import Worker
from grader.judge.results import ExerciseResult, Status
from grader.learner.history import Store
from grader.protocol.job import Limits, Source
from grader.protocol.runs import SubjectRun
from grader.supervisor.launcher import Launcher
from tests.mini import HINTS, ID, SOLUTION, TITLE, with_body, write_exercise

ANOTHER = "ex01_another"


@pytest.fixture
def exercises(repository: Path) -> tuple[Exercise, ...]:
    """Two exercises; the first one is wrong, the second right."""
    write_exercise(repository, ANOTHER)
    (repository / "exercises" / f"{ID}.py").write_text(with_body("return x * 3"))
    (repository / "exercises" / f"{ANOTHER}.py").write_text(SOLUTION)
    return load(repository)


@pytest.fixture
def session(
    exercises: tuple[Exercise, ...], repository: Path, subject_processes: Launcher, store: Store
) -> Session:
    return Session(exercises, repository / "exercises", 17, subject_processes, store)


def failing(error: BaseException) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        OSError("odd"),
        RecursionError("deep"),
        MemoryError(),
        UnicodeEncodeError("a", "b", 0, 1, "c"),
        GraderError("no process"),
    ],
)
def test_an_error_of_ours_concerns_one_exercise_alone(
    session: Session, exercises: tuple[Exercise, ...], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real = module.check_contract
    monkeypatch.setattr(
        module,
        "check_contract",
        lambda read, exercise: real(read, exercise) if exercise.id != ID else failing(error)(),
    )
    first, second = session.grade_all(exercises)
    assert (first.status, second.status) == (Status.GRADER_ERROR, Status.PASSED)
    assert first.message.endswith("This is not your fault.") and str(error) in first.message
    noted = exercises[0].root / ".grader" / "last-error.txt"
    if isinstance(error, GraderError):
        assert not noted.exists()
    else:
        assert str(noted) in first.message and type(error).__name__ in noted.read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_what_ends_the_command_is_not_held_up(
    session: Session, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(module, "check_contract", failing(error))
    with pytest.raises(type(error)):
        list(session.grade_in_order())


@pytest.mark.parametrize("where", ["find_causes", "explain", "unstable"])
def test_a_verdict_stands_although_it_cannot_be_explained(
    session: Session, exercises: tuple[Exercise, ...], monkeypatch: pytest.MonkeyPatch, where: str, store: Store
) -> None:
    error = failing(ZeroDivisionError("ours"))
    match where:
        case "find_causes":
            monkeypatch.setattr(module, "find_causes", error)
        case "explain":
            monkeypatch.setattr(Grading, "explain", error)
        case "unstable":
            monkeypatch.setattr(Session, "_unstable", error)
    result = session.grade(exercises[0])
    assert [check.status for check in result.checks] == [Status.WRONG, Status.PASSED, Status.PASSED]
    assert "6 of 6 values are off" in result.checks[0].message
    assert store.latest_graded()[ID].status is Status.WRONG
    assert "ZeroDivisionError" in (exercises[0].root / ".grader" / "last-error.txt").read_text()


def test_a_store_that_holds_what_nobody_knows_costs_no_verdict(
    session: Session, exercises: tuple[Exercise, ...], store: Store, repository: Path
) -> None:
    store.keep(ANOTHER, "x", "graded", 1)
    with sqlite3.connect(repository / ".grader" / "progress.sqlite3") as other:
        other.execute("UPDATE attempts SET status = 'a verdict of the future', saved_at = 'no time'")
    assert [result.status for result in session.grade_all(exercises)] == [Status.WRONG, Status.PASSED]
    assert store.attempts() == []
    assert "cannot be used" in store.problem


def test_a_text_that_cannot_be_kept_is_graded(
    session: Session, exercises: tuple[Exercise, ...], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grader.learner.history.digest", failing(ValueError("odd")))
    assert session.grade(exercises[1]).status is Status.PASSED
    assert "odd" in store.problem


def test_the_next_save_is_graded_after_an_error_of_ours(
    session: Session, exercises: tuple[Exercise, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[ExerciseResult] = []
    worker = Worker(session, shown.append)
    with monkeypatch.context() as patched:
        patched.setattr(module, "check_contract", failing(ZeroDivisionError("ours")))
        worker.grade(exercises[1])
        assert worker.wait(60)
    worker.grade(exercises[1])
    assert worker.wait(60)
    worker.close()
    assert [result.status for result in shown] == [Status.GRADER_ERROR, Status.PASSED]


def test_a_worker_that_is_closed_takes_nothing_more_and_keeps_nobody_waiting(
    session: Session, exercises: tuple[Exercise, ...]
) -> None:
    shown: list[ExerciseResult] = []
    worker = Worker(session, shown.append)
    worker.close()
    worker.grade(exercises[1])
    assert worker.wait(5)
    assert shown == []


def test_what_was_saved_while_it_closes_ends_it_all_the_same(
    session: Session, exercises: tuple[Exercise, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verdict that is found to be stale asks for another, and that may be after the end."""
    graded, closing = threading.Event(), threading.Event()
    real = Session.grade

    def slow(self: Session, exercise: Exercise) -> ExerciseResult:
        result = real(self, exercise)
        graded.set()
        closing.wait(60)
        return replace(result, digest="of an older text")

    monkeypatch.setattr(Session, "grade", slow)
    worker = Worker(session, lambda result: None)
    ahead = Ahead(worker)
    worker.grade(exercises[1])
    assert graded.wait(60)
    ahead.look_into(session, exercises[1])
    threading.Timer(0.3, closing.set).start()
    worker.close()
    ahead.close()
    assert worker.wait(5)


def test_files_that_are_called_like_modules_change_nothing(
    session: Session, exercises: tuple[Exercise, ...]
) -> None:
    for name in ("grader", "torch", "typing", "random", "copy", "token", "pytest", "sitecustomize", "__init__"):
        (session.folder / f"{name}.py").write_text("raise SystemExit('this one should not be imported')\n")
    text = f"import copy, random, token, typing\nassert copy.copy and random.random and token.OP\n{SOLUTION}"
    (session.folder / f"{ANOTHER}.py").write_text(text)
    assert session.grade(exercises[1]).status is Status.PASSED


def several(repository: Path) -> tuple[Exercise, ...]:
    """Four exercises, and one that imports them all."""
    names = [f"ex1{number}_part" for number in range(4)]
    for name in names:
        write_exercise(repository, name)
    imports = "".join(f"from .{name} import double as double{name[:4]}\n" for name in names)
    write_exercise(repository, "ex20_all", imports + SOLUTION)
    exercises = [exercise for exercise in load(repository) if exercise.id[:3] in ("ex1", "ex2")]
    for exercise in exercises:
        (repository / "exercises" / exercise.file_name).write_text(f"{exercise.solution.text}# Mine.\n")
    return tuple(exercises)


@pytest.mark.slow
@pytest.mark.parametrize(("hanging", "runs", "said"), [((3,), 3, "ex13_part"), ((1, 2), 4, "several of the")])
def test_whose_import_hangs_is_found_without_waiting_for_it_again_and_again(
    repository: Path,
    subject_processes: Launcher,
    monkeypatch: pytest.MonkeyPatch,
    hanging: tuple[int, ...],
    runs: int,
    said: str,
) -> None:
    exercises, folder = several(repository), repository / "exercises"
    for number in hanging:
        path = folder / exercises[number].file_name
        path.write_text(path.read_text() + "\nwhile True: pass\n")
    ran = counting(monkeypatch)
    result = Session(exercises, folder, 17, subject_processes, None).grade(exercises[-1])
    assert result.status is Status.BLOCKED
    assert f"Builds on {said}" in result.checks[0].message
    assert len(ran) == runs


@pytest.mark.slow
def test_functions_that_all_hang_are_not_waited_for_in_every_combination(
    repository: Path, subject_processes: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "abcdef"
    solution = "".join(f"def {name}(x):\n    return x\n\n\n" for name in names)
    probes = "".join(
        f"def test_{name}(subject, observe):\n    observe('x', subject.{name}(1) + subject.{after}(1))\n\n\n"
        for name, after in zip(names, names[1:] + names[:1], strict=True)
    )
    write_exercise(repository, "ex30_loops", solution, probes, {"exercise": TITLE, **dict.fromkeys(names, HINTS)})
    exercise = load(repository)[-1]
    text = solution.replace("return x", "while True: pass")
    (repository / "exercises" / exercise.file_name).write_text(text)
    ran = counting(monkeypatch)
    result = Session((exercise,), repository / "exercises", 17, subject_processes, None).grade(exercise)
    assert result.status is Status.TIMEOUT
    assert sum(len(checks) < len(names) for checks in ran) <= 3


def counting(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The checks of each run on a learner's file. What hangs gets a second."""
    ran: list[tuple[str, ...]] = []
    real = Bench._run

    def run(self: Bench, sources: dict[str, Source], checks: Sequence[Check], *rest: Any) -> SubjectRun:
        ran.append(tuple(check.name for check in checks))
        return real(self, sources, checks, *rest)

    monkeypatch.setattr(Bench, "_run", run)
    monkeypatch.setattr("grader.grading.bench.limits_after", lambda _: Limits(1.0))
    return ran
