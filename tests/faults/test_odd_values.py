"""What a learner's code may return although nobody would think of it: wrong, said in a line, no error of ours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from grader.judge.compare import compare
from grader.judge.picture import draw
from grader.judge.results import ExerciseResult, Status
from grader.judge.wording import show
from grader.protocol.runs import Observation
from grader.protocol.values import Array, Opaque, Raised
from tests.mini import SOLUTION


@pytest.mark.parametrize(
    "returned, said",
    [
        ("10**5000", "is an int; it should be a float32 tensor"),
        ("[10**5000]", "is a list; it should be"),
        ("2**10_000_000", "is a value too large to compare"),
        ("torch.zeros(3_000_000)", "is a float32 tensor of shape (3000000,), too large to compare"),
        ("torch.zeros(0, 2**39, 2**20)", "is a float32 tensor of shape (0, 549755813888, 1048576), too large"),
        ("torch.zeros((1,) * 20)", "is a float32 tensor of shape (1, 1, 1"),
        ("torch.zeros((6,) * 7)", "has shape (6, 6, 6, 6, 6, 6, 6); it should be (2, 3)"),
        ("[0.5] * 150_000", "is a list of length 150,000, too large to compare"),
        ("{i * (2**61 - 1): 0 for i in range(500)}", "is a dict of length 500, too large to compare"),
        ("'\\ud800' * 1_500_000", "is a str of length 1,500,000, too large to compare"),
        ("type('T' * 5000, (), {})()", "is an object of type TTT"),
        ("{float('nan'): 1, True: 2, -1: 3, -2: 4}", "is a dict; it should be"),
    ],
)
def test_whatever_comes_back_is_wrong(grade: Callable[[str], ExerciseResult], returned: str, said: str) -> None:
    result = grade(SOLUTION.replace("return x * 2", f"return {returned}"))
    assert result.status is Status.WRONG
    assert result.first_open and said in result.first_open.message
    assert len(result.first_open.message) < 500
    others = [check.status for check in result.checks if check.name != "test_double"]
    assert others == [Status.PASSED, Status.PASSED]


def test_a_huge_integer_is_shown_by_its_length() -> None:
    found = compare(Observation("count", 3), 10**5000)
    assert found and found.actual == "an int of about 5,001 digits"
    assert show([1, (10**5000,), {-(10**5000): b"x"}]).startswith("[1, (an int of about 5,001 digits,), {an int of")


def test_of_a_long_value_the_beginning_is_shown() -> None:
    assert show(["a" * 10**6] * 1000) == "['" + "a" * 157 + "…"
    assert show(list(range(10**6)), 10) == "[0, 1, 2,…"
    assert show((1,)) == "(1,)" and show({"a": [Opaque("function"), 0.1]}) == "{'a': [<function>, 0.1]}"
    assert show(Raised(("E" * 1000,), "")) == "E" * 159 + "…"


def test_of_a_large_tensor_the_first_numbers_are_shown() -> None:
    data = np.arange(6**7, dtype="int32")
    assert show(Array("int32", (6,) * 7, data.tobytes())) == (
        "tensor of shape (6, 6, 6, 6, 6, 6, 6) that begins [0 1 2 3 4 5]"
    )
    assert show(Array("bool", (2, 2), b"\0\1\1\0")) == "tensor [[False  True]  [ True False]]"
    assert show(Array("float32", (0, 3), b"")) == "tensor []"


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "int16"])
def test_ids_have_no_tolerance(dtype: str) -> None:
    """Off by one in 20,000 is within 1e-4 of it, and another token."""
    high = min(20_000, int(np.iinfo(dtype).max) - 1)
    wanted, got = (Array(dtype, (1,), np.array([high + more], dtype).tobytes()) for more in (0, 1))
    found = compare(Observation("ids", wanted, 1e-4), got)
    assert found and (found.expected, found.actual) == (str(high), str(high + 1))
    assert compare(Observation("ids", wanted, 1e-4), wanted) is None


def test_large_integers_are_compared_to_the_last_bit() -> None:
    wanted, got = (Array("int64", (), np.array(2**53 + more).tobytes()) for more in (0, 1))
    found = compare(Observation("x", wanted), got)
    assert found and found.actual == "9007199254740993"


@pytest.mark.parametrize(
    "expected, actual",
    [({1: "a"}, {True: "a"}), ({1: "a"}, {1.0: "a"}), ({(1, 2): 0}, {(1.0, 2.0): 0})],
)
def test_keys_have_a_type(expected: dict[object, object], actual: dict[object, object]) -> None:
    assert compare(Observation("merges", expected), expected) is None
    found = compare(Observation("merges", expected), actual)
    assert found and "it should be an int" in found.summary


def test_the_name_of_a_type_is_shortened_wherever_it_is_said() -> None:
    long = Raised(("E" * 1000, "Exception"), "")
    for expected in (3, Raised(("KeyError", "Exception"), ""), [long]):
        found = compare(Observation("x", expected), long)
        assert found and len(found.summary) < 300


def test_a_picture_is_of_a_tensor_that_has_values_and_one_type() -> None:
    empty = Array("float32", (3, 0, 4), b"")
    assert draw(empty, empty, 1e-5) is None
    one, other = (Array(dtype, (2, 2), bytes(range(16))) for dtype in ("float32", "int32"))
    assert draw(one, other, 1e-5) is None
    endless = np.array([[np.inf, 0], [0, 0]], dtype="float32")
    picture = draw(Array("float32", (2, 2), bytes(16)), Array("float32", (2, 2), endless.tobytes()), 1e-5)
    assert picture and picture.actual == (("█", " "), (" ", " "))
