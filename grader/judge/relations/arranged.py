"""The right values in other places: axes exchanged, reversed, shifted, in another order, one too few."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from grader.judge.numbers import Numbers
from grader.judge.relations.quantities import axis_name, unit_of
from grader.judge.relations.relation import ENOUGH, Pair, Relation

MOST_AXES = 4
MOST_SLICES = 64
FURTHEST_SHIFT = 3
SHOWN_ORDER = 8


def transposed(pair: Pair) -> Relation | None:
    """The expected one with its axes in another order."""
    expected = pair.expected
    if not 2 <= expected.ndim <= MOST_AXES or not pair.says_enough(_moved(pair)):
        return None
    for order in _orders(expected):
        if pair.is_near(expected.transpose(order)):
            if expected.ndim == 2:
                return Relation(
                    "transposed", "Yours is the expected one, transposed: rows and columns are exchanged."
                )
            moved = [axis for axis in range(expected.ndim) if order[axis] != axis]
            if len(moved) == 2:
                says = f"Yours is the expected one with axes {moved[0]} and {moved[1]} exchanged."
                return Relation(f"axes {moved[0]} and {moved[1]} exchanged", says)
            named = ", ".join(map(str, order))
            return Relation(f"axes {named}", f"Yours is the expected one with its axes in the order {named}.")
    return None


def _orders(array: Numbers) -> list[tuple[int, ...]]:
    """Those of its axes that change something, the ones that exchange just two first."""
    own = tuple(range(array.ndim))
    found = [order for order in permutations(own) if order != own]
    return sorted(found, key=lambda order: sum(one != other for one, other in zip(order, own, strict=True)))


def _moved(pair: Pair) -> Numbers:
    """The values that would have to have moved."""
    return pair.expected[pair.off] if pair.is_same_shape else pair.expected


def reshaped(pair: Pair) -> Relation | None:
    """The same values in the same order in another shape, or in the order from before an exchange of axes."""
    expected, actual = pair.expected, pair.actual
    if expected.size != actual.size or not expected.size:
        return None
    if not pair.is_same_shape:
        if not pair.is_near(expected.ravel(), actual.ravel()):
            return None
        if _without_ones(expected.shape) == _without_ones(actual.shape):
            more = "more" if actual.ndim > expected.ndim else "fewer"
            count = abs(actual.ndim - expected.ndim)
            axes = (
                f"{count} {'axis' if count == 1 else 'axes'} of size 1 {more} than"
                if count
                else "its axes of size 1"
            )
            tail = f"only with {axes} expected" if count else f"only {axes} stand elsewhere"
            return Relation("axis of size 1", f"The values are right, {tail}.")
        if not pair.says_enough(expected):
            return None
        return Relation("another shape", "The values are right and in the right order. Only the shape is another.")
    if not 2 <= expected.ndim <= MOST_AXES or not pair.says_enough(_moved(pair)):
        return None
    for order in _orders(expected):
        if pair.is_near(expected.transpose(order).ravel(), actual.ravel()):
            says = (
                "Yours holds the right values in the wrong places, as if `view` or `reshape` stood where "
                "axes should be exchanged."
            )
            return Relation("reshaped instead of transposed", says)
    return None


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def along_an_axis(pair: Pair) -> Relation | None:
    """Reversed, moved around or in another order along one axis: the same slices at other positions."""
    if not pair.is_same_shape or not pair.says_enough(_moved(pair)):
        return None
    for axis in range(pair.expected.ndim):
        order = _order(pair, *_slices(pair, axis))
        if order is None:
            continue
        count, where = len(order), _along(axis, pair.expected.ndim)
        if np.array_equal(order, np.arange(count)[::-1]) and count > 2:
            return Relation(_named("reversed", axis, pair), f"Yours is the expected one, reversed{where}.")
        ahead = int(order[0])
        if np.array_equal(order, np.roll(np.arange(count), -ahead)) and count > 2:
            says = f"Yours is the expected one, moved around by {min(ahead, count - ahead)}{where}: what leaves at "
            return Relation(_named("rolled", axis, pair), says + "one end comes in at the other.")
        shown = f" Yours has them in the order {', '.join(map(str, order))}." if count <= SHOWN_ORDER else ""
        what = {1: "The values are", 2: "The rows are" if axis == 0 else "The columns are"}.get(pair.expected.ndim)
        what = what or f"The slices along {axis_name(axis, pair.expected.ndim)} are"
        return Relation(_named("permuted", axis, pair), f"{what} right, but in another order.{shown}")
    return None


def _named(what: str, axis: int, pair: Pair) -> str:
    return f"{what} along axis {axis}" if pair.expected.ndim > 1 else what


def _along(axis: int, axes: int) -> str:
    return f" along {axis_name(axis, axes)}" if axes > 1 else ""


def _slices(pair: Pair, axis: int) -> tuple[Numbers, Numbers]:
    """What stands at each position of an axis, as rows."""
    wanted, got = (np.moveaxis(side, axis, 0) for side in (pair.expected, pair.actual))
    return wanted.reshape(len(wanted), -1), got.reshape(len(got), -1)


def _order(pair: Pair, wanted: Numbers, got: Numbers) -> np.ndarray | None:
    """Where in the expected one each slice comes from, if each comes from somewhere else and none twice."""
    count = len(wanted)
    if not 2 <= count <= MOST_SLICES or (count == 2 and wanted.shape[1] < ENOUGH):
        return None
    free, order = list(range(count)), []
    for position, row in enumerate(got):
        # Where slices are alike, the one at this place first: as little as possible has moved.
        candidates = [*([position] if position in free else []), *free]
        source = next((index for index in candidates if pair.is_near(wanted[index], row)), None)
        if source is None:
            return None
        free.remove(source)
        order.append(source)
    return np.array(order)


def shifted(pair: Pair) -> Relation | None:
    """At each position what belongs to another one, a few positions on."""
    if not pair.is_same_shape:
        return None
    for axis in range(pair.expected.ndim):
        wanted, got = _slices(pair, axis)
        for by in range(1, min(FURTHEST_SHIFT, len(wanted) // 2) + 1):
            for ahead, one, other in ((True, wanted[by:], got[:-by]), (False, wanted[:-by], got[by:])):
                here = wanted[: len(one)] if ahead else wanted[by:]
                if not pair.is_near(one, other) or not _is_seen(pair, one, here):
                    continue
                return Relation(
                    _named(f"shifted by {-by if ahead else by}", axis, pair),
                    shift_words(by, ahead, *unit_of(axis, pair.expected.ndim)),
                )
    return None


def _is_seen(pair: Pair, moved: Numbers, here: Numbers) -> bool:
    """Are these values not just what stands here anyway?"""
    return len(moved) >= 2 and pair.says_enough(moved) and pair.varies(moved[~_near(pair, moved, here)])


def _near(pair: Pair, one: Numbers, other: Numbers) -> np.ndarray:
    return ~Pair(one, other, pair.tolerance).off


def cut(pair: Pair) -> Relation | None:
    """Right, but some positions at one end of an axis are missing, or there are some too many."""
    expected, actual = pair.expected, pair.actual
    if expected.ndim != actual.ndim or not actual.size or not expected.size:
        return None
    axes = [axis for axis in range(expected.ndim) if expected.shape[axis] != actual.shape[axis]]
    if len(axes) != 1:
        return None
    wanted, got = _slices(pair, axes[0])
    shorter, longer, lacks = (got, wanted, True) if len(got) < len(wanted) else (wanted, got, False)
    if shorter.size < ENOUGH or not pair.says_enough(shorter):
        return None
    gap = len(longer) - len(shorter)
    ends = [end for end, part in _parts(longer, len(shorter)) if pair.is_near(part, shorter)]
    if not ends:
        return None
    return cut_words(ends[0], gap, lacks, _along(axes[0], expected.ndim))


def _parts(longer: Numbers, length: int) -> Iterator[tuple[str, Numbers]]:
    """What is left of it without its end, and without its beginning."""
    yield "end", longer[:length]
    yield "beginning", longer[-length:]


def cut_words(end: str, gap: int, lacks: bool, along: str = "", unit: str = "position") -> Relation:
    """Something missing or too many at one end."""
    count, are = (f"1 {unit}", "is") if gap == 1 else (f"{gap:,} {unit}s", "are")
    if lacks:
        says = f"At the {end}{along}, {count} {are} missing. All else is right."
        return Relation(f"{gap} missing at the {end}", says)
    return Relation(
        f"{gap} too many at the {end}", f"At the {end}{along}, {count} {are} too many. All else is right."
    )


def other_order(pair: Pair) -> Relation | None:
    """The same values altogether, in some other order."""
    if pair.expected.size != pair.actual.size or not pair.says_enough(_moved(pair)):
        return None
    if not pair.varies(_moved(pair), 4) or np.isnan(pair.actual).any():
        return None
    if not pair.is_near(np.sort(pair.expected, axis=None), np.sort(pair.actual, axis=None)):
        return None
    return Relation("other order", "Yours holds the right values, in other places.")


def shift_words(by: int, ahead: bool, unit: str, along: str = "") -> str:
    """What is said of something moved `by` positions, `ahead` of where it should be or behind."""
    steps = f"1 {unit}" if by == 1 else f"{by} {unit}s"
    early, after = ("early", "after") if ahead else ("late", "before")
    return f"Yours comes {steps} too {early}{along}: at each place is what belongs {steps} {after} it."
