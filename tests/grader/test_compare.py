"""Equality with the reference: what is equal, what is not, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grader.judge.compare import compare, first_departure, same_run
from grader.judge.numbers import numbers
from grader.protocol.runs import CheckRun, Ending, Observation
from grader.protocol.values import Array, Raised
from grader.sandbox.observe import Observe, freeze


def tensor(*values: float, dtype: str = "float32") -> Array:
    data = np.array(values, dtype=dtype)
    return Array(dtype, data.shape, data.tobytes())


def differs(expected: object, actual: object, tolerance: float = 1e-5) -> str:
    found = compare(Observation("x", expected, tolerance), actual)
    return found.summary if found else ""


@pytest.mark.parametrize(
    "value",
    [0, -3, 2**70, 1.5, float("nan"), float("inf"), "é", b"\x00", None, True, [1, [2]], (1, 2), {"a": 1}, {}, []],
)
def test_a_value_equals_itself(value: object) -> None:
    assert differs(value, value) == ""


@pytest.mark.parametrize(
    "expected, actual, said",
    [
        (1, True, "it should be an int"),
        (True, 1, "it should be a bool"),
        (1.0, 1, "it should be a float"),
        (1.0, float("nan"), "differs"),
        (float("inf"), 1e308, "differs"),
        ([1], (1,), "it should be a list"),
        ([1, 2], [1], "has 1 item where 2 are expected"),
        ([1], [1, 2], "has 2 items where 1 is expected"),
        ([1, 2], [1, 3], "differs"),
        ("abc", "abd", "differs from character 2"),
        ("abc", "ab", "differs from character 2"),
        (b"abc", "abc", "it should be bytes"),
        ({"a": 1}, {"b": 1}, "lacks 'a' and has 'b' too many"),
        ({"a": 1}, {"a": 2}, "differs"),
        ([1], None, "is None"),
    ],
)
def test_what_differs_is_said(expected: object, actual: object, said: str) -> None:
    assert said in differs(expected, actual)


def test_dictionaries_have_no_order() -> None:
    assert differs({"a": 1, "b": 2}, {"b": 2, "a": 1}) == ""


def test_a_tensor_is_never_broadcast() -> None:
    assert "has shape (1,)" in differs(tensor(1.0, 1.0), tensor(1.0))


def test_dtype_counts() -> None:
    assert "has dtype float64" in differs(tensor(1.0), tensor(1.0, dtype="float64"))


def test_nan_equals_only_an_expected_nan() -> None:
    nan = float("nan")
    assert differs(tensor(nan, 1.0), tensor(nan, 1.0)) == ""
    assert "1 of them NaN" in differs(tensor(2.0, 1.0), tensor(nan, 1.0))
    assert differs(tensor(nan), tensor(1.0)) != ""


def test_tolerance_is_absolute_and_relative() -> None:
    assert differs(tensor(0.0), tensor(0.9e-5)) == ""
    assert differs(tensor(0.0), tensor(1.2e-5)) != ""
    assert differs(tensor(1000.0), tensor(1000.009)) == ""
    assert differs(tensor(1000.0), tensor(1000.012)) != ""


def test_an_error_is_compared_by_type_and_by_what_it_names() -> None:
    wanted = Raised(("ValueError", "Exception"), "7 does not fit into 5", ("7", "5"))
    assert differs(wanted, Raised(("UnicodeError", "ValueError", "Exception"), "7 and 5")) == ""
    assert "does not name 5" in differs(wanted, Raised(("ValueError", "Exception"), "7"))
    silent = Raised(("ValueError", "Exception"), "too many", ("7", "5"))
    assert differs(silent, silent) == ""
    assert differs(silent, wanted) != ""
    assert "it should raise ValueError" in differs(wanted, Raised(("KeyError", "Exception"), "7 5"))
    assert "it should raise ValueError" in differs(wanted, 3)
    assert "raised KeyError: 7" in differs(3, Raised(("KeyError", "Exception"), "7"))


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]
)
def test_a_tensor_is_observed_as_it_is(dtype: torch.dtype) -> None:
    value = torch.tensor([[0, 1, 2], [3, 1, 0]]).to(dtype).T  # not contiguous
    frozen = freeze(value)
    assert isinstance(frozen, Array)
    assert frozen.shape == (3, 2)
    assert numbers(frozen).tolist() == value.double().tolist()


def test_empty_and_scalar_tensors_are_observed() -> None:
    for value in (torch.empty(0, 4), torch.tensor(3.5)):
        frozen = freeze(value)
        assert isinstance(frozen, Array)
        assert numbers(frozen).shape == tuple(value.shape)


def test_an_object_equal_to_everything_is_not() -> None:
    class Anything(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    assert differs(5, freeze(Anything(3))) != ""

    class Everything:
        def __eq__(self, other: object) -> bool:
            return True

    assert differs(5, freeze(Everything())) != ""


def test_an_observation_is_a_copy() -> None:
    observe = Observe()
    value = [torch.zeros(2)]
    observe("x", value)
    value[0] += 1
    value.append(torch.ones(1))
    assert compare(Observation("x", freeze([torch.zeros(2)])), observe.recorded[0].value) is None


def test_a_missing_or_surplus_observation_is_a_difference() -> None:
    one, two = Observation("a", 1), Observation("b", 2)
    both = CheckRun("t", Ending.RETURNED, (one, two))
    assert first_departure(both, CheckRun("t", Ending.RETURNED, (one,))) is not None
    assert first_departure(CheckRun("t", Ending.RETURNED, (one,)), both) is not None
    assert first_departure(both, CheckRun("t", Ending.RETURNED, (two, one))) is not None
    assert same_run(both, CheckRun("t", Ending.RETURNED, (one, two)))
