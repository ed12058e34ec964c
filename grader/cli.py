"""The command line: reads arguments, calls what does the work, prints. Nothing else imports this module.

What takes long to import is imported where it is needed: the first line is on the screen at once.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader.errors import GraderError, UsageError
from grader.text import COMMAND, make_output_safe, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grader.course.catalogue import Exercise
    from grader.judge.results import ExerciseResult
    from grader.learner.history import Store
    from grader.report.console import Page
    from grader.supervisor.launcher import Launcher
    from grader.supervisor.protections import Protection

ROOT = Path(__file__).resolve().parent.parent
EXERCISES = ROOT / "exercises"
STATE = ROOT / ".grader"
LARGEST_SEED = 2**31 - 1

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    text = "text"
    json = "json"
    junit = "junit"


class Require(StrEnum):
    strict = "strict"


On = Annotated[Path, typer.Option("--on", help="The folder to grade.", show_default="exercises")]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=LARGEST_SEED,
        help="Replay with the inputs of this seed.",
        show_default="drawn anew",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to report.")]
RequireOption = Annotated[
    Require | None,
    typer.Option("--require", help="Grade nothing unless every protection is in force.", show_default="none"),
]
Names = Annotated[list[str] | None, typer.Argument(metavar="[EXERCISE]…", help="For instance ex06, or 6.")]


def run(arguments: list[str]) -> int:
    """Run a command; returns its exit code: 0 all passed, 1 not all, 2 usage, 3 the grader failed.

    Ctrl-C is the caller's: it is raised as KeyboardInterrupt, or comes back as the 130 that typer makes of it.
    """
    make_output_safe()
    try:
        return int(app(arguments, standalone_mode=False, prog_name=COMMAND) or 0)
    except UsageError as error:
        return _complain(str(error), 2)
    except typer.TyperException as error:
        return _complain(f"{error.format_message().rstrip('.')}. `{COMMAND} --help` lists what there is.", 2)
    except GraderError as error:
        return _complain(str(error), 3)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except typer.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _complain(f"the grader itself failed: {type(error).__name__}: {error}. {_note_traceback()}", 3)


@app.callback(invoke_without_command=True)
def grade_in_order(
    context: typer.Context,
    on: On = EXERCISES,
    seed: Seed = None,
    format: FormatOption = Format.text,
    require: RequireOption = None,
) -> int:
    """Grade your exercises in order, up to the first that is not done, and say what comes next.

    Without a command, that is what happens. Every command has its own --help.
    """
    if context.invoked_subcommand is not None:
        return 0
    return _grade([], on, seed, format, require, in_order=True)


@app.command()
def check(
    exercises: Names = None,
    all: Annotated[bool, typer.Option("--all", help="Every exercise.")] = False,
    on: On = EXERCISES,
    seed: Seed = None,
    format: FormatOption = Format.text,
    require: RequireOption = None,
) -> int:
    """Grade the named exercises, or all of them."""
    if not exercises and not all:
        raise UsageError("Name an exercise (`check ex06`), or say --all.")
    return _grade(exercises or [], on, seed, format, require, in_order=False)


@app.command("list")
def list_exercises() -> int:
    """List the exercises, with the last verdict on each."""
    from grader.commands.small import list_lines

    page = _page()
    with _history() as store:
        for line, style in list_lines(_catalogue(), store):
            page.line(line, style)
    return 0


@app.command()
def hint(
    exercise: Annotated[str | None, typer.Argument(help="Default: the first that is not done.")] = None,
    function: Annotated[str | None, typer.Argument(help="Default: where you are stuck.")] = None,
) -> int:
    """Give the next hint. There are three for every function; each call gives one more."""
    from grader.commands.small import give_hint

    page = _page()
    with _history() as store:
        for line in give_hint(_catalogue(), exercise, function, EXERCISES, store):
            page.line(line)
    return 0


@app.command()
def reset(exercise: Annotated[str, typer.Argument()]) -> int:
    """Put the original of an exercise back. Your text is kept."""
    from grader.commands.small import reset_exercise

    with _store() as store:
        _page().line(reset_exercise(_one(exercise), EXERCISES, store))
    return 0


@app.command()
def history(exercise: Annotated[str | None, typer.Argument()] = None) -> int:
    """List every text of yours that was graded or replaced, the newest first."""
    from grader.commands.small import history_lines

    page = _page()
    with _history() as store:
        for line in history_lines(store, _one(exercise).id if exercise else None):
            page.line(line)
    return 0


@app.command()
def restore(attempt: Annotated[int, typer.Argument(help="A number from `history`.")]) -> int:
    """Bring a text back from the history. What stands there now is kept."""
    from grader.commands.small import restore_attempt

    with _store() as store:
        _page().line(restore_attempt(_catalogue(), attempt, EXERCISES, store))
    return 0


@app.command()
def doctor() -> int:
    """Say what is installed and which protections are in force."""
    from grader.commands.doctor import findings

    page = _page()
    catalogue = _catalogue()
    with _store() as store, _launcher(0) as launcher:
        for line, more in findings(ROOT, catalogue, store, launcher):
            page.line(line)
            if more:
                page.line(more, indent=2)
    return 0


@app.command()
def stubs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where they differ.")] = False,
) -> int:
    """Authors: derive exercises/ from solutions/. What is replaced is kept in the history."""
    from grader.commands.small import drifted, write_stubs

    page = _page()
    catalogue = _catalogue()
    if check:
        problems = drifted(catalogue, EXERCISES)
        for problem in problems:
            page.line(problem, "red")
        if not problems:
            page.line(f"{len(catalogue)} exercises follow from their solutions.")
        return 1 if problems else 0
    with _store() as store:
        for line in write_stubs(catalogue, EXERCISES, store):
            page.line(line)
    return 0


@app.command()
def matrix(
    exercises: Names = None,
    seed: Seed = None,
    format: Annotated[Format, typer.Option("--format")] = Format.text,
) -> int:
    """Authors: run every known mistake and every equivalent against every probe."""
    from grader.course.catalogue import choose
    from grader.grading.matrix import matrix as run_matrix
    from grader.report.matrix import as_json, show

    if format is Format.junit:
        raise UsageError("The matrix is shown as text or json.")
    chosen_seed = _seed(seed)
    with _launcher(chosen_seed) as launcher:
        catalogue = _catalogue()
        chosen = choose(catalogue, exercises) if exercises else catalogue
        page = _page()
        results = []
        for exercise in chosen:
            results.append(run_matrix(exercise, launcher, chosen_seed))
            if format is Format.text:
                show(page, results[-1])
    if format is Format.json:
        sys.stdout.write(as_json(results))
    return 0 if all(result.good for result in results) else 1


@app.command()
def selftest() -> int:
    """Maintainers: run tox, that is the tests of this project on every Python that is found."""
    return subprocess.run([sys.executable, "-m", "tox", "run"], cwd=ROOT, check=False).returncode


def _grade(
    names: list[str], on: Path, seed: int | None, format: Format, require: Require | None, in_order: bool
) -> int:
    """Grade, report, and turn the verdicts into an exit code."""
    folder = on.resolve()
    _check_folder(folder)
    wanted = _find(names) if names else None
    chosen_seed = _seed(seed)
    if format is Format.text:
        print(f"GPT Kata: {printable(os.path.relpath(folder))}, seed {chosen_seed}", flush=True)
    with _launcher(chosen_seed) as launcher, _store() as store, _protections(launcher) as trial:
        from grader.grading.session import Session
        from grader.judge.results import Report, Status
        from grader.supervisor.protections import as_line, require_all

        catalogue = _catalogue()
        chosen = [exercise for exercise in catalogue if wanted is None or exercise.id in wanted]
        if require:
            require_all(trial.result())
        mine = folder == EXERCISES
        session = Session(catalogue, folder, chosen_seed, launcher, store if mine else None)
        results = session.grade_in_order() if in_order else session.grade_all(chosen)
        by_id = {exercise.id: exercise for exercise in catalogue}
        collected = _show_as_they_come(results, by_id, chosen_seed) if format is Format.text else list(results)
        protections = trial.result()
        values = {protection.name: protection.value for protection in protections}
        notices = []
        if store.problem and mine:
            notices.append(f"Your progress could not be stored ({store.problem}). The verdicts stand.")
        if not all(protection.in_force for protection in protections):
            notices.append(f"{as_line(values)} ({COMMAND} doctor says more)")
        report = Report(
            seed=chosen_seed,
            folder=str(folder),
            protections=values,
            exercises=tuple(collected),
            total=len(catalogue),
            notices=tuple(notices),
        )
    if format is Format.json:
        from grader.report import json as jsonformat

        sys.stdout.write(jsonformat.render(report))
    elif format is Format.junit:
        from grader.report import junit

        sys.stdout.write(junit.render(report))
    else:
        from grader.report.console import show_summary

        show_summary(_page(), report, by_id, folder, in_order)
    statuses = {result.status for result in report.exercises}
    if Status.GRADER_ERROR in statuses:
        return 3
    return 0 if statuses == {Status.PASSED} else 1


def _check_folder(folder: Path) -> None:
    """Raises `UsageError` unless the folder holds exercise files."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    if not any(folder.glob("ex[0-9][0-9]_*.py")):
        raise UsageError(f"The folder {folder} holds no exercise (no file named like ex00_….py).")


def _find(names: list[str]) -> set[str]:
    from grader.course.catalogue import exercise_ids, find

    return find(exercise_ids(ROOT), names)


def _show_as_they_come(
    results: Iterable[ExerciseResult], exercises: dict[str, Exercise], seed: int
) -> list[ExerciseResult]:
    from grader.judge.results import Status
    from grader.report.console import show_result

    page = _page()
    collected: list[ExerciseResult] = []
    for result in results:
        if collected and {collected[-1].status, result.status} != {Status.PASSED}:
            page.line()
        show_result(page, result, exercises[result.id], seed)
        collected.append(result)
    return collected


def _seed(seed: int | None) -> int:
    """The asked-for seed, or a new one: nobody can learn the tests' inputs by heart."""
    return secrets.randbelow(100_000) if seed is None else seed


def _catalogue() -> tuple[Exercise, ...]:
    from grader.course.catalogue import load

    return load(ROOT)


def _one(name: str) -> Exercise:
    from grader.course.catalogue import choose

    return choose(_catalogue(), [name])[0]


def _page() -> Page:
    from grader.report.console import Page

    return Page()


@contextmanager
def _store() -> Iterator[Store]:
    from grader.learner.history import Store

    store = Store(STATE / "progress.sqlite3")
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _history() -> Iterator[Store]:
    """The store, for what is shown from it; where that could not be read, it is said."""
    with _store() as store:
        yield store
        if store.problem:
            _page().line(f"Your history could not be used: {store.problem}", "yellow")


@contextmanager
def _launcher(seed: int) -> Iterator[Launcher]:
    from grader.supervisor.start import start_launcher

    started = start_launcher(seed)
    try:
        yield started
    finally:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it behind
        started.close()
        signal.signal(signal.SIGINT, before)


@contextmanager
def _protections(launcher: Launcher) -> Iterator[Future[tuple[Protection, ...]]]:
    """Which protections are in force: tried while other things go on."""
    from grader.supervisor.protections import attempt_all

    pool = ThreadPoolExecutor(1)
    try:
        yield pool.submit(attempt_all, launcher, ROOT, next((ROOT / "solutions").glob("ex*.py")))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _complain(message: str, code: int) -> int:
    print("grader: " + printable(message).replace("\n", " "), file=sys.stderr)
    return code


def _note_traceback() -> str:
    """Keep the traceback for a bug report, out of the learner's sight."""
    path = STATE / "last-error.txt"
    try:
        STATE.mkdir(exist_ok=True)
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except OSError:
        return "Please report it."
    return f"Please report it with {path}."
