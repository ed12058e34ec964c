"""Grade exercises, show the verdicts as they come, and turn them into an exit code."""

from __future__ import annotations

import heapq
import os
import secrets
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from grader.bootstrap import EXERCISES, ROOT
from grader.commands.milestone import milestone
from grader.commands.opened import opened_launcher, opened_store, tried_protections
from grader.commands.tryout import write_tryout
from grader.course.catalogue import Course, exercise_ids, find, load_readable
from grader.course.exercise import Exercise
from grader.errors import UsageError
from grader.grading.session import Session
from grader.judge.results import ExerciseResult, Report, Status
from grader.learner.history import Store
from grader.report import github, gradescope, json, junit
from grader.report.console import Page, relative, show_result, show_summary
from grader.stopping import answered, undisturbed
from grader.supervisor.protections import Protection, as_line, require_all
from grader.supervisor.spares import expected_for
from grader.text import COMMAND, printable

RENDERERS = {
    "json": json.render,
    "junit": junit.render,
    "github": github.render,
    "gradescope": gradescope.render,
}


def grade(names: Sequence[str], on: Path, seed: int | None, format: str, strict: bool, in_order: bool) -> int:
    """Grade the named exercises, or all; `in_order` up to the first that is not done. Returns the exit code.

    `format` is text, or one for programs: these are one document, also of a run that is stopped.

    Raises `UsageError` for a folder or a name that is none, `GraderError` where `strict` wants more protection.
    """
    folder = on.resolve()
    check_folder(folder, format)
    ids = exercise_ids(ROOT)
    wanted = find(ids, names) if names else list(ids)
    chosen_seed = drawn(seed)
    report = Report(chosen_seed, str(folder), {}, (), len(wanted))
    if format == "text":
        print(f"GPT Kata: {printable(os.path.relpath(folder))}, seed {chosen_seed}", flush=True)
    try:
        with (
            answered(),
            opened_launcher(chosen_seed, expected_for(len(wanted))) as launcher,
            opened_store() as store,
            tried_protections(launcher) as trial,
        ):
            course = load_readable(ROOT, wanted)
            exercises = {exercise.id: exercise for exercise in course.exercises}
            if strict:
                require_all(trial.result())
            kept_in = store if folder == EXERCISES else None
            tells = kept_in is not None and format == "text"
            before = store.latest_graded() if tells else {}
            session = Session(course.exercises, folder, chosen_seed, launcher, kept_in)
            graded_ones = session.grade_in_order() if in_order else session.grade_all(course.exercises)
            results = heapq.merge(graded_ones, broken_results(course), key=lambda result: result.id)
            on_folder = "" if folder == EXERCISES else f" --on {relative(str(folder))}"
            replay = f"{on_folder} --seed {chosen_seed}"
            try:
                with answered():
                    graded = (
                        show_as_they_come(results, exercises, folder, replay) if format == "text" else list(results)
                    )
            except KeyboardInterrupt:  # soon what runs is ended, and looks as if it had crashed
                session.cancelled.set()
                report = replace(report, exercises=session.results_so_far())
                raise
            reached = milestone(ROOT, before, graded, store, launcher) if tells else ""
            protections = trial.result()
            report = replace(
                report,
                exercises=tuple(graded),
                protections={protection.name: protection.value for protection in protections},
                notices=tuple(notices(kept_in, protections)),
            )
    except KeyboardInterrupt:
        write(replace(report, stopped=True), format)
        raise
    if format == "text":
        page = Page()
        show_summary(page, report, exercises, folder, on_folder, whole=in_order or not names)
        if reached:
            page.line()
            page.line(reached, "green")
    write(report, format)
    return exit_code(report)


def write(report: Report, format: str) -> None:
    """Write the document of a format for programs, undisturbed: one half of it would be of no use to them."""
    render = RENDERERS.get(format)
    if render:
        with undisturbed():
            sys.stdout.write(render(report))
            sys.stdout.flush()


def broken_results(course: Course) -> list[ExerciseResult]:
    """The verdict on exercises of which the author's part cannot be read."""
    return [
        ExerciseResult(name, Status.GRADER_ERROR, 0.0, (), f"{problem} This is not your fault.")
        for name, problem in course.problems.items()
    ]


def notices(kept_in: Store | None, protections: Sequence[Protection]) -> Iterable[str]:
    """What is to be said beside the verdicts."""
    if kept_in and kept_in.problem:
        yield f"Your progress could not be stored ({kept_in.problem}). The verdicts stand."
    if not all(protection.in_force for protection in protections):
        line = as_line({protection.name: protection.value for protection in protections})
        yield f"{line} ({COMMAND} doctor says more)"


def exit_code(report: Report) -> int:
    """0 if all that was asked for passed, 1 if not, 3 if the grader itself failed."""
    statuses = {result.status for result in report.exercises}
    if Status.GRADER_ERROR in statuses:
        return 3
    return 0 if statuses == {Status.PASSED} else 1


def check_folder(folder: Path, format: str) -> None:
    """Raises `UsageError` for what is no folder.

    One without any exercise is a slip where a person reads the answer. To a program it is a learner who handed in
    nothing, and gets a verdict as any other.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    if format == "text" and not any(folder.glob("ex[0-9][0-9]_*.py")):
        raise UsageError(f"The folder {folder} holds no exercise (no file named like ex00_….py).")


def show_as_they_come(
    results: Iterable[ExerciseResult], exercises: dict[str, Exercise], folder: Path, replay: str
) -> list[ExerciseResult]:
    page = Page()
    shown: list[ExerciseResult] = []
    for result in results:
        if shown and {shown[-1].status, result.status} != {Status.PASSED}:
            page.line()
        exercise = exercises.get(result.id)
        tryout = write_tryout(result, exercise, folder) if exercise else None
        show_result(page, result, exercise, replay, tryout)
        shown.append(result)
    return shown


def drawn(seed: int | None) -> int:
    """The asked-for seed, or a new one: nobody can learn the tests' inputs by heart."""
    return secrets.randbelow(100_000) if seed is None else seed
