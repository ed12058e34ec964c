"""The distance between observations agrees with the judge."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.tolerances import distance, ratio
from grader.judge.compare import compare
from grader.protocol.runs import CheckRun, Ending, Observation
from grader.protocol.values import Array, Value

FLOATS = st.floats(width=32)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=2), FLOATS)


def floats(*values: float) -> Array:
    return Array("float32", (len(values),), np.array(values, dtype="<f4").tobytes())


def whole(*values: int) -> Array:
    return Array("int64", (len(values),), np.array(values, dtype="<i8").tobytes())


ARRAYS = st.lists(FLOATS, max_size=3).map(lambda values: floats(*values))
VALUES = st.recursive(
    LEAVES | ARRAYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=1), inner, max_size=2),
    max_leaves=6,
)


@given(VALUES, VALUES, st.sampled_from([0.0, 1e-5, 0.5, 10.0]))
def test_up_to_one_is_what_the_judge_takes_for_the_same(wanted: Value, got: Value, tolerance: float) -> None:
    far = ratio(wanted, got, tolerance)
    if not 1 - 1e-9 < far < 1 + 1e-9:  # on the line itself, the last bit decides
        assert (far < 1) is (compare(Observation("", wanted, tolerance), got) is None)


@given(VALUES)
def test_a_value_is_at_no_distance_from_itself(value: Value) -> None:
    assert ratio(value, value, 0.0) == 0


@pytest.mark.parametrize(
    ("wanted", "got", "tolerance", "far"),
    [
        (1.0, 1.5, 0.5, 0.5),
        ([0.0, {"a": 3.0}], [0.25, {"a": 1.0}], 1.0, 0.5),
        (floats(0, 1), floats(0.5, 1), 1.0, 0.5),
        (floats(0, 1), floats(0, math.nan), 1.0, math.inf),
        (floats(0, math.inf), floats(0, math.inf), 0.0, 0.0),
        (floats(0, 1), floats(0), 1.0, math.inf),
        (whole(1, 2), whole(1, 3), 5.0, math.inf),
        (1.0, 1, 5.0, math.inf),
        ("a", "b", 5.0, math.inf),
    ],
)
def test_distances(wanted: Value, got: Value, tolerance: float, far: float) -> None:
    assert ratio(wanted, got, tolerance) == pytest.approx(far)


def test_of_several_observations_the_farthest_counts() -> None:
    wanted = CheckRun("test", Ending.RETURNED, (Observation("x", 0.0, 1.0), Observation("y", 0.0, 4.0)))
    got = CheckRun("test", Ending.RETURNED, (Observation("x", 0.5), Observation("y", 3.0)))
    assert distance(wanted, got) == 0.75


def test_another_ending_or_another_observation_is_infinitely_far() -> None:
    wanted = CheckRun("test", Ending.RETURNED, (Observation("x", 0.0),))
    assert distance(wanted, CheckRun("test", Ending.RAISED, (Observation("x", 0.0),))) == math.inf
    assert distance(wanted, CheckRun("test", Ending.RETURNED, (Observation("y", 0.0),))) == math.inf
    assert distance(wanted, CheckRun("test", Ending.RETURNED)) == math.inf
