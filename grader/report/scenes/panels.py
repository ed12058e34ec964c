"""The panels of a scene, read from what it observed. Code under test sent it, so nothing of it is believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from grader.judge.numbers import Numbers, numbers
from grader.protocol.runs import Observation
from grader.protocol.values import Array, Value
from grader.text import shorten

PANEL = "panel"
# More can be read neither in a terminal nor in the picture.
LARGEST = 16
# Of one map, and of all that stand side by side.
MOST_ROWS, MOST_WIDTH = 24, 66
MOST_CURVES = 4
MOST_COLUMNS = 3
MOST_POINTS = 5000


class BadPanel(Exception):
    """What was observed is no panel."""


@dataclass(frozen=True)
class Text:
    """Lines that are shown as they are."""

    title: str
    note: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Tokens:
    """A text in pieces, each set off from the next, with something under each, or nothing under any."""

    title: str
    note: str
    pieces: tuple[str, ...]
    below: tuple[str, ...]


@dataclass(frozen=True)
class Shades:
    """A matrix of weights from 0 to 1, with a word for each row and each column. 0 is left blank."""

    title: str
    note: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Numbers


@dataclass(frozen=True)
class Bars:
    """Weights from 0 to 1 as bars: a row for each label, a column for each name."""

    title: str
    note: str
    labels: tuple[str, ...]
    names: tuple[str, ...]
    values: Numbers


@dataclass(frozen=True)
class Curves:
    """Curves over one axis, which rises: `values` has a row for each name and a column for each of `x`.

    `across` says what x is. With `log` the other axis is logarithmic.
    """

    title: str
    note: str
    x: Numbers
    names: tuple[str, ...]
    values: Numbers
    across: str
    log: bool


@dataclass(frozen=True)
class Maps:
    """Maps of one landscape, side by side: `values` (names, rows, columns) from 0 to 1, shaded above one half.

    `points` has a row for each: its row and column, from 0 on, and its class, 0 or 1.
    """

    title: str
    note: str
    names: tuple[str, ...]
    values: Numbers
    points: Numbers


Panel = Text | Tokens | Shades | Bars | Curves | Maps


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
        case "tokens":
            pieces, below = _texts(value.get("pieces")), _texts(value.get("below"))
            _check(len(below) in (0, len(pieces)), "there is not one text below each piece")
            return Tokens(title, note, pieces, below)
        case "shades":
            rows, columns = _texts(value.get("rows")), _texts(value.get("columns"))
            _check(max(len(rows), len(columns)) <= LARGEST, f"more than {LARGEST} rows or columns")
            return Shades(title, note, rows, columns, _numbers(value.get("values"), len(rows), len(columns)))
        case "bars":
            labels, names = _texts(value.get("labels")), _texts(value.get("names"))
            _check(len(labels) <= LARGEST, f"more than {LARGEST} bars in a column")
            _check(1 <= len(names) <= MOST_COLUMNS, f"1 to {MOST_COLUMNS} columns of bars")
            return Bars(title, note, labels, names, _numbers(value.get("values"), len(labels), len(names)))
        case "curves":
            x, names, across = _numbers(value.get("x")), _texts(value.get("names")), _text(value.get("across"))
            _check(x.ndim == 1 and 2 <= len(x) <= MOST_POINTS, "x is a list of 2 numbers or more")
            _check(bool((np.diff(x) > 0).all()), "x has to rise")
            _check(1 <= len(names) <= MOST_CURVES, f"1 to {MOST_CURVES} curves")
            values = _numbers(value.get("values"), len(names), len(x))
            return Curves(title, note, x, names, values, across, value.get("log") is True)
        case "maps":
            names, values = _texts(value.get("names")), _numbers(value.get("values"))
            _check(1 <= len(names) <= MOST_COLUMNS, f"1 to {MOST_COLUMNS} maps")
            _check(values.ndim == 3 and len(values) == len(names), "a map has rows and columns, and each a name")
            widest = MOST_WIDTH // len(names)
            _check(values.shape[1] <= MOST_ROWS, f"more than {MOST_ROWS} rows in a map")
            _check(values.shape[2] <= widest, f"more than {widest} columns in a map, of {len(names)}")
            points = _numbers(value.get("points"))
            _check(points.ndim == 2 and points.shape[1] == 3, "a point has a row, a column and a class")
            _check(len(points) <= MOST_POINTS, f"more than {MOST_POINTS} points")
            return Maps(title, note, names, values, points)
    raise BadPanel("its kind is not known")


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise BadPanel(otherwise)


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise BadPanel("a title, a note and a label are texts")
    return shorten(value, 200)


def _texts(value: Value) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadPanel("rows, columns, names and lines are lists of texts")
    return tuple(_text(item) for item in value)


def _numbers(value: Value, *shape: int) -> Numbers:
    """A tensor, or numbers in lists, of this shape where one is asked for."""
    if isinstance(value, Array):
        found = numbers(value)
    else:
        try:
            found = np.array(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise BadPanel("values are numbers") from error
    _check(not shape or found.shape == shape, f"values of shape {found.shape} do not fit what they are for")
    return found
