"""Numbers by the name that they have in a formula: √8, 1/14, ln 2."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

# How near a number is to a known one, relatively, to be called by its name.
CLOSE = 5e-6
LARGEST_WHOLE_NUMBER, LARGEST_ROOT, LARGEST_COUNT = 1024, 256, 64
FIRST_SAID_OF_AXES = 3


def name_of(number: float, shape: Sequence[int]) -> str:
    """`2`, `1/14`, `√8`, `ln 2`, with what that is of these sizes if it is; empty if it is no known number."""
    known = next((known for known in _known() if abs(abs(number) / known[0] - 1) < CLOSE), None)
    if known is None:
        return ""
    _, name, size = known
    return name + _in_the_shape(size, name, shape)


def _known() -> Iterator[tuple[float, str, int]]:
    """A number, its name, and the size that it is made of."""
    for whole in range(1, LARGEST_WHOLE_NUMBER + 1):
        yield float(whole), str(whole), whole
        yield 1 / whole, f"1/{whole}", whole
    for whole in range(2, LARGEST_ROOT + 1):
        yield math.sqrt(whole), f"√{whole}", whole
        yield 1 / math.sqrt(whole), f"1/√{whole}", whole
    for value, name in ((math.log(2), "ln 2"), (1 / math.log(2), "1/ln 2"), (math.log(10), "ln 10")):
        yield value, name, 0
    yield 1 / math.log(10), "1/ln 10", 0
    for count in range(3, LARGEST_COUNT + 1):
        yield count / (count - 1), f"{count}/{count - 1}", count
        yield (count - 1) / count, f"{count - 1}/{count}", count
        yield math.sqrt(count / (count - 1)), f"√({count}/{count - 1})", count
        yield math.sqrt((count - 1) / count), f"√({count - 1}/{count})", count


def _in_the_shape(size: int, name: str, shape: Sequence[int]) -> str:
    """Which axis has this size, or which two have it as their product; nothing of a size that is everywhere."""
    if size < FIRST_SAID_OF_AXES:
        return ""
    what = f"{size} is" if name != str(size) else "that is"
    axes = [axis for axis, length in enumerate(shape) if length == size]
    if len(axes) == 1:
        return f" ({what} the size of {axis_name(axes[0], len(shape))})"
    if axes:
        return ""
    for one, other in combinations(range(len(shape)), 2):
        if shape[one] > 1 and shape[other] > 1 and shape[one] * shape[other] == size:
            return f" ({size} is {shape[one]} times {shape[other]}, the sizes of axes {one} and {other})"
    return ""


def axis_name(axis: int, axes: int) -> str:
    """`axis 1`, or `the last axis`."""
    return "the last axis" if axis == axes - 1 and axes > 1 else f"axis {axis}"


def unit_of(axis: int, axes: int) -> tuple[str, str]:
    """What stands at a position of an axis, as `row`, and which axis that is, where the word does not say it."""
    if axes == 1:
        return "value", ""
    if axes == 2:
        return ("row", "column")[axis], ""
    return "position", f" along {axis_name(axis, axes)}"


def figures(number: float) -> str:
    """A number in four figures."""
    return f"{number + 0.0:.4g}".replace("nan", "NaN")  # and -0 is 0
