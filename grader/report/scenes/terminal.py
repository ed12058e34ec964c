"""The panels of a scene in a terminal, readable at 80 columns and without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from grader.judge.numbers import Numbers
from grader.judge.picture import SHADES
from grader.report.console import Page
from grader.report.scenes.panels import Bars, Curves, Maps, Panel, Shades, Text, Tokens

INDENT = 2
LONGEST_LABEL = 12
# The characters of the plot of a curve, without its labels.
PLOT_WIDTH, PLOT_HEIGHT = 60, 11
CURVE_MARKS = "*o+x"
CLASS_MARKS = "ox"
BAR = "█"
UNKNOWN = "?"
# In turn, so that neighbours differ. On a terminal without colours a line stands between them.
TOKEN_STYLES = ("black on cyan", "black on yellow", "black on green", "black on magenta")


def show(page: Page, panels: Sequence[Panel]) -> None:
    """All panels, one under the other."""
    for panel in panels:
        page.line(panel.title, "bold")
        page.line()
        if isinstance(panel, Tokens):
            _show_tokens(page, panel)
        else:
            for line in _lines(panel):
                page.line(line, indent=INDENT)
        page.line()
        page.line(panel.note)
        page.line()


def _lines(panel: Text | Shades | Bars | Curves | Maps) -> Iterator[str]:
    match panel:
        case Text():
            yield from panel.lines
        case Shades():
            yield from shaded(panel)
        case Bars():
            yield from barred(panel)
        case Curves():
            yield from plotted(panel)
        case Maps():
            yield from mapped(panel)


def shaded(panel: Shades) -> Iterator[str]:
    """The matrix in lines: shades and percentages, labelled."""
    labels = [label[:LONGEST_LABEL] for label in panel.rows]
    heads = [label[:LONGEST_LABEL] for label in panel.columns]
    left = max(map(len, labels), default=0)
    width = max(6, *(len(head) for head in heads))
    yield " " * left + "".join(f"  {head:<{width}}" for head in heads).rstrip()
    for label, row in zip(labels, panel.values, strict=True):
        cells = "".join(f"  {_cell(float(value)):<{width}}" for value in row)
        yield f"{label:<{left}}{cells}".rstrip()


def _cell(value: float) -> str:
    """Two shades and a percentage; nothing for 0."""
    if value == 0:
        return ""
    if not 0 <= value <= 1:
        return UNKNOWN
    shade = SHADES[1 + int(value * (len(SHADES) - 1) * 0.999)]
    return f"{shade * 2} {round(value * 100):>3}"


def barred(panel: Bars) -> Iterator[str]:
    """A bar and a percentage in each cell. The longest bar is that of the largest value."""
    labels = [label[:LONGEST_LABEL] for label in panel.labels]
    left = max(map(len, labels), default=0)
    width = (74 - left) // len(panel.names) - 2
    room = width - 4
    largest = max((float(value) for value in panel.values.flat if 0 <= value <= 1), default=0.0) or 1.0
    if len(panel.names) > 1:
        yield " " * left + "".join(f"  {name[:width]:<{width}}" for name in panel.names).rstrip()
    for label, row in zip(labels, panel.values, strict=True):
        cells = (_bar(float(value), room, largest) for value in row)
        yield f"{label:<{left}}{''.join(f'  {cell:<{width}}' for cell in cells)}".rstrip()


def _bar(value: float, room: int, largest: float) -> str:
    return f"{value * 100:>3.0f} {BAR * round(value / largest * room)}" if 0 <= value <= 1 else UNKNOWN


def plotted(panel: Curves) -> Iterator[str]:
    """The curves as marks over a grid of characters, with the ends of both axes named."""
    heights = _heights(panel)
    finite = heights[np.isfinite(heights)]
    if not len(finite):
        yield "no finite number to draw"
        return
    lowest, highest = float(finite.min()), float(finite.max())
    grid = [[" "] * PLOT_WIDTH for _ in range(PLOT_HEIGHT)]
    places = np.linspace(panel.x[0], panel.x[-1], PLOT_WIDTH)
    span = (highest - lowest) or 1.0
    for mark, curve in reversed(list(zip(CURVE_MARKS, heights, strict=False))):  # the first one lies on top
        for column, height in enumerate(np.interp(places, panel.x, curve)):
            if np.isfinite(height):
                row = round((highest - float(height)) / span * (PLOT_HEIGHT - 1))
                grid[row][column] = mark
    ends = {row: f"{_unscaled(height, panel.log):.3g}" for row, height in ((0, highest), (PLOT_HEIGHT - 1, lowest))}
    left = max(map(len, ends.values()))
    for row, cells in enumerate(grid):
        yield f"{ends.get(row, ''):>{left}} |{''.join(cells).rstrip()}"
    yield f"{'':>{left}} +{'-' * PLOT_WIDTH}"
    first, last = f"{panel.x[0]:g}", f"{panel.x[-1]:g}"
    yield f"{'':>{left}}  {first}{panel.across:^{PLOT_WIDTH - len(first) - len(last)}}{last}"
    yield f"{'':>{left}}  " + "   ".join(
        f"{mark} {name}" for mark, name in zip(CURVE_MARKS, panel.names, strict=False)
    )


def _heights(panel: Curves) -> Numbers:
    """What is drawn: the values, or their logarithms; what has none is no number."""
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.log10(panel.values) if panel.log else panel.values
    return np.where(np.isfinite(heights), heights, np.nan)


def _unscaled(height: float, log: bool) -> float:
    return float(10.0**height) if log else height


def mapped(panel: Maps) -> Iterator[str]:
    """The maps side by side: shades where a value is above one half, and the points on top."""
    _, rows, columns = panel.values.shape
    between = "  "
    yield between.join(f"{name[: columns + 2]:<{columns + 2}}" for name in panel.names).rstrip()
    edge = f"+{'-' * columns}+"
    yield between.join(edge for _ in panel.names)
    pictures = []
    for values in panel.values:
        cells = [[UNKNOWN if value != value else "░" if value > 0.5 else " " for value in row] for row in values]
        for row, column, kind in panel.points:
            if -0.5 <= row <= rows - 0.5 and -0.5 <= column <= columns - 0.5:
                cells[min(round(row), rows - 1)][min(round(column), columns - 1)] = CLASS_MARKS[int(kind > 0.5)]
        pictures.append(["".join(row) for row in cells])
    for lines in zip(*pictures, strict=True):
        yield between.join(f"|{line}|" for line in lines)
    yield between.join(edge for _ in panel.names)


def _show_tokens(page: Page, panel: Tokens) -> None:
    """Pieces in lines as wide as the page, and what is below each piece under it."""
    below = panel.below or ("",) * len(panel.pieces)
    number = 0
    for line in _wrapped(list(zip(panel.pieces, below, strict=True)), page.console.width - INDENT):
        widths = [max(len(piece), len(under)) for piece, under in line]
        cells = [f"{piece:<{width}}" for (piece, _), width in zip(line, widths, strict=True)]
        styles = [TOKEN_STYLES[(number + at) % len(TOKEN_STYLES)] for at in range(len(line))]
        page.row(cells, styles, INDENT)
        if panel.below:
            unders = [f"{under:<{width}}" for (_, under), width in zip(line, widths, strict=True)]
            page.row(unders, ["dim"] * len(unders), INDENT)
        number += len(line)


def _wrapped(pairs: list[tuple[str, str]], width: int) -> Iterator[list[tuple[str, str]]]:
    """As many in a line as fit, with one column between two."""
    line: list[tuple[str, str]] = []
    used = 0
    for pair in pairs:
        size = max(map(len, pair)) + 1
        if line and used + size > width:
            yield line
            line, used = [], 0
        line.append(pair)
        used += size
    if line:
        yield line
