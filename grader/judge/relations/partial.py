"""Right in one part and wrong in another: only the first row, from a position on, off the diagonal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from grader.judge.relations.quantities import figures, unit_of
from grader.judge.relations.relation import ENOUGH, ENOUGH_OF_TWO_KINDS, Pair, Relation

# A position counts as wrong throughout if this share of its values is.
THROUGHOUT = 0.5


def by_the_diagonal(pair: Pair) -> Relation | None:
    """Only the diagonal of each matrix is wrong, or only one side of it."""
    shape = pair.expected.shape
    if pair.scattered or not pair.is_same_shape or len(shape) < 2 or min(shape[-2:]) < ENOUGH:
        return None
    off = np.asarray(pair.off.reshape(-1, *shape[-2:]).any(axis=0))
    row, column = np.indices(shape[-2:])
    for where, place in (("on", column == row), ("above", column > row), ("below", column < row)):
        if not off[~place].any() and off[place].all() and place.sum() >= ENOUGH:
            words = "the diagonal itself" if where == "on" else f"what is {where} the diagonal"
            return Relation(f"wrong {where} the diagonal", f"Only {words} is wrong. All else is right.")
    return None


def by_position(pair: Pair) -> Relation | None:
    """Right before a position of an axis and wrong from there on, or the other way round."""
    if pair.scattered or not pair.is_same_shape:
        return None
    found = []
    for axis in range(pair.expected.ndim):
        off = np.moveaxis(pair.off, axis, 0).reshape(pair.off.shape[axis], -1)
        wrong = np.asarray(off.any(axis=1))
        words = _which(wrong)
        throughout = bool((off[wrong].mean(axis=1) >= THROUGHOUT).all())
        enough = len(off) >= ENOUGH or (len(off) == 2 and off.shape[1] > ENOUGH)
        if words and throughout and enough and off.size > ENOUGH and _no_accident(pair, ~wrong, axis):
            found.append((float((~wrong).mean()), -axis, words))
    if not found:
        return None
    _, axis, (name, says) = max(found)
    unit, along = unit_of(-axis, pair.expected.ndim)
    said = says.format(unit=unit, along=along)
    return Relation(f"{name}{along}", f"{said[0].upper()}{said[1:]}")


def _no_accident(pair: Pair, right: npt.NDArray[np.bool_], axis: int) -> bool:
    """May the values at these positions be said to be right, or can so few of two kinds be so by chance?"""
    values = np.compress(right, pair.expected, axis)
    return pair.varies(values) or not pair.is_bool or values.size >= ENOUGH_OF_TWO_KINDS


def _which(wrong: npt.NDArray[np.bool_]) -> tuple[str, str] | None:
    """Which positions are wrong, if they are a beginning, an end or every second one: a name, and a sentence."""
    count, changes = len(wrong), np.flatnonzero(wrong[1:] != wrong[:-1]) + 1
    if len(changes) == count - 1 and count > ENOUGH:
        return "every second wrong", f"every second {{unit}}{{along}} is wrong, from {int(wrong.argmax())} on."
    if len(changes) != 1:
        return None
    at = int(changes[0])
    first, last = ("right", "wrong") if wrong[-1] else ("wrong", "right")
    if at == 1:
        return f"only the first {first}", f"only the first {{unit}}{{along}} is {first}."
    if at == count - 1:
        return f"only the last {last}", f"only the last {{unit}}{{along}} is {last}."
    name = f"wrong from {at} on" if wrong[-1] else f"wrong before {at}"
    return name, f"{first} before {{unit}} {at}{{along}}, {last} from there on. (Counted from 0.)"


def one_value(pair: Pair) -> Relation | None:
    """All that is wrong has one value in yours, or should have."""
    if not pair.is_same_shape or int(pair.off.sum()) < ENOUGH or pair.off.all():
        return None
    wanted, got = pair.expected[pair.off], pair.actual[pair.off]
    if _is_one(got) and (pair.is_bool or pair.varies(wanted, 2)):
        return Relation(
            f"wrong ones are {_said(pair, got)}",
            f"What is wrong is {_said(pair, got)} in yours. All else is right.",
        )
    if _is_one(wanted) and not pair.is_bool and pair.varies(got, 2):
        says = f"What is wrong should be {_said(pair, wanted)}. All else is right."
        return Relation(f"wrong ones should be {_said(pair, wanted)}", says)
    return None


def _is_one(values: npt.NDArray[np.float64]) -> bool:
    return bool((values == values[0]).all() or np.isnan(values).all())


def _said(pair: Pair, values: npt.NDArray[np.float64]) -> str:
    return str(bool(values[0])) if pair.is_bool else figures(float(values[0]))
