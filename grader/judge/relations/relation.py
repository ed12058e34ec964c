"""What a relation is, and when the values are enough to speak of one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from grader.judge.compare import close_values
from grader.judge.numbers import Numbers, numbers, raw
from grader.protocol.values import Array, Value

# A relation with a free number needs this many different values: one sets the number, the others confirm it.
ENOUGH = 3
# Of two kinds of values only, as in a mask, this many, and this many of them wrong.
ENOUGH_OF_TWO_KINDS, ENOUGH_WRONG = 16, 6
# Two values are different if they are this many tolerances apart.
FAR = 100
# No relation is looked for in more values than this.
LARGEST = 50_000
# Beyond this a float64 no longer holds each whole number.
LARGEST_WHOLE = 2.0**53
BITS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}


@dataclass(frozen=True)
class Relation:
    """How what came is related to what was expected: a `name` for tools, and sentences for the learner."""

    name: str
    says: str

    def at(self, place: str) -> Relation:
        """The same, of a part of the result."""
        return Relation(self.name, f"{place}: {self.says[0].lower()}{self.says[1:]}")


@dataclass(frozen=True)
class Pair:
    """What was expected beside what came, as arrays of numbers. `tolerance` is 0 where numbers are whole.

    `scattered`: it is made of several tensors, so that its axis means nothing.
    """

    expected: Numbers
    actual: Numbers
    tolerance: float
    is_bool: bool = False
    scattered: bool = False

    @property
    def is_same_shape(self) -> bool:
        return self.expected.shape == self.actual.shape

    @cached_property
    def off(self) -> npt.NDArray[np.bool_]:
        """Which values are wrong."""
        return np.logical_not(close_values(self.expected, self.actual, self.tolerance))

    def is_near(self, wanted: Numbers, got: Numbers | None = None) -> bool:
        """Is what came, or `got`, `wanted` within the tolerance, in each value?"""
        actual = self.actual if got is None else got
        return wanted.shape == actual.shape and bool(close_values(wanted, actual, self.tolerance).all())

    def varies(self, values: Numbers, count: int = ENOUGH) -> bool:
        """Are there `count` values far enough from each other that it is no coincidence if they fit?"""
        finite = np.unique(values[np.isfinite(values)])
        if finite.size < count:
            return False
        gap = FAR * self.tolerance * (1 + float(np.abs(finite).max()))
        value = finite[0]
        for _ in range(count - 1):
            next_one = int(np.searchsorted(finite, value + gap, side="right"))
            if next_one == finite.size:
                return False
            value = finite[next_one]
        return True

    def says_enough(self, moved: Numbers) -> bool:
        """May these values, which stand elsewhere, be said to have been moved there?"""
        if self.varies(moved):
            return True
        wrong = int(self.off.sum()) if self.is_same_shape else moved.size
        return self.expected.size >= ENOUGH_OF_TWO_KINDS and wrong >= ENOUGH_WRONG and self.varies(moved, 2)


def pair_of(expected: Value, actual: Value, tolerance: float) -> Pair | None:
    """Two values as arrays of numbers, if both are that, of one type, and not too large."""
    if type(expected) is not type(actual):
        return None
    one, other = _as_array(expected), _as_array(actual)
    if one is None or other is None or one.dtype.kind != other.dtype.kind or one.dtype != other.dtype:
        return None
    wanted, got = one.astype(np.float64), other.astype(np.float64)
    if one.dtype.kind != "f":
        if any(array.size and float(np.abs(array).max()) >= LARGEST_WHOLE for array in (wanted, got)):
            return None
        return Pair(wanted, got, 0.0, one.dtype.kind == "b")
    bits = BITS[expected.dtype if isinstance(expected, Array) else "float64"]
    return Pair(wanted, got, max(tolerance, 4 * 2.0**-bits))


def scattered_pair(pairs: list[Pair]) -> Pair | None:
    """Several pairs of tensors as one, where numbers of each are of one kind and there are not too many."""
    kinds = {(pair.is_bool, pair.tolerance) for pair in pairs}
    shapes = all(pair.is_same_shape for pair in pairs)
    if len(kinds) != 1 or not shapes or sum(pair.expected.size for pair in pairs) > LARGEST:
        return None
    wanted, got = (np.concatenate([array.ravel() for array in side]) for side in _sides(pairs))
    return Pair(wanted, got, pairs[0].tolerance, pairs[0].is_bool, scattered=True)


def _sides(pairs: list[Pair]) -> tuple[list[Numbers], list[Numbers]]:
    return [pair.expected for pair in pairs], [pair.actual for pair in pairs]


def _as_array(value: Value) -> npt.NDArray[Any] | None:
    """A tensor, a list of numbers of one type, or a list of such lists of one length, as an array."""
    if isinstance(value, Array):
        count = int(np.prod(value.shape, dtype=np.float64))
        if count > LARGEST:
            return None
        return numbers(value) if value.dtype == "bfloat16" else raw(value)
    if not isinstance(value, list | tuple) or not 0 < len(value) <= LARGEST:
        return None
    kinds = set(map(type, value))
    if kinds in ({list}, {tuple}):
        rows = [_as_array(item) for item in value] if _count(value) <= LARGEST else [None]
        first = rows[0]
        if first is None or any(
            row is None or (row.shape, row.dtype) != (first.shape, first.dtype) for row in rows
        ):
            return None
        return np.array(rows)
    if kinds == {Array}:
        return _stacked([item for item in value if isinstance(item, Array)])
    if kinds == {int}:
        whole = [item for item in value if isinstance(item, int)]
        return np.array(whole) if max(map(abs, whole)) < LARGEST_WHOLE else None
    if kinds == {float}:
        return np.array(value, dtype=np.float64)
    return np.array(value) if kinds == {bool} else None


def _stacked(tensors: list[Array]) -> npt.NDArray[Any] | None:
    first = tensors[0]
    alike = all((tensor.dtype, tensor.shape) == (first.dtype, first.shape) for tensor in tensors)
    if not alike or len(first.shape) > 8 or len(tensors) * int(np.prod(first.shape, dtype=np.float64)) > LARGEST:
        return None
    return np.stack([numbers(tensor) if tensor.dtype == "bfloat16" else raw(tensor) for tensor in tensors])


def _count(value: Value) -> int:
    return sum(map(_count, value)) if isinstance(value, list | tuple) else 1
