"""Is an observation the reference's? Pure functions over records; equality within a tolerance is the judge.

Shape and type are compared before values, nothing is broadcast, and NaN equals only an expected NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grader.judge.numbers import Numbers, numbers, raw
from grader.judge.results import Difference
from grader.judge.wording import kind, show
from grader.protocol.runs import CheckRun, Ending, Failure, Observation, SubjectRun
from grader.protocol.values import Array, Opaque, Raised, Value
from grader.text import shorten

SOMETHING_DONE_WITH_NONE = "something done with None"


@dataclass(frozen=True)
class Departure:
    """Where two runs of one check first differ: in words, and the two observations if there are two."""

    difference: Difference
    expected: Observation | None = None
    actual: Observation | None = None


def first_departure(expected: CheckRun, actual: CheckRun) -> Departure | None:
    """The first observation in which two runs of one check differ, or None where they are the same."""
    for wanted, got in zip(expected.observations, actual.observations, strict=False):
        if wanted.name != got.name:
            return Departure(Difference(wanted.name, f"was not observed; `{shorten(got.name)}` was"))
        difference = compare(wanted, got.value)
        if difference:
            return Departure(difference, wanted, got)
    if len(actual.observations) < len(expected.observations):
        name = expected.observations[len(actual.observations)].name
        return Departure(Difference(name, "was not observed"))
    if len(actual.observations) > len(expected.observations):
        name = shorten(actual.observations[len(expected.observations)].name)
        return Departure(Difference(name, "should not be there"))
    return None


def departures(
    one: SubjectRun, other: SubjectRun, checks: Iterable[str], to_the_word: bool = False
) -> tuple[str, ...]:
    """Those of these checks in which two subjects did not behave alike. A check missing on one side only is one.

    `to_the_word` compares the messages of errors too, whoever wrote them.
    """
    ours, theirs = one.by_name(), other.by_name()

    def are_alike(name: str) -> bool:
        mine, yours = ours.get(name), theirs.get(name)
        if mine is None or yours is None:
            return mine is yours
        return same_run(mine, yours) and not (to_the_word and _message(mine) != _message(yours))

    return tuple(name for name in checks if not are_alike(name))


def same_run(one: CheckRun, other: CheckRun) -> bool:
    """Did two subjects behave alike in a check: the same ending, the same error, the same observations?"""
    if one.ending is not other.ending:
        return False
    if one.ending in (Ending.TIMEOUT, Ending.CRASHED, Ending.LIMIT):
        return True  # how the check ended is all that is left of it
    return _same_failure(one.failure, other.failure) and first_departure(one, other) is None


def _same_failure(one: Failure | None, other: Failure | None) -> bool:
    """The same type, raised in the same function.

    The words are torch's or Python's, and tell how the code is written: `g.pow(2)` and `g.double()` fail alike
    where `g` is None. Where it was raised outside of the code under test, by what a probe did with what that gave
    back, they are all there is.
    """
    if one is None or other is None:
        return one is other
    if _kind(one) != _kind(other):
        return False
    if one.trace and other.trace and one.trace[-1].function == other.trace[-1].function:
        return True
    return one.message == other.message


def _kind(failure: Failure) -> tuple[str, ...]:
    """The types of an error. What cannot be done with None is either of two, as one happens to write it."""
    return (SOMETHING_DONE_WITH_NONE,) if _is_on_none(failure) else failure.types


def _is_on_none(failure: Failure) -> bool:
    return failure.types[0] in ("AttributeError", "TypeError") and "NoneType" in failure.message


def _message(run: CheckRun) -> str:
    if run.failure is None:
        return ""
    return SOMETHING_DONE_WITH_NONE if _is_on_none(run.failure) else run.failure.message


def compare(expected: Observation, actual: Value) -> Difference | None:
    """How `actual` departs from an expected observation, or None."""
    found = _compare(expected.value, actual, expected.tolerance)
    if found is None:
        return None
    where, summary, wanted, got = found
    place = f"at {where}: " if where else ""
    return Difference(expected.name, place + summary, wanted, got)


# A finding on the way: where in the value, what is said, what was wanted, what was there.
_Found = tuple[str, str, str, str]


def _compare(expected: Value, actual: Value, tolerance: float) -> _Found | None:
    match expected:
        case Raised():
            return _compare_raised(expected, actual)
        case Array():
            if isinstance(actual, Array):
                return _compare_arrays(expected, actual, tolerance)
        case bool() | None:
            if type(actual) is type(expected):
                return None if actual == expected else ("", "differs", show(expected), show(actual))
        case int():
            if type(actual) is int:
                return None if actual == expected else ("", "differs", show(expected), show(actual))
        case float():
            if type(actual) is float:
                close = _close(expected, actual, tolerance)
                return None if close else ("", "differs", show(expected), show(actual))
        case str() | bytes():
            if type(actual) is type(expected):
                return _compare_text(expected, actual)
        case list() | tuple():
            if type(actual) is type(expected):
                return _compare_sequences(expected, actual, tolerance)
        case dict():
            if isinstance(actual, dict):
                return _compare_mappings(expected, actual, tolerance)
        case Opaque():
            if actual == expected:
                return None
    if isinstance(actual, Raised):
        said = f": {shorten(actual.message, 200)}" if actual.message else ""
        return "", f"raised {shorten(actual.types[0])}{said}; it should return {kind(expected)}", "", ""
    return "", f"is {kind(actual)}; it should be {kind(expected)}", "", show(actual)


def _compare_raised(expected: Raised, actual: Value) -> _Found | None:
    wanted = expected.types[0]
    if not isinstance(actual, Raised):
        return "", f"returned {kind(actual)}; it should raise {wanted}", wanted, show(actual)
    if wanted not in actual.types:
        return (
            "",
            f"raised {shorten(actual.types[0])}; it should raise {wanted}",
            wanted,
            shorten(actual.message, 200),
        )
    for mention in expected.mentions:
        # Both ways round: a known mistake whose own message lacks the name is like another that lacks it.
        if (mention in actual.message) != (mention in expected.message):
            summary = f"raised {wanted}, as it should, but the message does not name {mention}"
            return "", summary, shorten(expected.message, 200), shorten(actual.message, 200)
    return None


def _compare_arrays(expected: Array, actual: Array, tolerance: float) -> _Found | None:
    if actual.shape != expected.shape:
        return "", f"has shape {actual.shape}; it should be {expected.shape}", "", ""
    if actual.dtype != expected.dtype:
        return "", f"has dtype {actual.dtype}; it should be {expected.dtype}", "", ""
    if actual.data == expected.data:
        return None
    off = differing(expected, actual, tolerance)
    if not off.any():
        return None
    wanted, got = numbers(expected), numbers(actual)
    first = tuple(map(int, np.unravel_index(off.argmax(), off.shape)))
    at = f"; the first at [{', '.join(map(str, first))}]" if first else ""
    count = f"{int(off.sum()):,} of {off.size:,} values are" if off.size > 1 else "the value is"
    with np.errstate(invalid="ignore"):
        worst = np.abs(wanted - got)[off]
    finite = worst[np.isfinite(worst)]
    by = f", by up to {finite.max():.3g}" if finite.size else ""
    nan = int((np.isnan(got) & ~np.isnan(wanted)).sum())
    not_a_number = f"; {nan:,} of them NaN" if nan else ""
    summary = f"{count} off{by}{not_a_number}{at}"
    return "", summary, show(raw(expected)[first].item()), show(raw(actual)[first].item())


def _compare_text(expected: str | bytes, actual: str | bytes) -> _Found | None:
    if actual == expected:
        return None
    at = next((i for i, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), None)
    at = min(len(expected), len(actual)) if at is None else at
    start = max(0, at - 20)
    summary = f"differs from character {at} on" if isinstance(expected, str) else f"differs from byte {at} on"
    return "", summary, show(expected[start : at + 40]), show(actual[start : at + 40])


def _compare_sequences(
    expected: list[Value] | tuple[Value, ...],
    actual: list[Value] | tuple[Value, ...],
    tolerance: float,
) -> _Found | None:
    for index, (wanted, got) in enumerate(zip(expected, actual, strict=False)):
        found = _compare(wanted, got, tolerance)
        if found:
            where, summary = f"[{index}]{found[0]}", found[1]
            if len(expected) != len(actual) and not isinstance(wanted, Array):
                return where, f"{summary}; {_lengths(expected, actual)}", show(expected), show(actual)
            whole = _flat(expected)
            return where, summary, show(expected) if whole else found[2], show(actual) if whole else found[3]
    if len(actual) != len(expected):
        return "", _lengths(expected, actual), show(expected), show(actual)
    return None


def _lengths(expected: list[Value] | tuple[Value, ...], actual: list[Value] | tuple[Value, ...]) -> str:
    have, want = len(actual), len(expected)
    items, are = "item" if have == 1 else "items", "is" if want == 1 else "are"
    return f"has {have:,} {items} where {want:,} {are} expected"


def _flat(items: list[Value] | tuple[Value, ...]) -> bool:
    """Short enough, and simple enough, to be shown whole."""
    return len(items) <= 16 and all(isinstance(item, int | float | str | bytes | None) for item in items)


def _compare_mappings(expected: dict[Value, Value], actual: dict[Value, Value], tolerance: float) -> _Found | None:
    missing = [key for key in expected if key not in actual]
    extra = [key for key in actual if key not in expected]
    if missing or extra:
        parts = [f"lacks {_some(missing)}"] if missing else []
        parts += [f"has {_some(extra)} too many"] if extra else []
        return "", " and ".join(parts), show(expected), show(actual)
    theirs = {key: key for key in actual}
    for key, wanted in expected.items():
        found = _compare(key, theirs[key], 0.0)  # True and 1.0 are the key 1 to a dictionary
        if found:
            return f"key {show(key)}", *found[1:]
        found = _compare(wanted, actual[key], tolerance)
        if found:
            return f"[{show(key)}]{found[0]}", *found[1:]
    return None


def _some(keys: list[Value]) -> str:
    named = ", ".join(show(key, 30) for key in keys[:3])
    return named + (f" and {len(keys) - 3:,} more" if len(keys) > 3 else "")


def differing(expected: Array, actual: Array, tolerance: float) -> npt.NDArray[np.bool_]:
    """Where two tensors of one shape and dtype differ. The tolerance is for arithmetic: an id is right or wrong."""
    if "float" not in expected.dtype:
        return np.asarray(raw(expected) != raw(actual))
    return ~close_values(numbers(expected), numbers(actual), tolerance)


def _close(expected: float, actual: float, tolerance: float) -> bool:
    if math.isnan(expected) or math.isnan(actual):
        return math.isnan(expected) and math.isnan(actual)
    if math.isinf(expected) or math.isinf(actual):
        return expected == actual
    return abs(expected - actual) <= tolerance * (1 + abs(expected))


def close_values(expected: Numbers, actual: Numbers, tolerance: float) -> npt.NDArray[np.bool_]:
    """Elementwise: within `tolerance`, absolutely and relatively; infinities and NaN only where expected."""
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(expected - actual) <= tolerance * (1 + np.abs(expected))
    special = ~np.isfinite(expected) | ~np.isfinite(actual)
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    return np.where(special, same, near)
