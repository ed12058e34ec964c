"""The right content as the wrong kind of thing, no gradient, a changed input."""

from __future__ import annotations

import numpy as np

from grader.judge.compare import compare
from grader.judge.numbers import numbers
from grader.judge.relations.relation import LARGEST, Relation
from grader.judge.relations.text import LONGEST
from grader.judge.wording import kind
from grader.protocol.runs import CHANGED_INPUTS, Observation
from grader.protocol.values import Array, Value
from grader.text import shorten

# To how many figures each type holds a number, as what two of them can agree in.
FIGURES = {"bfloat16": 1e-2, "float16": 2e-3}
GRADIENT = "grad"
MOST_NAMED = 3


def changed_inputs(expected: Observation, actual: Value) -> Relation | None:
    """Which of the tensors that it was given the code wrote to."""
    if expected.name != CHANGED_INPUTS or not isinstance(actual, list) or not actual:
        return None
    shapes = [shorten(str(name).partition("(")[2].rstrip(")"), 30) for name in actual[:MOST_NAMED]]
    named = " and ".join(f"({shape})" for shape in shapes)
    more = f" and {len(actual) - MOST_NAMED} more" if len(actual) > MOST_NAMED else ""
    what = "a tensor that it was given, of shape" if len(actual) == 1 else "tensors that it was given, of shapes"
    says = (
        f"Your code changed {what} {named}{more}. Whoever handed it over still needs it: calculate a new one, "
        "without `+=`, assignments to parts or functions that end in `_`."
    )
    return Relation("changed input", says)


def no_gradient(name: str, expected: Value, actual: Value) -> Relation | None:
    """None where a tensor is expected, in what a probe calls a gradient."""
    if actual is not None or not isinstance(expected, Array) or GRADIENT not in name.lower():
        return None
    says = (
        "There is no gradient. Either none was calculated, as after `detach()`, `.data`, `.item()` or `no_grad`, "
        "or it was removed again."
    )
    return Relation("no gradient", says)


def another_kind(expected: Value, actual: Value, tolerance: float) -> Relation | None:
    """The same content, as another type."""
    match expected, actual:
        case Array(), Array() if expected.dtype != actual.dtype:
            return _dtype(expected, actual, tolerance)
        case Array(), _:
            return _into_tensor(expected, actual, tolerance)
        case _, Array():
            return _out_of_tensor(expected, actual, tolerance)
        case bool(), bool():
            return None
        case bool() | int() | float(), bool() | int() | float() if type(expected) is not type(actual):
            return _only_kind(expected, actual) if _is_equal(expected, actual, tolerance) else None
        case (list() as wanted, tuple() as got) | (tuple() as wanted, list() as got):
            alike = compare(Observation("", list(wanted), tolerance), list(got)) is None
            return _only_kind(expected, actual) if alike else None
        case (str(), bytes()) if len(expected) <= LONGEST:
            same = expected.encode("utf-8", "surrogatepass") == actual
            return Relation("bytes for text", "The content is right, but still bytes: decode it.") if same else None
        case (bytes(), str()) if len(actual) <= LONGEST:
            same = expected == actual.encode("utf-8", "surrogatepass")
            return Relation("text for bytes", "The content is right, but text: encode it.") if same else None
        case str(), list() | tuple():
            pieces = [item for item in actual if isinstance(item, str)]
            same = len(pieces) == len(actual) and "".join(pieces) == expected
            return Relation("text in pieces", "The pieces are right, but not joined to one text.") if same else None
        case str(), int() | float():
            return _only_kind(expected, actual) if _spelled(actual) == expected else None
        case int() | float(), str() if len(actual) < 100:
            return _only_kind(expected, actual) if _spelled(expected) == actual else None
    return _wrapped(expected, actual, tolerance)


def _only_kind(expected: Value, actual: Value) -> Relation:
    says = f"The content is right. Only its type differs: it is {kind(actual)} and should be {kind(expected)}."
    return Relation(f"{_short(actual)} for {_short(expected)}", says)


def _short(value: Value) -> str:
    return value.dtype if isinstance(value, Array) else type(value).__name__


def _is_equal(one: float, other: float, tolerance: float) -> bool:
    try:
        return abs(float(one) - float(other)) <= tolerance * (1 + abs(float(one)))
    except OverflowError:
        return False


def _spelled(value: float) -> str:
    return "" if isinstance(value, int) and value.bit_length() > 64 else str(value)


def _dtype(expected: Array, actual: Array, tolerance: float) -> Relation | None:
    if expected.shape != actual.shape or not expected.data:
        return None
    if max(len(expected.data), len(actual.data)) > 8 * LARGEST:
        return None
    wanted, got = numbers(expected), numbers(actual)
    near = max([tolerance, *(FIGURES.get(array.dtype, 1e-6) for array in (expected, actual))])
    if not np.allclose(got, wanted, rtol=near, atol=near, equal_nan=True):
        return None
    says = f"The values are right. Only their type differs: it is {actual.dtype} and should be {expected.dtype}."
    return Relation(f"dtype {actual.dtype} for {expected.dtype}", says)


def _into_tensor(expected: Array, actual: Value, tolerance: float) -> Relation | None:
    """Numbers or lists of them where a tensor of the same numbers is expected."""
    if isinstance(actual, Array) or not expected.data or len(expected.data) > 8 * LARGEST:
        return None
    alike = compare(Observation("", numbers(expected).tolist(), tolerance), _as_floats(actual)) is None
    return _only_kind(expected, actual) if alike else None


def _out_of_tensor(expected: Value, actual: Array, tolerance: float) -> Relation | None:
    if (
        not actual.data
        or len(actual.data) > 8 * LARGEST
        or isinstance(expected, str | bytes | dict)
        or expected is None
    ):
        return None
    values = numbers(actual)
    found = values.tolist() if isinstance(expected, list | tuple) else values.item() if values.size == 1 else None
    alike = found is not None and compare(Observation("", _as_floats(expected), tolerance), found) is None
    return _only_kind(expected, actual) if alike else None


def _as_floats(value: Value) -> Value:
    """Numbers and lists of numbers as floats in lists; what is something else stays, and so is like nothing."""
    if isinstance(value, list | tuple):
        return [_as_floats(item) for item in value]
    if isinstance(value, bool | int | float) and abs(value) < 2**53:
        return float(value)
    return value


def _wrapped(expected: Value, actual: Value, tolerance: float) -> Relation | None:
    """The right thing in a list of one, or the only item of what should be a list of one."""
    if isinstance(actual, list | tuple) and not isinstance(expected, list | tuple):
        is_in_one = len(actual) == 1 and compare(Observation("", expected, tolerance), actual[0]) is None
        says = f"The content is right, but in {kind(actual)} of one item."
        return Relation("in a list", says) if is_in_one else None
    if isinstance(expected, list | tuple) and not isinstance(actual, list | tuple):
        is_the_one = len(expected) == 1 and compare(Observation("", expected[0], tolerance), actual) is None
        says = f"The content is right. It should stand in {kind(expected)} of one item."
        return Relation("not in a list", says) if is_the_one else None
    return None
