"""Two matrices side by side as shaded cells: where a row sums to one, where a triangle is cut, is seen at once."""

from __future__ import annotations

import numpy as np

from grader.judge.compare import differing
from grader.judge.numbers import Numbers, numbers
from grader.protocol.values import Array

SHADES = " ░▒▓█"
NOT_A_NUMBER = "?"
LARGEST = 12
GAP = "    "


def draw(expected: Array, actual: Array, tolerance: float) -> tuple[str, ...]:
    """The first matrix, over the last two axes, in which two tensors of one shape differ.

    A cell is two characters wide; the darker, the larger its absolute value, beside the largest that occurs in
    either. Nothing for tensors without two axes, or with more than `LARGEST` rows or columns.
    """
    same_kind = expected.shape == actual.shape and expected.dtype == actual.dtype
    if not same_kind or len(expected.shape) < 2 or max(expected.shape[-2:]) > LARGEST:
        return ()
    off = differing(expected, actual, tolerance)
    if not off.any():
        return ()
    first = np.unravel_index(off.argmax(), off.shape)[:-2]
    pair = np.abs(np.stack([numbers(array)[first] for array in (expected, actual)]))
    finite = pair[np.isfinite(pair)]
    largest = float(finite.max()) if finite.size else 0.0
    left, right = (_rows(matrix, largest) for matrix in pair)
    width = max(len("expected"), len(left[0]))
    sides = [("expected", "yours"), *zip(left, right, strict=True)]
    return tuple(f"{ours:<{width}}{GAP}{theirs}" for ours, theirs in sides)


def _rows(matrix: Numbers, largest: float) -> list[str]:
    return ["".join(_cell(float(value), largest) for value in row) for row in matrix]


def _cell(value: float, largest: float) -> str:
    if np.isnan(value):
        return NOT_A_NUMBER * 2
    if np.isinf(value):
        return SHADES[-1] * 2
    if value == 0 or largest == 0:
        return SHADES[0] * 2
    shade = 1 + int(value / largest * (len(SHADES) - 1) * 0.999)
    return SHADES[shade] * 2
