"""How far apart two observations are, in units of what a probe allows. Pure."""

from __future__ import annotations

import math

import numpy as np

from grader.judge.compare import compare
from grader.judge.numbers import Numbers, numbers
from grader.protocol.runs import CheckRun, Ending, Observation
from grader.protocol.values import Array, Value


def distance(expected: CheckRun, actual: CheckRun) -> float:
    """The largest distance of any observation of a check; infinite where the two ended or observed otherwise."""
    names = [observation.name for observation in expected.observations]
    if actual.ending is not Ending.RETURNED or [observation.name for observation in actual.observations] != names:
        return math.inf
    pairs = zip(expected.observations, actual.observations, strict=True)
    return max((ratio(wanted.value, got.value, wanted.tolerance) for wanted, got in pairs), default=0.0)


def ratio(expected: Value, actual: Value, tolerance: float) -> float:
    """The largest error of a number, over what is allowed for it: up to 1 the judge takes the two for the same.

    What has no size, such as an id, a text, a shape or an error, is 0 where it is right, and infinite where not.
    """
    match expected:
        case Array() if isinstance(actual, Array) and _is_of_floats(expected) and _is_like(expected, actual):
            return _largest(numbers(expected), numbers(actual), tolerance)
        case float() if type(actual) is float:
            return _largest(np.array([expected]), np.array([actual]), tolerance)
        case list() | tuple() if isinstance(actual, type(expected)) and len(actual) == len(expected):
            pairs = zip(expected, actual, strict=True)
            return max((ratio(wanted, got, tolerance) for wanted, got in pairs), default=0.0)
        case dict() if isinstance(actual, dict) and actual.keys() == expected.keys():
            return max((ratio(wanted, actual[key], tolerance) for key, wanted in expected.items()), default=0.0)
    return math.inf if compare(Observation("", expected, tolerance), actual) else 0.0


def _is_of_floats(array: Array) -> bool:
    return "float" in array.dtype


def _is_like(one: Array, other: Array) -> bool:
    return (one.shape, one.dtype) == (other.shape, other.dtype)


def _largest(expected: Numbers, actual: Numbers, tolerance: float) -> float:
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratios = np.abs(expected - actual) / (tolerance * (1 + np.abs(expected)))
    special = ~np.isfinite(expected) | ~np.isfinite(actual)
    return float(np.where(same, 0.0, np.where(special, math.inf, ratios)).max(initial=0.0))
