"""What is shown for each thing that a watch tells, on the screen or line by line."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from grader.commands.tryout import write_tryout
from grader.commands.watching.desk import Graded, Seen, is_quick
from grader.judge.results import Status
from grader.report.console import Page, next_steps, show_result
from grader.report.scenes.terminal import show
from grader.text import COMMAND

View = Callable[[Page], None]
"""Writes something on a page, whatever its width."""


def drawn_at(view: View, width: int, has_colour: bool) -> Text:
    """What a view writes on a page of this width."""
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="standard" if has_colour else None,
        no_color=not has_colour,
        highlight=False,
        emoji=False,
        legacy_windows=False,
    )
    page = Page(console)
    with console.capture() as captured:
        view(page)
    return Text.from_ansi(captured.get())


def verdict_view(graded: Graded, folder: Path, seed: int, options: str) -> View:
    """The verdict on an exercise, as `check` shows it, and what to do next. `options` name another folder."""
    exercise, result = graded.exercise, graded.result
    tryout = write_tryout(result, exercise, folder)

    def view(page: Page) -> None:
        show_result(page, result, exercise, f"{options} --seed {seed}", tryout)
        if result.status is not Status.PASSED:
            page.line()
            for line in next_steps(result, exercise, folder, options)[:-1]:
                page.line(line)
        elif exercise.scene and not is_quick(exercise):
            page.line()
            page.line(f"Its scene trains something: {COMMAND} show {exercise.id[:4]}{options}")

    return view


def scene_view(seen: Seen) -> View:
    """What the learner's code can do now."""

    def view(page: Page) -> None:
        page.line()
        if seen.problem:
            page.line(seen.problem, "yellow")
        show(page, seen.panels)

    return view
