"""What is measured on the way, as a picture and as lines of text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEIGHT = 12
WIDTH = 64
# For the first line and the second. Written last is seen where both fall on one place.
MARKS = (".", "o")


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps: what its axis says, and for each line its name and the attribute it shows."""

    axis: str
    lines: Mapping[str, str]


LOSS = Curve("loss (nats per token)", {"training": "train_loss", "validation": "val_loss"})


def save_png(evaluations: Sequence[Any], path: Path, title: str, curves: Sequence[Curve] = (LOSS,)) -> None:
    """Draw the curves side by side.

    Arguments
        evaluations  records with `step` and the attributes that the curves name
        path         the PNG file to write
        title        what stands above the picture
        curves       one panel each
    """
    from matplotlib.figure import Figure  # not pyplot: no window is ever opened

    figure = Figure(figsize=(8 if len(curves) == 1 else 5.5 * len(curves), 4.5), dpi=120, layout="constrained")
    figure.suptitle(title)
    steps = [evaluation.step for evaluation in evaluations]
    marker = "o" if len(steps) < 40 else ""
    for axes, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        for label, attribute in curve.lines.items():
            values = [getattr(evaluation, attribute) for evaluation in evaluations]
            axes.plot(steps, values, label=label, marker=marker, markersize=3)
        axes.set(xlabel="step", ylabel=curve.axis)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path)


def as_text(evaluations: Sequence[Any], width: int = WIDTH, curve: Curve = LOSS) -> list[str]:
    """One curve as text, in plain ASCII: its axis on the left, steps below, a legend at the end.

    Values that are not finite are left out; without any finite value there are no lines.
    """
    points = [
        (evaluation.step, getattr(evaluation, attribute), mark)
        for attribute, mark in zip(curve.lines.values(), MARKS, strict=False)
        for evaluation in evaluations
        if math.isfinite(getattr(evaluation, attribute))
    ]
    if not points:
        return []
    first, last = min(step for step, _, _ in points), max(step for step, _, _ in points)
    low, high = min(value for _, value, _ in points), max(value for _, value, _ in points)
    canvas = [[" "] * width for _ in range(HEIGHT)]
    for step, value, mark in points:
        column = round((step - first) / (last - first or 1) * (width - 1))
        row = round((high - value) / (high - low or 1) * (HEIGHT - 1))
        canvas[row][column] = mark
    lines = []
    for row, cells in enumerate(canvas):
        value = high - (high - low) * row / (HEIGHT - 1)
        label = f"{value:7.3f}" if row in (0, HEIGHT // 2, HEIGHT - 1) else " " * 7
        lines.append(f"{label} |{''.join(cells).rstrip()}")
    axis = f"step {first}"
    lines.append(" " * 8 + "+" + "-" * width)
    lines.append(" " * 9 + axis + f"{last:>{width - len(axis)}}")
    legend = "  ".join(f"{mark} {label}" for mark, label in zip(MARKS, curve.lines, strict=False))
    lines.append(" " * 9 + legend)
    return lines
