"""The panels of a scene as a picture, where a picture says more than characters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grader.report.scenes.panels import Bars, Curves, Maps, Panel, Shades

PIXELS_PER_INCH = 120
INCHES = 5.5, 5.0
MOST_IN_A_ROW = 3
COLOURS = ("blue", "red")


def save_png(panels: Sequence[Panel], path: Path) -> bool:
    """Draw what can be drawn among the panels, side by side. False where there is nothing to draw."""
    from matplotlib.figure import Figure  # not pyplot: no window is ever opened

    drawings = [drawing for panel in panels for drawing in _drawings(panel)]
    if not drawings:
        return False
    columns = min(len(drawings), MOST_IN_A_ROW)
    rows = -(-len(drawings) // columns)
    figure = Figure(figsize=(INCHES[0] * columns, INCHES[1] * rows), dpi=PIXELS_PER_INCH, layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places:
        axes.set_axis_off()
    for axes, (draw, *arguments) in zip(places, drawings, strict=False):
        axes.set_axis_on()
        draw(axes, *arguments)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # never through a link: code under test has run, and may have put one there
    with path.open("xb") as file:
        figure.savefig(file, format="png")
    return True


def _drawings(panel: Panel) -> list[tuple[Any, ...]]:
    """What draws each picture of a panel, with its arguments."""
    match panel:
        case Shades():
            return [(_shades, panel)]
        case Bars():
            return [(_bars, panel)]
        case Curves():
            return [(_curves, panel)]
        case Maps():
            return [(_map, panel, number) for number in range(len(panel.names))]
    return []


def _title(axes: Any, title: str) -> None:
    axes.set_title(title.replace(": ", ":\n", 1), fontsize=10)


def _shades(axes: Any, panel: Shades) -> None:
    axes.imshow(panel.values, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(panel.columns)), panel.columns)
    axes.set_yticks(range(len(panel.rows)), panel.rows)
    _title(axes, panel.title)
    for row, values in enumerate(panel.values):
        for column, value in enumerate(values):
            if value > 0:
                colour = "white" if value > 0.5 else "black"
                axes.text(column, row, f"{value * 100:.0f}", ha="center", va="center", color=colour)


def _bars(axes: Any, panel: Bars) -> None:
    places, height = np.arange(len(panel.labels)), 0.8 / len(panel.names)
    for number, name in enumerate(panel.names):
        values = np.nan_to_num(panel.values[:, number], nan=0.0, posinf=0.0, neginf=0.0)
        axes.barh(places + number * height, values, height, label=name)
    axes.set_yticks(places + 0.4 - height / 2, panel.labels)
    axes.invert_yaxis()
    if len(panel.names) > 1:
        axes.legend()
    _title(axes, panel.title)


def _curves(axes: Any, panel: Curves) -> None:
    for name, values in zip(panel.names, panel.values, strict=True):
        axes.plot(panel.x, np.where(np.isfinite(values), values, np.nan), label=name)
    if panel.log:
        axes.set_yscale("log", nonpositive="mask")
    axes.set_xlabel(panel.across)
    if len(panel.names) > 1:
        axes.legend()
    axes.grid(alpha=0.3)
    _title(axes, panel.title)


def _map(axes: Any, panel: Maps, number: int) -> None:
    axes.imshow(panel.values[number], cmap="coolwarm", vmin=0.0, vmax=1.0, interpolation="bilinear", aspect="auto")
    for kind, colour in enumerate(COLOURS):
        chosen = panel.points[(panel.points[:, 2] > 0.5) == bool(kind)]
        axes.scatter(chosen[:, 1], chosen[:, 0], s=14, color=colour, edgecolors="black", linewidths=0.3)
    rows, columns = panel.values.shape[1:]
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(panel.names[number], fontsize=10)
