"""A scene: what the learner's own code shows, as panels, in the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.judge.numbers import Numbers, numbers
from grader.judge.picture import SHADES
from grader.protocol.runs import Observation
from grader.protocol.values import Array, Value
from grader.report.console import Page
from grader.text import shorten

PANEL = "panel"
# More can be read neither in a terminal nor in the picture.
LARGEST = 16
LONGEST_LABEL = 12
PIXELS_PER_INCH = 120


class BadPanel(Exception):
    """What was observed is no panel. What the code under test sends cannot be trusted to be one."""


@dataclass(frozen=True)
class Shades:
    """A matrix of weights from 0 to 1, with a word for each row and each column. 0 is left blank."""

    title: str
    note: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Numbers


@dataclass(frozen=True)
class Text:
    """Lines that are shown as they are."""

    title: str
    note: str
    lines: tuple[str, ...]


Panel = Shades | Text


def read_panels(observations: Iterable[Observation]) -> list[Panel]:
    """The panels among what a scene observed. Raises `BadPanel`."""
    return [_read(observation.value) for observation in observations if observation.name == PANEL]


def _read(value: Value) -> Panel:
    if not isinstance(value, dict):
        raise BadPanel("a panel is a dictionary")
    title, note = _text(value.get("title")), _text(value.get("note"))
    match value.get("kind"):
        case "text":
            return Text(title, note, _texts(value.get("lines")))
        case "shades":
            rows, columns, array = _texts(value.get("rows")), _texts(value.get("columns")), value.get("values")
            if not isinstance(array, Array) or array.shape != (len(rows), len(columns)):
                raise BadPanel(f"{len(rows)} rows and {len(columns)} columns do not fit the values")
            if max(array.shape, default=0) > LARGEST:
                raise BadPanel(f"more than {LARGEST} rows or columns")
            return Shades(title, note, rows, columns, numbers(array))
    raise BadPanel("its kind is not known")


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise BadPanel("a title, a note and a label are texts")
    return shorten(value, 200)


def _texts(value: Value) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadPanel("rows, columns and lines are lists of texts")
    return tuple(_text(item) for item in value)


def show(page: Page, panels: Sequence[Panel]) -> None:
    """All panels, one under the other."""
    for panel in panels:
        page.line(panel.title, "bold")
        page.line()
        for line in panel.lines if isinstance(panel, Text) else shaded(panel):
            page.line(line, indent=2)
        page.line()
        page.line(panel.note)
        page.line()


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
        return "?"
    shade = SHADES[1 + int(value * (len(SHADES) - 1) * 0.999)]
    return f"{shade * 2} {round(value * 100):>3}"


def save_png(panels: Sequence[Panel], path: Path) -> bool:
    """Draw the matrices among the panels, side by side. False where there are none."""
    from matplotlib.figure import Figure  # not pyplot: no window is ever opened

    matrices = [panel for panel in panels if isinstance(panel, Shades)]
    if not matrices:
        return False
    figure = Figure(figsize=(5.5 * len(matrices), 5.0), dpi=PIXELS_PER_INCH, layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(matrices), squeeze=False)[0], matrices, strict=True):
        axes.imshow(panel.values, cmap="Blues", vmin=0.0, vmax=1.0)
        axes.set_xticks(range(len(panel.columns)), panel.columns)
        axes.set_yticks(range(len(panel.rows)), panel.rows)
        axes.set_title(panel.title.replace(": ", ":\n", 1), fontsize=10)
        for row, values in enumerate(panel.values):
            for column, value in enumerate(values):
                if value > 0:
                    colour = "white" if value > 0.5 else "black"
                    axes.text(column, row, f"{value * 100:.0f}", ha="center", va="center", color=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return True
