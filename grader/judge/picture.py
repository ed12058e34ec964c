"""Two matrices side by side, cell by cell: where a row sums to one, where a triangle is cut, is seen at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grader.judge.compare import differing
from grader.judge.numbers import numbers, raw
from grader.judge.results import Picture
from grader.protocol.values import Array

SHADES = " ░▒▓█"
NOT_A_NUMBER = "?"
# So many rows and columns are shown of a matrix, and so many numbers of a row.
LARGEST = 12
MOST_NUMBERS = 6
# What is cropped begins so many cells before the first wrong one.
BEFORE = 3


def draw(expected: Array, actual: Array, tolerance: float) -> Picture | None:
    """The first matrix, over the last two axes, in which two tensors of one shape differ, or the row of numbers.

    Of a matrix, a cell is a shade: the darker, the larger its absolute value, beside the largest that occurs in
    either. What is larger than `LARGEST` is cropped around the first wrong cell. Of a tensor of one axis, or a
    matrix of one row, the numbers themselves are shown. None for single numbers, for tensors that do not differ,
    and for two of different kinds.
    """
    same_kind = expected.shape == actual.shape and expected.dtype == actual.dtype
    if not same_kind or not expected.shape or 0 in expected.shape or expected.shape[-1] == 1:
        return None
    off = differing(expected, actual, tolerance)
    if not off.any():
        return None
    first = np.unravel_index(off.argmax(), off.shape)
    if len(expected.shape) == 1 or expected.shape[-2] == 1:
        return _row(raw(expected)[first[:-1]], raw(actual)[first[:-1]], off[first[:-1]], int(first[-1]))
    row, column = (_window(int(place), size) for place, size in zip(first[-2:], expected.shape[-2:], strict=True))
    pair = np.abs(np.stack([numbers(array)[first[:-2]] for array in (expected, actual)]))
    finite = pair[np.isfinite(pair)]
    largest = float(finite.max()) if finite.size else 0.0
    left, right = (
        tuple(tuple(_shade(float(value), largest) for value in cells) for cells in matrix[row, column])
        for matrix in pair
    )
    return Picture(left, right, _marks(off[first[:-2]][row, column]), _cropped(row, column, expected.shape))


def _row(
    expected: npt.NDArray[np.generic], actual: npt.NDArray[np.generic], off: npt.NDArray[np.bool_], first: int
) -> Picture:
    size = len(expected)
    start = 0 if size <= MOST_NUMBERS else min(max(0, first - BEFORE), size - MOST_NUMBERS)
    shown = slice(start, start + MOST_NUMBERS)
    left, right = (tuple(_number(value.item()) for value in values[shown]) for values in (expected, actual))
    note = f"places {start} to {start + MOST_NUMBERS - 1} of {size}, counted from 0" if size > MOST_NUMBERS else ""
    return Picture((left,), (right,), _marks(off[None, shown]), note, are_numbers=True)


def _window(place: int, size: int) -> slice:
    start = 0 if size <= LARGEST else min(max(0, place - BEFORE), size - LARGEST)
    return slice(start, min(size, start + LARGEST))


def _cropped(row: slice, column: slice, shape: tuple[int, ...]) -> str:
    """Which part of a matrix is shown; nothing for all of it."""
    parts = [
        f"{name} {shown.start} to {shown.stop - 1} of {size}"
        for name, shown, size in (("rows", row, shape[-2]), ("columns", column, shape[-1]))
        if size > LARGEST
    ]
    return f"{', '.join(parts)}, counted from 0" if parts else ""


def _marks(off: npt.NDArray[np.bool_]) -> tuple[tuple[bool, ...], ...]:
    """Which cells are wrong."""
    return tuple(tuple(bool(cell) for cell in row) for row in off)


def _shade(value: float, largest: float) -> str:
    if np.isnan(value):
        return NOT_A_NUMBER
    if np.isinf(value):
        return SHADES[-1]
    if value == 0 or largest == 0:
        return SHADES[0]
    return SHADES[1 + int(value / largest * (len(SHADES) - 1) * 0.999)]


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
