"""The one relation that is told, the most specific that holds of all values, or none.

Bounded work: what is too large is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from grader.judge.compare import compare
from grader.judge.relations import arranged, elementwise, partial
from grader.judge.relations.kinds import another_kind, changed_inputs, no_gradient
from grader.judge.relations.relation import ENOUGH, Pair, Relation, pair_of, scattered_pair
from grader.judge.relations.sequences import between_mappings, between_sequences
from grader.judge.relations.text import between_bytes, between_texts
from grader.judge.wording import show
from grader.protocol.runs import Observation
from grader.protocol.values import Array, Value

Finder = Callable[[Pair], Relation | None]
# What holds of each value by itself, the simplest first; it can be looked for in several tensors at once.
OF_EACH_VALUE: tuple[Finder, ...] = (
    elementwise.not_a_number,
    elementwise.all_equal,
    elementwise.sign,
    elementwise.factor,
    elementwise.offset,
    elementwise.function,
)
OF_AN_ARRAY: tuple[Finder, ...] = (
    *OF_EACH_VALUE,
    partial.by_the_diagonal,
    arranged.transposed,
    arranged.along_an_axis,
    arranged.shifted,
    arranged.reshaped,
    arranged.cut,
    partial.by_position,
    partial.one_value,
    elementwise.by_slice,
    elementwise.sums,
    arranged.other_order,
    elementwise.nearly,
)
MOST_PARTS = 64


def find_relation(expected: Observation, actual: Value, earlier: Sequence[Observation] = ()) -> Relation | None:
    """How `actual`, which is wrong, is related to what was expected.

    `earlier` are the observations before it in the same check, in all of which it was right.
    """
    with np.errstate(all="ignore"):
        return (
            changed_inputs(expected, actual)
            or _between(expected.name, expected.value, actual, expected.tolerance)
            or _to_an_earlier_one(expected, actual, earlier)
        )


def _between(name: str, expected: Value, actual: Value, tolerance: float) -> Relation | None:
    if no_gradient(name, expected, actual):
        return no_gradient(name, expected, actual)
    pair = pair_of(expected, actual, tolerance)
    if pair is not None and pair.expected.ndim and pair.expected.size and pair.actual.size:
        found = next(filter(None, (finder(pair) for finder in OF_AN_ARRAY)), None)
        if found or isinstance(expected, Array):
            return found
    match expected, actual:
        case str(), str():
            return between_texts(expected, actual)
        case bytes(), bytes():
            return between_bytes(expected, actual)
        case dict(), dict():
            return between_mappings(expected, actual, tolerance) or _within(name, expected, actual, tolerance)
        case (list() as wanted, list() as got) | (tuple() as wanted, tuple() as got):
            return between_sequences(wanted, got, tolerance) or _within(name, expected, actual, tolerance)
    return another_kind(expected, actual, tolerance)


def _within(name: str, expected: Value, actual: Value, tolerance: float) -> Relation | None:
    """Of the parts of two containers: what holds of all their numbers, or of the only one that is wrong."""
    parts = _parts(expected, actual)
    if not 0 < len(parts) <= MOST_PARTS:
        return None
    wrong = [part for part in parts if compare(Observation("", part[1], tolerance), part[2]) is not None]
    pairs = [pair_of(wanted, got, tolerance) for _, wanted, got in parts]
    if len(wrong) > 1 and pairs and all(pair is not None for pair in pairs):
        together = scattered_pair([pair for pair in pairs if pair is not None])
        found = next(filter(None, (finder(together) for finder in OF_EACH_VALUE)), None) if together else None
        if found:
            return found
    found_in = [(place, _between(name, wanted, got, tolerance)) for place, wanted, got in wrong]
    first_place, first = found_in[0] if found_in else ("", None)
    if first is None or any(other != first for _, other in found_in):
        return None
    return first.at(
        f"At {first_place}" if len(found_in) == 1 else f"In each of the {len(found_in)} parts that are wrong"
    )


def _parts(expected: Value, actual: Value) -> list[tuple[str, Value, Value]]:
    """Place, expected and actual of each part; none where the containers do not have the same parts."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if set(expected) != set(actual):
            return []
        return [(f"[{show(key, 40)}]", wanted, actual[key]) for key, wanted in expected.items()]
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple) and len(expected) == len(actual):
        return [(f"[{index}]", *pair) for index, pair in enumerate(zip(expected, actual, strict=True))]
    return []


def _to_an_earlier_one(expected: Observation, actual: Value, earlier: Sequence[Observation]) -> Relation | None:
    """Two calls that should give the same and do not, or give the same and should not."""
    for before in reversed(earlier[-MOST_PARTS:]):
        if not _is_telling(before.value):
            continue
        if compare(Observation("", expected.value, expected.tolerance), before.value) is None:
            says = f"This should be the same as “{before.name}”, which came before and was right."
            return Relation("differs from an earlier one", says)
        is_again = compare(Observation("", before.value, expected.tolerance), actual) is None
        if is_again and type(expected.value) is type(before.value):
            says = f"Yours is the same as “{before.name}”, which came before. Here it should be another one."
            return Relation("same as an earlier one", says)
    return None


def _is_telling(value: Value) -> bool:
    """Is it no accident if two values are like this one?"""
    if isinstance(value, Array):
        pair = pair_of(value, value, 0.0)
        return pair is not None and pair.varies(pair.expected)
    return isinstance(value, str | bytes | list | tuple | dict) and len(value) >= ENOUGH
