"""What is shown while training: a bar, a line for each evaluation, the samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from grader.report.console import Page


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

    def __init__(self, page: Page, columns: Sequence[Column], per_epoch: int, total: int) -> None:
        self.page = page
        self.columns = columns
        self.per_epoch = per_epoch
        self.total = total
        self.evaluations = 0
        self.samples = 0
        self.progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=30),
            TimeRemainingColumn(),
            console=page.console,
            transient=True,
        )

    def begin(self, history: Any, first_line: str = "") -> None:
        """Head the columns, and note what an earlier part of this run has shown already.

        `first_line` is what stands above the first evaluation of a new run.
        """
        self.task = self.progress.add_task("", total=self.total, completed=history.step)
        self.evaluations, self.samples = len(history.evaluations), len(_samples(history))
        headings = "".join(f" {column.heading:>{column.width}}" for column in self.columns)
        self.page.line(f"{'epoch':>5} {'step':>6}{headings}")
        if history.step:
            self.page.line(f"Going on after step {history.step}.")
        elif first_line:
            self.page.line(first_line)

    def show(self, history: Any) -> bool:
        """Show what is new. Returns whether anything was."""
        self.progress.update(self.task, completed=history.step)
        new_evaluations = history.evaluations[self.evaluations :]
        new_samples = _samples(history)[self.samples :]
        for evaluation in new_evaluations:
            epoch = math.ceil(evaluation.step / self.per_epoch)
            values = "".join(
                f" {format(getattr(evaluation, column.attribute), column.form):>{column.width}}"
                for column in self.columns
            )
            self.page.line(f"{epoch:>5} {evaluation.step:>6}{values}", "bold")
        for sample in new_samples:
            self.page.line(" ".join(sample.split()), indent=6)
        self.evaluations, self.samples = len(history.evaluations), len(_samples(history))
        return bool(new_evaluations or new_samples)


def _samples(history: Any) -> list[str]:
    return getattr(history, "samples", [])
