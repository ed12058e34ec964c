"""A training at the terminal, whatever it trains: shown, saved, stopped by a signal, drawn at the end."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from grader.report.console import Page
from scripts.entry import Diverged
from scripts.training.curves import LOSS, Curve, as_text, best
from scripts.training.finite import NotFinite, all_finite, watched
from scripts.training.runs import Run, shown
from scripts.training.speed import Pace
from scripts.training.view import Column, View

OnStep = Callable[[Any], None]
# Seconds from one checkpoint to the next, where evaluations are rarer. Writing one takes seconds at most.
SAVE_EVERY = 120.0
# What stops a training: Ctrl-C, an end that was asked for (also how torchrun passes Ctrl-C on), and a terminal that
# was closed, which Windows has no signal for.
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Save(Protocol):
    """Writes a checkpoint with the history. Where that is the best so far, it is kept under a second name."""

    def __call__(self, history: Any, is_best: bool) -> None: ...


class Stopped(Exception):
    """Ctrl-C was pressed, and the checkpoint has been written."""


class EnoughSteps(Exception):
    """As many steps were made as were asked for, and the checkpoint has been written."""


@dataclass(frozen=True)
class Loop:
    """What differs from one training to the next.

    train        called with the history and what is to be called after each step; it is one of the exercises' loops
    network      what is trained, and `optimizer` what trains it
    pace         counts what is learned from
    per_epoch    steps of an epoch, and `total` those of the whole training
    title        what stands above the picture
    columns      of the table
    curves       of the picture; the first one is drawn in the terminal too
    first_line   what stands above the first evaluation
    stop_after   end after this step; None: only at the end
    """

    train: Callable[[Any, OnStep], Any]
    network: Any
    optimizer: Any
    pace: Pace
    per_epoch: int
    total: int
    title: str
    columns: Sequence[Column]
    curves: Sequence[Curve] = (LOSS,)
    first_line: str = ""
    stop_after: int | None = None


class Checkpoints:
    """When a training is saved: before the first step, with each evaluation, every few minutes, and at the end.

    A state is saved only while all weights are finite, so what is on the disk can always be used.
    """

    def __init__(self, network: Any, save: Save, history: Any) -> None:
        self._network = network
        self._save = save
        self._evaluations = len(history.evaluations)
        self._time = time.monotonic()
        self.step: int | None = history.step or None  # after which the last one was written

    def is_due(self, history: Any) -> bool:
        return len(history.evaluations) > self._evaluations or time.monotonic() - self._time > SAVE_EVERY

    def write(self, history: Any) -> None:
        """Raises `NotFinite` instead where a weight is not, or the loss that was just measured."""
        is_new = len(history.evaluations) > self._evaluations
        measured = not is_new or math.isfinite(history.evaluations[-1].train_loss)
        if not measured or not all_finite(self._network.parameters()):
            raise NotFinite
        self._save(history, is_best=is_new and best(history.evaluations) is history.evaluations[-1])
        self._evaluations, self._time = len(history.evaluations), time.monotonic()
        self.step = history.step


def carry_out(page: Page, run: Run, loop: Loop, history: Any, save: Save) -> bool:
    """Train until the end or a signal, then draw.

    Arguments
        run      where the curve goes
        history  where to go on from; it is changed
        save     writes the checkpoint
    Returns
        whether it came to its end
    Raises
        Diverged: there was a number that is not finite. What was saved before it stays.
    """
    view = View(page, loop.columns, loop.per_epoch, min(loop.total, loop.stop_after or loop.total), loop.pace)
    finished = True
    diverged = ""
    with _signals() as received, watched(loop.network, loop.optimizer):
        checkpoints = Checkpoints(loop.network, save, history)

        def on_step(history: Any) -> None:
            loop.pace.step(history)
            enough = loop.stop_after is not None and history.step >= loop.stop_after
            if received or enough or checkpoints.is_due(history):
                checkpoints.write(history)  # before anything is shown: the terminal may be gone
            if received:
                raise Stopped
            view.show(history)
            if enough:
                raise EnoughSteps
            loop.pace.resume(history)

        try:
            if checkpoints.step is None:
                checkpoints.write(history)
            with view.progress:
                view.begin(history, loop.first_line)
                loop.pace.resume(history)
                loop.train(history, on_step)
                if history.step != checkpoints.step:
                    checkpoints.write(history)
        except Stopped:
            finished = False
        except EnoughSteps:
            pass
        except NotFinite:
            diverged = _diverged(run, loop, history.step, checkpoints.step)
    _draw(page, run, loop, history)
    if diverged:
        raise Diverged(diverged)
    if view.summary:
        page.line(view.summary)
    top = best(history.evaluations)
    if top and run.best.exists():
        page.line(f"Validation was best after step {top.step}, at {top.val_loss:.3f}: {shown(run.best)}")
    return finished


def _diverged(run: Run, loop: Loop, step: int, saved: int | None) -> str:
    rate = max(group["lr"] for group in loop.optimizer.param_groups)
    kept = (
        "Nothing was saved before."
        if saved is None
        else f"{shown(run.folder)} keeps the state after step {saved}, the last that was saved before."
    )
    return (
        f"the loss is not a finite number any more after step {step}, at a learning rate of {rate:g}. {kept}"
        " A new run with a smaller --lr may go better."
    )


def _draw(page: Page, run: Run, loop: Loop, history: Any) -> None:
    """Write what was measured, and show the first curve. Without a finite number there is no curve."""
    lines = as_text(history.evaluations, min(64, page.console.width - 10), loop.curves[0], loop.per_epoch)
    run.note(history)
    if not lines:
        return
    run.draw(history, loop.title, loop.curves, loop.per_epoch)
    page.line()
    for line in lines:
        page.line(line)
    page.line()
    page.line(f"The curve: {shown(run.curve)}")


@contextmanager
def _signals() -> Iterator[list[bool]]:
    """Within the block the first signal to stop only fills the list, so that no step is cut in two.

    After it, Ctrl-C ends at once. A closed terminal that is ignored, as under `nohup`, stays ignored.
    """
    received: list[bool] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:  # a closed terminal may say so twice
            raise KeyboardInterrupt
        received.append(True)

    before = {}
    for number in STOPPING:
        if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
