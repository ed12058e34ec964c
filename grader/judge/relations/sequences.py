"""The right items of a list or a dict in other places, cut otherwise, one too few or too many."""

from __future__ import annotations

from collections.abc import Sequence

from grader.judge.compare import compare
from grader.judge.relations.arranged import FURTHEST_SHIFT, cut_words, shift_words
from grader.judge.relations.relation import ENOUGH, Relation
from grader.judge.relations.text import LONGEST
from grader.protocol.runs import Observation
from grader.protocol.values import Array, Value

MOST_ITEMS = 2_000
# Each is compared with each other one.
MOST_COMPARED = 40
SHOWN_ORDER = 8
# An item of this many parts is alike another one by no accident.
LARGE = 3


def between_sequences(expected: Sequence[Value], actual: Sequence[Value], tolerance: float) -> Relation | None:
    """Missing at an end, too many there, moved, another order, cut otherwise."""
    if not expected or max(len(expected), len(actual)) > MOST_ITEMS:
        return None
    if not actual:
        return Relation("empty", "Yours is empty.")
    joined = _joined(expected, actual)
    if joined:
        return joined
    if len(expected) != len(actual):
        return _cut(expected, actual, tolerance) or _one_taken_out(expected, actual, tolerance)
    return _shifted(expected, actual, tolerance) or _other_order(expected, actual, tolerance)


def _alike(wanted: Value, got: Value, tolerance: float) -> bool:
    return compare(Observation("", wanted, tolerance), got) is None


def _all_alike(wanted: Sequence[Value], got: Sequence[Value], tolerance: float) -> bool:
    return len(wanted) == len(got) and all(_alike(*pair, tolerance) for pair in zip(wanted, got, strict=True))


def _are_enough(items: Sequence[Value], tolerance: float) -> bool:
    """Are these so many different items, or so large ones, that it is no accident if they fit?"""
    different: list[Value] = []
    for item in items[:MOST_COMPARED]:
        if not any(_alike(other, item, tolerance) for other in different):
            different.append(item)
        if len(different) >= ENOUGH or (len(different) > 1 and all(_size(other) >= LARGE for other in different)):
            return True
    return False


def _size(item: Value) -> int:
    if isinstance(item, Array):
        return len(set(item.data))
    return len(item) if isinstance(item, str | bytes | list | tuple | dict) else 1


def _joined(expected: Sequence[Value], actual: Sequence[Value]) -> Relation | None:
    """The same text or the same bytes, cut elsewhere."""
    wanted, got = _whole(expected), _whole(actual)
    if wanted is None or wanted != got or len(wanted) < ENOUGH:
        return None
    how = "as many" if len(actual) == len(expected) else "fewer" if len(actual) < len(expected) else "more"
    where = "at other places" if how == "as many" else f"into {how} pieces"
    return Relation("cut elsewhere", f"Joined, your pieces are right. They are cut {where} than expected.")


def _whole(items: Sequence[Value]) -> str | bytes | None:
    """What these pieces are together, where all are text or all are bytes."""
    texts = [item for item in items if isinstance(item, str)]
    pieces = [item for item in items if isinstance(item, bytes)]
    if len(items) not in (len(texts), len(pieces)) or sum(map(len, texts)) + sum(map(len, pieces)) > LONGEST:
        return None
    return "".join(texts) if texts else b"".join(pieces)


def _cut(expected: Sequence[Value], actual: Sequence[Value], tolerance: float) -> Relation | None:
    short, long, lacks = (actual, expected, True) if len(actual) < len(expected) else (expected, actual, False)
    if not _are_enough(short, tolerance):
        return None
    gap = len(long) - len(short)
    for end, part in (("end", long[: len(short)]), ("beginning", long[gap:])):
        if _all_alike(*((part, short) if lacks else (short, part)), tolerance):
            return cut_words(end, gap, lacks, unit="item")
    return None


def _one_taken_out(expected: Sequence[Value], actual: Sequence[Value], tolerance: float) -> Relation | None:
    """One item within is missing, or one too many."""
    if abs(len(expected) - len(actual)) != 1 or not _are_enough(min(expected, actual, key=len), tolerance):
        return None
    unlike = (i for i, pair in enumerate(zip(expected, actual, strict=False)) if not _alike(*pair, tolerance))
    at = next(unlike, min(len(expected), len(actual)))
    lacks = len(actual) < len(expected)
    rest = (expected[at + 1 :], actual[at:]) if lacks else (expected[at:], actual[at + 1 :])
    if not _all_alike(*rest, tolerance):
        return None
    word = "missing" if lacks else "too many"
    return Relation(f"item {at} {word}", f"One item is {word}: the one at position {at}. All else is right.")


def _shifted(expected: Sequence[Value], actual: Sequence[Value], tolerance: float) -> Relation | None:
    for by in range(1, min(FURTHEST_SHIFT, len(expected) // 2) + 1):
        for ahead, wanted, got in ((True, expected[by:], actual[:-by]), (False, expected[:-by], actual[by:])):
            if _all_alike(wanted, got, tolerance) and _are_enough(wanted, tolerance):
                return Relation(f"shifted by {-by if ahead else by}", shift_words(by, ahead, "item"))
    return None


def _other_order(expected: Sequence[Value], actual: Sequence[Value], tolerance: float) -> Relation | None:
    order = _order(expected, actual, tolerance)
    if order is None or not _are_enough([expected[index] for index in order], tolerance):
        return None
    if order == list(range(len(order)))[::-1]:
        if len(order) == 2:
            return Relation("exchanged", "The two items are right, but exchanged.")
        return Relation("reversed", "The items are right, but in the opposite order.")
    shown = f" Yours has them in the order {', '.join(map(str, order))}." if len(order) <= SHOWN_ORDER else ""
    return Relation("permuted", f"The items are right, but in another order.{shown}")


def _order(expected: Sequence[Value], actual: Sequence[Value], tolerance: float) -> list[int] | None:
    """Where in the expected ones each item comes from, if none is left over."""
    if len(expected) > MOST_COMPARED:
        return None
    free, order = list(range(len(expected))), []
    for position, item in enumerate(actual):
        candidates = [*([position] if position in free else []), *free]
        source = next((index for index in candidates if _alike(expected[index], item, tolerance)), None)
        if source is None:
            return None
        free.remove(source)
        order.append(source)
    return order


def between_mappings(expected: dict[Value, Value], actual: dict[Value, Value], tolerance: float) -> Relation | None:
    """The right values under other keys."""
    if set(expected) != set(actual) or len(expected) < 2:
        return None
    wanted, got = list(expected.values()), [actual[key] for key in expected]
    if _other_order(wanted, got, tolerance) is None:
        return None
    return Relation("other keys", "The values are right, but they stand under each other's keys.")
