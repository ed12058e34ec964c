"""The command line: reads arguments, calls what does the work, prints. Nothing else imports this module.

What takes long to import is imported where it is needed, once for each command: the first line is on the screen at
once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from grader.bootstrap import EXERCISES, ROOT, STATE
from grader.commands.completion import Shell
from grader.errors import GraderError, UsageError, note_traceback
from grader.stopping import answered
from grader.text import COMMAND, make_output_safe, printable, sentence

LARGEST_SEED = 2**31 - 1

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def examples(*commands: str) -> str:
    """What stands below the help of a command. The character keeps the lines apart."""
    lines = (f"  {COMMAND} {command}".rstrip() for command in commands)
    return "\n".join(["\b", "For instance:", *lines])


class Format(StrEnum):
    text = "text"
    json = "json"
    junit = "junit"
    github = "github"
    gradescope = "gradescope"


class Require(StrEnum):
    strict = "strict"


THEIR_WORDS = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "It should be a whole number",
    "Input should": "It should",
}
On = Annotated[Path, typer.Option("--on", help="The folder to grade.", show_default="exercises")]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        max=LARGEST_SEED,
        metavar="<number>",
        help="Replay with the inputs of this seed.",
        show_default="drawn anew",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to report.")]
RequireOption = Annotated[
    Require | None,
    typer.Option("--require", help="Grade nothing unless every protection is in force.", show_default="none"),
]
Names = Annotated[list[str] | None, typer.Argument(metavar="exercise", help="For instance ex06, or 6.")]


def run(arguments: list[str]) -> int:
    """Run a command; returns its exit code: 0 all passed, 1 not all, 2 usage, 3 the grader failed.

    Ctrl-C is the caller's: it is raised as KeyboardInterrupt, or comes back as the 130 that typer makes of it.
    """
    make_output_safe()
    try:
        with answered():
            return int(app(arguments, standalone_mode=False, prog_name=COMMAND) or 0)
    except UsageError as error:
        return _complain(str(error), 2)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else COMMAND
        return _complain(f"{_in_plain_words(error.format_message())} `{command} --help` lists what there is.", 2)
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
        return _complain(f"the grader itself failed: {type(error).__name__}: {error}. {note_traceback(STATE)}", 3)


def _in_plain_words(message: str) -> str:
    """What is wrong with the command line, without the words of the library that has found it."""
    for theirs, ours in THEIR_WORDS.items():
        message = message.replace(theirs, ours)
    return sentence(message)


@app.callback(invoke_without_command=True, epilog=examples("", "watch", "hint", "check ex06 --help"))
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
        refuse_misplaced(context)
        return 0
    from grader.commands import grade

    return grade.grade([], on, seed, format, require is not None, in_order=True)


def refuse_misplaced(context: typer.Context) -> None:
    """Raises `UsageError` for an option in front of a command, where it would have no effect."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            command = context.invoked_subcommand
            raise UsageError(f"Write --{name} behind the command: `{COMMAND} {command} … --{name} …`.")


@app.command(epilog=examples("check ex06 ex07", "check --all --on solutions", "check 6 --seed 17"))
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
    from grader.commands import grade

    return grade.grade(exercises or [], on, seed, format, require is not None, in_order=False)


@app.command("list", epilog=examples("list"))
def list_exercises() -> int:
    """List the exercises, with the last verdict on each."""
    from grader.commands import hints, opened
    from grader.report.console import Page

    page = Page()
    with opened.opened_history(page) as store:
        for line, style in hints.list_lines(ROOT, store):
            page.line(line, style)
    return 0


@app.command(epilog=examples("hint", "hint ex06", "hint ex06 CausalAttention.forward"))
def hint(
    exercise: Annotated[str | None, typer.Argument(help="Default: the first that is not done.")] = None,
    function: Annotated[str | None, typer.Argument(help="Default: where you are stuck.")] = None,
    on: Annotated[
        Path, typer.Option("--on", help="The folder of your files.", show_default="exercises")
    ] = EXERCISES,
) -> int:
    """Give the next hint. Each call gives a little more, up to the solution, and says so before that."""
    from grader.commands import hints, opened
    from grader.report.console import Page

    page = Page()
    with opened.opened_history(page) as store:
        for line in hints.give_hint(ROOT, exercise, function, on.resolve(), store):
            page.line(line)
    return 0


@app.command(epilog=examples("watch", "watch ex06", "watch --plain"))
def watch(
    exercise: Annotated[str | None, typer.Argument(help="Default: the first that is not done.")] = None,
    on: On = EXERCISES,
    seed: Seed = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print a report for each save; draw no screen.")] = False,
) -> int:
    """Grade on every save, with keys for everything else. What you save is answered at once."""
    from grader.commands import watch as command

    command.watch(exercise, on, seed, plain)
    return 0


@app.command(epilog=examples("diff ex06"))
def diff(exercise: Annotated[str, typer.Argument(help="For instance ex06, or 6.")]) -> int:
    """Compare your file with the solution, once it has passed."""
    from grader.commands import opened
    from grader.commands.diff import diff_lines, has_passed
    from grader.course.catalogue import choose
    from grader.report.console import Page

    page = Page()
    (chosen,) = choose(ROOT, [exercise])
    with opened.opened_store() as store:
        passed = has_passed(chosen, EXERCISES, store)
    for line, style in diff_lines(chosen, EXERCISES, passed):
        page.line(line, style)
    return 0


@app.command(epilog=examples("show ex06", 'show ex03 "A text of your own"', "show ex14 --folder gpt2"))
def show(
    exercise: Annotated[str, typer.Argument(help="For instance ex06, or 6.")],
    text: Annotated[str, typer.Argument(help="What it is about, for scenes that take a text.")] = "",
    folder: Annotated[Path | None, typer.Option("--folder", help="A model to load, for ex14.")] = None,
    on: On = EXERCISES,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=LARGEST_SEED, metavar="<number>", help="The seed of its inputs.")
    ] = 17,
) -> int:
    """Show what your code of an exercise does.

    It is drawn here, and kept as a picture.
    """
    from grader.commands import opened
    from grader.commands.show import show_scene
    from grader.report.console import Page

    with opened.opened_launcher(seed, expected=1) as launcher:
        read = None if folder is None else folder.resolve()
        pictures = STATE / "scenes"
        return show_scene(ROOT, exercise, text, read, on.resolve(), seed, launcher, pictures, Page())


@app.command(epilog=examples("reset ex06"))
def reset(exercise: Annotated[str, typer.Argument()]) -> int:
    """Put the original of an exercise back. Your text is kept."""
    from grader.commands import history, opened
    from grader.report.console import Page

    with opened.opened_store() as store:
        Page().line(history.reset_exercise(ROOT, exercise, EXERCISES, store))
    return 0


@app.command(epilog=examples("update", "update ex06"))
def update(exercises: Names = None) -> int:
    """Add the stubs that your files lack after a newer version.

    What reads otherwise than in your file is shown.

    Nothing of yours is changed.
    """
    from grader.commands import opened
    from grader.commands.update import update_exercises
    from grader.report.console import Page

    page = Page()
    with opened.opened_store() as store:
        for line in update_exercises(ROOT, exercises or [], EXERCISES, store):
            text = line.lstrip(" ")
            page.line(text, indent=len(line) - len(text))
    return 0


@app.command("history", epilog=examples("history", "history ex06"))
def list_history(exercise: Annotated[str | None, typer.Argument()] = None) -> int:
    """List every text of yours that was kept, the newest first."""
    from grader.commands import history, opened
    from grader.report.console import Page

    page = Page()
    with opened.opened_history(page) as store:
        for line in history.history_lines(ROOT, store, exercise):
            page.line(line)
    return 0


@app.command(epilog=examples("restore 12"))
def restore(number: Annotated[int, typer.Argument(help="A number from `history`.")]) -> int:
    """Bring a text back from the history. What stands there now is kept."""
    from grader.commands import history, opened
    from grader.report.console import Page

    with opened.opened_store() as store:
        Page().line(history.restore_attempt(ROOT, number, EXERCISES, store))
    return 0


@app.command("doctor", epilog=examples("doctor"))
def examine() -> int:
    """Say what is installed and which protections are in force."""
    from grader.commands import doctor, opened
    from grader.report.console import Page

    page = Page()
    with opened.opened_store() as store, opened.opened_launcher(0, expected=1) as launcher:
        for line, more in doctor.findings(ROOT, store, launcher):
            page.line(line)
            if more:
                page.line(more, indent=2)
    return 0


@app.command(epilog='\b\nFor instance:\n  eval "$(' + COMMAND + ' completion bash)"')
def completion(shell: Annotated[Shell, typer.Argument(help="Which shell yours is.")]) -> int:
    """Print a script that makes your shell complete commands.

    In it `grader` is short for all in front of a command.
    """
    from grader.commands.completion import script
    from grader.course.catalogue import exercise_ids

    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    names = exercise_ids(ROOT)
    words = {
        name: words_after(command, names)
        for name, command in group.commands.items()
        if isinstance(command, TyperCommand)
    }
    sys.stdout.write(script(shell, words))
    return 0


def words_after(command: TyperCommand, names: Sequence[str]) -> list[str]:
    """The options of a command, and the names of exercises where it takes any."""
    options = [word for parameter in command.params for word in parameter.opts if word.startswith("--")]
    takes_names = any(parameter.name in ("exercise", "exercises") for parameter in command.params)
    return [*options, *(names if takes_names else ())]


@app.command(epilog=examples("stubs", "stubs --check"))
def stubs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where they differ.")] = False,
) -> int:
    """Authors: derive exercises/ from solutions/. What is replaced is kept in the history."""
    from grader.commands import authors, opened
    from grader.course.catalogue import load_readable
    from grader.report.console import Page

    page = Page()
    course = load_readable(ROOT)
    problems = list(course.problems.values())
    if check:
        problems += authors.drifted(course, EXERCISES)
        if not problems:
            page.line(f"{len(course.exercises)} exercises follow from their solutions.")
    else:
        with opened.opened_store() as store:
            for line in authors.write_stubs(course.exercises, EXERCISES, store):
                page.line(line)
    for problem in problems:
        page.line(problem, "red")
    return 1 if problems else 0


@app.command(epilog=examples("matrix ex06", "matrix --check --format json"))
def matrix(
    exercises: Names = None,
    seed: Seed = None,
    format: Annotated[Format, typer.Option("--format")] = Format.text,
    check: Annotated[
        bool, typer.Option("--check", help="Write no index, and fail where one is not current.")
    ] = False,
) -> int:
    """Authors: run known mistakes and equivalents on all probes.

    The index, `tutor/exNN/index.json`, tells the diagnosis what to try first. With --seed, it stays as it is.
    """
    from grader.commands import authors, opened
    from grader.course.catalogue import exercise_ids, find, load_readable
    from grader.course.index import INDEX_SEED
    from grader.report.console import Page
    from grader.report.matrix import as_json, show

    if format not in (Format.text, Format.json):
        raise UsageError("The matrix is shown as text or json.")
    if check and seed is not None:
        raise UsageError("--check is about the seed of the index; leave out --seed.")
    ids = exercise_ids(ROOT)
    course = load_readable(ROOT, find(ids, exercises) if exercises else ids)
    chosen_seed = INDEX_SEED if seed is None else seed
    page, results = Page(), []
    with opened.opened_launcher(chosen_seed) as launcher:
        for exercise, result in authors.matrices(course.exercises, launcher, chosen_seed):
            if seed is None:
                result = authors.with_index(exercise, result, check)
            results.append(result)
            if format is Format.text:
                show(page, result)
    if format is Format.json:
        sys.stdout.write(as_json(results, course.problems))
    else:
        for problem in course.problems.values():
            page.line(problem, "red")
    return 0 if all(result.good for result in results) and not course.problems else 1


@app.command(epilog=examples("selftest"))
def selftest() -> int:
    """Maintainers: run the tests on every Python that is found."""
    import subprocess

    return subprocess.run([sys.executable, "-m", "tox", "run"], cwd=ROOT, check=False).returncode


def _complain(message: str, code: int) -> int:
    print("grader: " + printable(message).replace("\n", " "), file=sys.stderr)
    return code
