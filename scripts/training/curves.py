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
BEST, BASELINE = "*", "-"
WATCHED = "validation"


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps.

    axis      what its axis says
    lines     for each line its name and the attribute it shows
    baseline  a value to compare with, and what it is that of
    """

    axis: str
    lines: Mapping[str, str]
    baseline: tuple[float, str] | None = None


LOSS = Curve("loss (nats per token)", {"training": "train_loss", "validation": "val_loss"})


def best(evaluations: Sequence[Any]) -> Any:
    """The first of those with the lowest loss in validation; None where no such loss is finite."""
    measured = [evaluation for evaluation in evaluations if math.isfinite(evaluation.val_loss)]
    return min(measured, key=lambda evaluation: evaluation.val_loss, default=None)


def save_png(
    evaluations: Sequence[Any], path: Path, title: str, curves: Sequence[Curve] = (LOSS,), per_epoch: int = 0
) -> None:
    """Draw the curves side by side, each with its baseline and with the point where validation was best.

    Arguments
        evaluations  records with `step`, `val_loss`, and the attributes that the curves name
        path         the PNG file to write
        title        what stands above the picture
        curves       one panel each
        per_epoch    steps of an epoch, for a second axis; 0: none is drawn
    """
    from matplotlib.figure import Figure  # not pyplot: no window is ever opened

    figure = Figure(figsize=(8 if len(curves) == 1 else 5.5 * len(curves), 4.5), dpi=120, layout="constrained")
    figure.suptitle(title)
    steps = [evaluation.step for evaluation in evaluations]
    marker = "o" if len(steps) < 40 else ""
    top = best(evaluations)
    for axes, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        for label, attribute in curve.lines.items():
            values = [getattr(evaluation, attribute) for evaluation in evaluations]
            axes.plot(steps, values, label=label, marker=marker, markersize=3)
        if curve.baseline:
            value, name = curve.baseline
            axes.axhline(value, color="grey", linestyle="--", linewidth=1, label=f"{name}: {value:.3g}")
        if top:
            value = getattr(top, curve.lines[WATCHED])
            axes.plot([top.step], [value], "k*", markersize=10, label=f"best: {value:.3g} at step {top.step}")
        axes.set(xlabel="step", ylabel=curve.axis)
        if per_epoch:
            scale = (lambda step: step / per_epoch, lambda epoch: epoch * per_epoch)
            axes.secondary_xaxis("top", functions=scale).set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path)


def as_text(evaluations: Sequence[Any], width: int = WIDTH, curve: Curve = LOSS, per_epoch: int = 0) -> list[str]:
    """One curve as text, in plain ASCII: its axis on the left, steps and epochs below, a legend at the end.

    Values that are not finite are left out; without any finite value there are no lines. The others are as for
    `save_png`.
    """
    points = [
        (evaluation.step, getattr(evaluation, attribute), mark)
        for attribute, mark in zip(curve.lines.values(), MARKS, strict=False)
        for evaluation in evaluations
        if math.isfinite(getattr(evaluation, attribute))
    ]
    if not points:
        return []
    legend = [f"{mark} {label}" for mark, label in zip(MARKS, curve.lines, strict=False)]
    top = best(evaluations)
    if top:
        points.append((top.step, getattr(top, curve.lines[WATCHED]), BEST))
        legend.append(f"{BEST} best, step {top.step}")
    first, last = min(step for step, _, _ in points), max(step for step, _, _ in points)
    if curve.baseline:
        value, name = curve.baseline
        points = [(first, value, BASELINE), *points]
        legend.append(f"{BASELINE} {name}")
    low, high = min(value for _, value, _ in points), max(value for _, value, _ in points)
    canvas = [[" "] * width for _ in range(HEIGHT)]
    for step, value, mark in points:
        column = round((step - first) / (last - first or 1) * (width - 1))
        row = round((high - value) / (high - low or 1) * (HEIGHT - 1))
        if mark == BASELINE:
            canvas[row] = [BASELINE] * width
        else:
            canvas[row][column] = mark
    lines = []
    for row, cells in enumerate(canvas):
        value = high - (high - low) * row / (HEIGHT - 1)
        label = f"{value:7.3f}" if row in (0, HEIGHT // 2, HEIGHT - 1) else " " * 7
        lines.append(f"{label} |{''.join(cells).rstrip()}")
    lines.append(" " * 8 + "+" + "-" * width)
    lines.append(" " * 9 + _ends("step", f"{first}", f"{last}", width))
    if per_epoch:
        lines.append(" " * 9 + _ends("epoch", f"{first / per_epoch:.4g}", f"{last / per_epoch:.4g}", width))
    lines.append(" " * 9 + "  ".join(legend))
    return lines


def _ends(name: str, first: str, last: str, width: int) -> str:
    axis = f"{name} {first}"
    return f"{axis}{last:>{width - len(axis)}}"
