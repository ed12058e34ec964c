"""The loss curve: as a picture, and as lines of text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HEIGHT = 12
WIDTH = 64
# Written last is seen where both fall on one place.
MARKS = {"train_loss": ".", "val_loss": "o"}


def save_png(evaluations: Sequence[Any], path: Path, title: str) -> None:
    """Draw training and validation loss over the steps.

    Arguments
        evaluations  records with `step`, `train_loss` and `val_loss`
        path         the PNG file to write
        title        what stands above the curve
    """
    from matplotlib.figure import Figure  # not pyplot: no window is ever opened

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    steps = [evaluation.step for evaluation in evaluations]
    marker = "o" if len(steps) < 40 else ""
    for name, label in (("train_loss", "training"), ("val_loss", "validation")):
        axes.plot(steps, [getattr(e, name) for e in evaluations], label=label, marker=marker, markersize=3)
    axes.set(title=title, xlabel="step", ylabel="loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path)


def as_text(evaluations: Sequence[Any], width: int = WIDTH) -> list[str]:
    """The same curve as text, in plain ASCII: a loss axis on the left, steps below, a legend at the end.

    Values that are not finite are left out; without any finite value there are no lines.
    """
    points = [
        (evaluation.step, getattr(evaluation, name), mark)
        for name, mark in MARKS.items()
        for evaluation in evaluations
        if math.isfinite(getattr(evaluation, name))
    ]
    if not points:
        return []
    first, last = min(step for step, _, _ in points), max(step for step, _, _ in points)
    low, high = min(loss for _, loss, _ in points), max(loss for _, loss, _ in points)
    canvas = [[" "] * width for _ in range(HEIGHT)]
    for step, loss, mark in points:
        column = round((step - first) / (last - first or 1) * (width - 1))
        row = round((high - loss) / (high - low or 1) * (HEIGHT - 1))
        canvas[row][column] = mark
    lines = []
    for row, cells in enumerate(canvas):
        loss = high - (high - low) * row / (HEIGHT - 1)
        label = f"{loss:7.3f}" if row in (0, HEIGHT // 2, HEIGHT - 1) else " " * 7
        lines.append(f"{label} |{''.join(cells).rstrip()}")
    axis = f"step {first}"
    lines.append(" " * 8 + "+" + "-" * width)
    lines.append(" " * 9 + axis + f"{last:>{width - len(axis)}}")
    lines.append(" " * 9 + "  ".join(f"{mark} {name.partition('_')[0]}" for name, mark in MARKS.items()))
    return lines
