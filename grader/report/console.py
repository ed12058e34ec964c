"""The report for a person at a terminal. Readable at 80 columns, without colour, and in plain ASCII."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleDimensions
from rich.style import Style
from rich.text import Text

from grader.course.exercise import Exercise
from grader.judge.results import CheckResult, Details, ExerciseResult, Report, Status
from grader.protocol.runs import IMPORT_CHECK, Place
from grader.report.picture import picture_lines
from grader.text import COMMAND, PYTHON, encodable, printable, shorten

MARKS = {Status.PASSED: ("✓", "green"), Status.UNFINISHED: ("·", "yellow"), Status.BLOCKED: ("·", "yellow")}
WRONG_MARK = ("✗", "red")
PRINTED = "Your code printed:"
PRINTED_LINES = 8
# Code that is longer is not shown, but left in a file.
CODE_LINES = 14
PICTURE_INDENT = 4
# In fewer columns than this nothing can be read; and some terminals say that they have none.
NARROWEST = 20
WORDS = {
    Status.PASSED: "passed",
    Status.WRONG: "wrong",
    Status.RAISED: "raised an error",
    Status.TIMEOUT: "does not end",
    Status.CRASHED: "crashed",
    Status.LIMIT: "over a limit",
    Status.FORBIDDEN: "uses what is forbidden",
    Status.UNFINISHED: "not finished",
    Status.BLOCKED: "blocked",
    Status.UNREADABLE: "cannot be read",
    Status.GRADER_ERROR: "the grader failed",
}


class Page:
    """A terminal to write on, or another console. Characters that it cannot show are replaced by ones that it
    can."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, emoji=False)
        if self.console.is_dumb_terminal:  # rich takes every one of them to have 80 columns
            self.console.size = ConsoleDimensions(*shutil.get_terminal_size())
        self.console.width = max(NARROWEST, self.console.width)

    def line(self, text: str = "", style: str | Style = "", indent: int = 0) -> None:
        safe = encodable(printable(text), self.console.encoding)
        for wrapped in Text(safe, style=style).wrap(self.console, self.console.width - indent) or [Text()]:
            wrapped.rstrip()
            self.console.print(Text(" " * indent) + wrapped, soft_wrap=True)

    def place(self, place: Place, function: str = "", indent: int = 0) -> None:
        """A line of a file, which a terminal that knows links opens at a click."""
        text = f"{relative(place.file)}:{place.line}  {function}".rstrip()
        self.line(text, Style(color="cyan", link=link_to(place, os.environ)), indent)

    def row(self, cells: Sequence[str], styles: Sequence[str], indent: int = 0) -> None:
        """Cells of one line in colours that set them apart; without colours a line stands between them."""
        between = " " if self.console.color_system and not self.console.no_color else "|"
        line = Text(" " * indent)
        for number, (cell, style) in enumerate(zip(cells, styles, strict=True)):
            line.append(between if number else "").append(encodable(printable(cell), self.console.encoding), style)
        self.console.print(line, soft_wrap=True)


@dataclass(frozen=True)
class Tryout:
    """Code that does what the check does which is shown first, and the command that runs it from a file. Either may
    be empty."""

    code: str
    command: str


def show_result(
    page: Page, result: ExerciseResult, exercise: Exercise | None, options: str, tryout: Tryout | None = None
) -> None:
    """One line for an exercise that is done or not begun; for any other, what to look at first.

    `options` are those with which a command grades the same again.
    """
    mark, style = MARKS.get(result.status, WRONG_MARK)
    if result.status is Status.PASSED:
        passed = sum(check.status is Status.PASSED for check in result.checks)
        page.line(f"{mark} {result.id:<16} {passed} checks passed, {result.seconds:.1f} s", style)
        for name in dict.fromkeys(check.function for check in result.checks if check.status is not Status.PASSED):
            page.line(f"`{name}` is optional, and still to be written.", "dim", 2)
        _show_refused(page, result)
        return
    done = f"; {_counted(result, exercise)}" if exercise else ""
    page.line(f"{mark} {result.id:<16} {WORDS[result.status]}{done}", style)
    first = result.first_open
    if result.message or first is None:
        _show_message(page, result.message, result.place)
    elif first.status in (Status.UNFINISHED, Status.BLOCKED):
        _show_message(page, first.message, first.place)
    else:
        _show_check(page, first, result)
        if tryout:
            _show_code(page, tryout.code)
        page.line()
        if tryout and tryout.command:
            page.line(f"try     {tryout.command}  what the check does, to run and change", "dim", 2)
        page.line(f"replay  {COMMAND} check {result.id[:4]}{options}", "dim", 2)
    _show_refused(page, result)
    if result.output.strip():
        lines = result.output.strip().splitlines()
        said = (
            f"Your code printed {len(lines):,} lines, the last of them:" if len(lines) > PRINTED_LINES else PRINTED
        )
        page.line()
        page.line(said, "dim", 2)
        for line in lines[-PRINTED_LINES:]:
            page.line(shorten(line, page.console.width - 4), "dim", 4)


def _counted(result: ExerciseResult, exercise: Exercise) -> str:
    """How many checks passed, of the core and of the fine print."""
    passed = {check.name for check in result.checks if check.status is Status.PASSED}
    parts = []
    for name, fine_print in (("core", False), ("fine print", True)):
        checks = [check.name for check in exercise.checks if check.fine_print is fine_print]
        if checks:
            parts.append(f"{name} {len(passed.intersection(checks))} of {len(checks)}")
    return ", ".join(parts) + " passed"


def _show_refused(page: Page, result: ExerciseResult) -> None:
    if result.refused:
        page.line()
        page.line(
            "Your code tried what it may not do while it is graded, or changed what had to be put back:",
            "yellow",
            2,
        )
        for act in result.refused:
            page.line(shorten(act, 300), "yellow", 4)


def _show_message(page: Page, message: str, place: Place | None) -> None:
    for line in message.splitlines():
        page.line(line, indent=2)
    if place:
        page.place(place, indent=2)


def _show_code(page: Page, code: str) -> None:
    """What the check does, if it is short and each line of it fits."""
    lines = code.splitlines()
    if lines and len(lines) <= CODE_LINES and all(len(line) <= page.console.width - 4 for line in lines):
        page.line()
        page.line("What the check does, to paste into Python's prompt:", "dim", 2)
        for line in lines:
            page.line(line, indent=4 if line else 0)


def _show_details(page: Page, details: Details) -> None:
    """What there is to say where no known mistake explains it."""
    if details.promise:
        whose = f"The docstring of `{details.promised_in}`" if details.promised_in else "The lesson"
        page.line()
        page.line(f"{whose} asks:", "dim", 2)
        page.line(details.promise, indent=4)
    rows = (
        ("on the line", details.line),
        ("should come", details.wanted),
        ("already off", details.off),
        ("right so far", ", ".join(details.agreed)),
    )
    if any(text for _, text in rows) or details.steps:
        page.line()
    for name, text in rows:
        if text:
            page.line(f"{name:<12}  {text}", indent=2)
    if details.steps:
        page.line(details.steps, indent=2)


def _show_check(page: Page, check: CheckResult, result: ExerciseResult) -> None:
    page.line()
    page.line(title_of(check) + (" (fine print)" if check.fine_print else ""), "bold", 2)
    for paragraph in check.told.splitlines():
        page.line(paragraph, indent=2)
    if check.difference and (check.difference.expected or check.difference.actual):
        page.line()
        page.line(f"in        {check.difference.observation}", "dim", 2)
        if check.difference.expected:
            page.line(f"expected  {check.difference.expected}", indent=2)
        page.line(f"yours     {check.difference.actual}", indent=2)
    picture = check.difference and check.difference.picture
    if picture:
        lines = picture_lines(picture, page.console.width - PICTURE_INDENT)
        page.line()
        for row in lines:
            page.line(row, indent=PICTURE_INDENT)
    if check.details:
        _show_details(page, check.details)
    if check.place:
        page.line()
        page.place(check.place, check.place.function, indent=2)
    others = [c for c in result.checks if c is not check and c.status not in (Status.PASSED, Status.UNFINISHED)]
    waiting = sum(c.status is Status.BLOCKED for c in others)
    same = sum(bool(c.mistakes) and c.mistakes == check.mistakes for c in others)
    wrong = len(others) - waiting - same
    for count, one, more in (
        (same, "check shows the same", "checks show the same"),
        (wrong, "check also went wrong; this one first", "checks also went wrong; this one first"),
        (waiting, "check waits until something else is right", "checks wait until something else is right"),
    ):
        if count:
            said = one if count == 1 else more
            page.line(f"{count} more {said}.", "dim", 2)


def title_of(check: CheckResult) -> str:
    """What was checked, in words."""
    return "import of your file" if check.name == IMPORT_CHECK else spoken(check.name)


def spoken(name: str) -> str:
    """`test_a_row_sums_to_one` is `a row sums to one`."""
    return name.removeprefix("test_").replace("_", " ")


def show_progress(page: Page, passed: int, total: int) -> None:
    """The bar; a narrow terminal gets the numbers alone."""
    width = min(40, page.console.width - 24)
    numbers = f"{passed} of {total} done"
    if width < 10:
        page.line(numbers, "bold")
        return
    filled = round(width * passed / total) if total else 0
    page.line(f"{'█' * filled}{'░' * (width - filled)}  {numbers}", "bold")


def show_summary(
    page: Page, report: Report, exercises: dict[str, Exercise], folder: Path, options: str, whole: bool
) -> None:
    """How far one is, and what to do next. `whole`: it is about the whole course; what was not graded, because it
    went in order, is known not to be done.

    `options` are those with which a hint is about this folder.
    """
    page.line()
    if whole:
        show_progress(page, report.passed, report.total)
    else:
        page.line(f"{report.passed} of {len(report.exercises)} passed", "bold")
    done = [result.id for result in report.exercises if result.status is Status.PASSED]
    with_scene = [name for name in done if exercises[name].scene]
    if with_scene:
        page.line(f"See what your code does: {COMMAND} show {with_scene[-1][:4]}{options}")
    open_result = next((r for r in report.exercises if r.status is not Status.PASSED), None)
    if open_result is None:
        if whole:
            page.line(f"Everything here is done. Let your GPT learn: {PYTHON} -m scripts.train", "green")
    else:
        exercise = exercises.get(open_result.id)
        for line in next_steps(open_result, exercise, folder, options) if exercise else ():
            page.line(line)
    for notice in report.notices:
        page.line(notice, "yellow")


def next_steps(result: ExerciseResult, exercise: Exercise, folder: Path, options: str) -> list[str]:
    """What to open, what to do there, and how to get a hint."""
    if result.status is Status.BLOCKED:
        return []  # what it waits for has been named
    file = relative(str(folder / exercise.file_name))
    first = result.first_open
    stubs_left = [check for check in result.checks if check.status is Status.UNFINISHED]
    hint = f"Stuck: {COMMAND} hint {exercise.id[:4]}{options}"
    if result.status is Status.UNFINISHED and first and first.place:
        if len(stubs_left) == len(result.checks):
            return [
                f"Next: open {file} ({exercise.title}, about {exercise.minutes} minutes).",
                f"Read the lesson at its top, then write `{first.place.function}`, line {first.place.line}.",
                hint,
            ]
        return [f"Next: write `{first.place.function}`, {file}, line {first.place.line}.", hint]
    return [f"Next: {file}", hint]


def link_to(place: Place, environment: Mapping[str, str]) -> str | None:
    """The address of a line of a file, for a terminal on the machine that has the file; None elsewhere.

    Where it stands in the file is said to those terminals that are known to understand it. Others would look for a
    file of that name.
    """
    if "SSH_CONNECTION" in environment:
        return None
    try:
        address = Path(place.file).absolute().as_uri()
    except UnicodeEncodeError:  # a name that is no text
        return None
    knows_lines = environment.get("TERM_PROGRAM") == "vscode" or environment.get("TERM") == "xterm-kitty"
    return f"{address}#{place.line}" if knows_lines else address


def relative(file: str) -> str:
    """A path as one would type it from here."""
    try:
        return os.path.relpath(file)
    except ValueError:  # another drive on Windows
        return file
