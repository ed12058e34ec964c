"""A training at the terminal, whatever it trains: shown, saved, stopped by Ctrl-C, drawn at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from grader.report.console import Page
from scripts.training.curves import LOSS, Curve, as_text
from scripts.training.runs import Run, shown
from scripts.training.view import Column, View

OnStep = Callable[[Any], None]


class Stopped(Exception):
    """Ctrl-C was pressed, and the checkpoint has been written."""


class EnoughSteps(Exception):
    """As many steps were made as were asked for, and the checkpoint has been written."""


@dataclass(frozen=True)
class Loop:
    """What differs from one training to the next.

    train        called with the history and what is to be called after each step; it is one of the exercises' loops
    per_epoch    steps of an epoch, and `total` those of the whole training
    title        what stands above the picture
    columns      of the table
    curves       of the picture; the first one is drawn in the terminal too
    first_line   what stands above the first evaluation
    stop_after   end after this step; None: only at the end
    """

    train: Callable[[Any, OnStep], Any]
    per_epoch: int
    total: int
    title: str
    columns: Sequence[Column]
    curves: Sequence[Curve] = (LOSS,)
    first_line: str = ""
    stop_after: int | None = None


def carry_out(page: Page, run: Run, loop: Loop, history: Any, save: OnStep) -> bool:
    """Train until the end or Ctrl-C, then draw.

    Arguments
        run      where the curve goes
        history  where to go on from; it is changed
        save     writes the checkpoint; called with the history after each evaluation and before a stop
    Returns
        whether it came to its end
    """
    view = View(page, loop.columns, loop.per_epoch, loop.total)
    finished = True
    with view.progress, _interrupts() as interrupted:
        view.begin(history, loop.first_line)

        def on_step(history: Any) -> None:
            enough = loop.stop_after is not None and history.step >= loop.stop_after
            if view.show(history) or interrupted or enough:
                save(history)
            if interrupted:
                raise Stopped
            if enough:
                raise EnoughSteps

        try:
            loop.train(history, on_step)
        except Stopped:
            finished = False
        except EnoughSteps:
            pass
    run.draw(history, loop.title, loop.curves)
    page.line()
    for line in as_text(history.evaluations, min(64, page.console.width - 10), loop.curves[0]):
        page.line(line)
    page.line()
    page.line(f"The curve: {shown(run.curve)}")
    return finished


@contextmanager
def _interrupts() -> Iterator[list[bool]]:
    """Within the block the first Ctrl-C only fills the list, so that no step is cut in two; the second ends."""
    pressed: list[bool] = []

    def note(number: int, frame: FrameType | None) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    # torchrun passes Ctrl-C on as SIGTERM.
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
