"""What is shown while training: a bar, a line for each evaluation, the samples, how long it takes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from grader.report.console import Page
from scripts.training.speed import Pace


@dataclass(frozen=True)
class Column:
    """One column of the table: its heading, the attribute of an evaluation, and how that is written."""

    heading: str
    attribute: str
    width: int
    form: str = ".3f"


LOSSES = (Column("training", "train_loss", 9), Column("validation", "val_loss", 11))


class View:
    """The table of one training. A history has `step`, `evaluations` and maybe `samples`."""

    def __init__(self, page: Page, columns: Sequence[Column], per_epoch: int, total: int, pace: Pace) -> None:
        self.page = page
        self.columns = columns
        self.per_epoch = per_epoch
        self.total = total
        self.pace = pace
        self.evaluations = 0
        self.samples = 0
        self.summary = ""  # how long it took, and how fast it was
        self.progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=10),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(),
            TextColumn("left  {task.description}"),
            console=page.console,
            transient=True,
        )

    def begin(self, history: Any, first_line: str = "") -> None:
        """Head the columns, and note what an earlier part of this run has shown already.

        `first_line` is what stands above the first evaluation of a new run.
        """
        self.first_step, self.started = history.step, time.monotonic()
        self.task = self.progress.add_task("", total=self.total, completed=history.step)
        self.evaluations, self.samples = len(history.evaluations), len(_samples(history))
        headings = "".join(f" {column.heading:>{column.width}}" for column in self.columns)
        self.page.line(f"{'epoch':>5} {'step':>6}{headings}")
        if history.step:
            self.page.line(f"Going on after step {history.step}.")
        elif first_line:
            self.page.line(first_line)

    def show(self, history: Any) -> None:
        """Show what is new."""
        self.progress.update(self.task, completed=history.step, description=str(self.pace))
        elapsed, steps = time.monotonic() - self.started, history.step - self.first_step
        took = f"{steps:,} step{'' if steps == 1 else 's'} in {clock(elapsed)}"
        self.summary = ", ".join(filter(None, (took, str(self.pace)))) + "."
        new_evaluations = history.evaluations[self.evaluations :]
        for evaluation in new_evaluations:
            epoch = math.ceil(evaluation.step / self.per_epoch)
            values = "".join(
                f" {format(getattr(evaluation, column.attribute), column.form):>{column.width}}"
                for column in self.columns
            )
            self.page.line(f"{epoch:>5} {evaluation.step:>6}{values}", "bold")
        for sample in _samples(history)[self.samples :]:
            self.page.line(" ".join(sample.split()), indent=6)
        if new_evaluations and not self.page.console.is_terminal:  # where there is no bar, as in a log
            self.page.line(self._times(history, elapsed), indent=6)
        self.evaluations, self.samples = len(history.evaluations), len(_samples(history))

    def _times(self, history: Any, elapsed: float) -> str:
        left = elapsed / max(1, history.step - self.first_step) * max(0, self.total - history.step)
        return ", ".join(filter(None, (f"{clock(elapsed)} elapsed", f"{clock(left)} left", str(self.pace))))


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _samples(history: Any) -> list[str]:
    return getattr(history, "samples", [])
