"""Relations: each that is planted is found and said, and none is claimed where none holds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grader.course.exercise import Exercise
from grader.judge.compare import compare
from grader.judge.relations.find import find_relation
from grader.judge.relations.relation import LARGEST, Relation
from grader.judge.results import ExerciseResult, Report
from grader.protocol.runs import CHANGED_INPUTS, Observation
from grader.protocol.values import Array, Opaque, Raised, Value
from grader.report import json as json_report
from grader.report import junit
from tests.mini import SOLUTION, with_body

few = settings(max_examples=6, deadline=None, derandomize=True, database=None)
Numbers = npt.NDArray[np.float64]
shapes = st.lists(st.integers(3, 6), min_size=2, max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)


def tensor(values: npt.ArrayLike, dtype: str = "float32") -> Array:
    array = np.asarray(values).astype(dtype)
    return Array(dtype, array.shape, array.tobytes())


def relation(expected: Value, actual: Value, tolerance: float = 1e-5, name: str = "x") -> Relation | None:
    return find_relation(Observation(name, expected, tolerance), actual)


def name_of(expected: Value, actual: Value, tolerance: float = 1e-5) -> str:
    found = relation(expected, actual, tolerance)
    return found.name if found else ""


def normal(shape: tuple[int, ...], seed: int) -> Numbers:
    return np.random.default_rng(seed).normal(size=shape)


def softmax(values: Numbers, axis: int) -> Numbers:
    powers = np.exp(values)
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def with_part(values: Numbers, part: object, replacement: float | Numbers) -> Numbers:
    changed = values.copy()
    changed[part] = replacement  # type: ignore[index]
    return changed


def reordered(values: Numbers, axis: int) -> Numbers:
    """The last three of an axis in another order, which is no rotation and not backwards."""
    count = values.shape[axis]
    order = [*range(count - 3), count - 2, count - 3, count - 1] if count > 3 else [1, 0, 2]
    return values.take(order, axis=axis)


# How each relation is planted into a random array, and what it is called then.
PLANTED: dict[str, tuple[Callable[[Numbers], Numbers], str]] = {
    "NaN everywhere": (lambda x: x * np.nan, "all NaN"),
    "a NaN row": (lambda x: with_part(x, (..., 1, slice(None)), np.nan), "NaN rows"),
    "zero": (lambda x: x * 0, "all zero"),
    "one number": (lambda x: x * 0 + 0.25, "all equal"),
    "the first row in each place": (lambda x: np.repeat(x[:1], len(x), axis=0), "constant along axis 0"),
    "sign": (lambda x: -x, "sign"),
    "factor": (lambda x: x * 8**0.5, "constant factor 2.828"),
    "negative factor": (lambda x: x * -0.3, "constant factor -0.3"),
    "offset": (lambda x: x + 3.5, "offset 3.5"),
    "square": (lambda x: x**2, "square"),
    "exponential": (np.exp, "exponential"),
    "absolute value": (np.abs, "absolute value"),
    "cut at zero": (lambda x: np.maximum(x, 0), "cut at zero"),
    "complement": (lambda x: 1 - x, "complement"),
    "first axes exchanged": (lambda x: x.swapaxes(0, 1), ("transposed", "axes 0 and 1 exchanged")),  # type: ignore[dict-item]
    "backwards": (lambda x: x[::-1], "reversed along axis 0"),
    "backwards in the last axis": (lambda x: x[..., ::-1], "reversed along axis {last}"),
    "rotated": (lambda x: np.roll(x, 1, axis=-1), "rolled along axis {last}"),
    "another order": (lambda x: reordered(x, 0), "permuted along axis 0"),
    "another order of columns": (lambda x: reordered(x, -1), "permuted along axis {last}"),
    "one too early": (lambda x: np.concatenate([x[1:], x[:1] + 9]), "shifted by -1 along axis 0"),
    "one too late": (lambda x: np.concatenate([x[:1] + 9, x[:-1]]), "shifted by 1 along axis 0"),
    "flat": (lambda x: x.ravel(), "another shape"),
    "one more axis": (lambda x: x[:, None], "axis of size 1"),
    "without its last": (lambda x: x[:-1], "1 missing at the end"),
    "without its first": (lambda x: x[:, 1:], "1 missing at the beginning"),
    "one too many": (lambda x: np.concatenate([x, x[:1]]), "1 too many at the end"),
    "first right": (lambda x: with_part(x, slice(1, None), x[1:] + x[1:] ** 3 + 1), "only the first right"),
    "first wrong": (lambda x: with_part(x, slice(1), x[:1] + x[:1] ** 3 + 1), "only the first wrong"),
    "last wrong": (lambda x: with_part(x, slice(-1, None), x[-1:] + x[-1:] ** 3 + 1), "only the last wrong"),
    "a factor for each row": (
        lambda x: x * (2 + np.arange(x[..., 0].size).reshape(x.shape[:-1]))[..., None],
        "factor of each row",
    ),
    "an offset for each column": (lambda x: x + 2 + np.arange(x.shape[-1]) ** 2, "offset of each column"),
    "somewhere else": (lambda x: shuffled(x), "other order"),
    "nearly": (lambda x: x + 3e-4 * np.cos(100 * x), "nearly equal"),
    "rounded": (lambda x: x.astype(np.float16).astype(np.float64), "rounded to float16"),
}


def shuffled(values: Numbers) -> Numbers:
    """All values moved, along no axis alone."""
    return np.random.default_rng(5).permutation(values.ravel()).reshape(values.shape)


def expected_names(kind: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    names = PLANTED[kind][1]
    return tuple(
        name.format(last=len(shape) - 1) for name in ((names,) if isinstance(names, str) else tuple(names))
    )


# Rows of three values are too short to tell a factor of each.
long_shapes = st.lists(st.integers(4, 6), min_size=2, max_size=4).map(tuple)


@pytest.mark.parametrize("kind", PLANTED)
@few
@given(shape=long_shapes, seed=seeds)
def test_what_is_planted_is_found(kind: str, shape: tuple[int, ...], seed: int) -> None:
    x = normal(shape, seed)
    found = name_of(tensor(x), tensor(PLANTED[kind][0](x)))
    assert found.startswith(expected_names(kind, shape))


# Where a value that does not fit changes nothing of what is said: it is in a part that may be anything.
FREE = {
    "one too early": -1,
    "one too late": 0,
    "one too many": -1,
    "first right": -1,
    "first wrong": 0,
    "last wrong": -1,
}


@pytest.mark.parametrize("kind", [kind for kind in PLANTED if kind != "a NaN row"])
@few
@given(shape=long_shapes, seed=seeds)
def test_one_value_that_does_not_fit_is_enough_against_it(kind: str, shape: tuple[int, ...], seed: int) -> None:
    x = normal(shape, seed)
    planted = np.array(PLANTED[kind][0](x))
    for place in {0, -1} - {FREE.get(kind)}:
        actual = planted.copy()
        actual.flat[place] = 7.125 if np.isnan(actual.flat[place]) else actual.flat[place] + 1.7
        found = name_of(tensor(x), tensor(actual))
        assert not found.startswith(expected_names(kind, shape))


def test_beside_a_row_of_nan_all_else_may_be_wrong() -> None:
    x = normal((2, 4, 5), 8)
    row = with_part(x, (..., 0, slice(None)), np.nan)
    found, other = relation(tensor(x), tensor(row)), relation(tensor(x), tensor(with_part(row, (1, 2, 3), 9)))
    assert found is not None and other is not None
    assert found.says.startswith("Row 0 of each matrix is NaN from end to end. All else is right.")
    assert other.name == "NaN rows" and "All else" not in other.says
    assert name_of(tensor(x), tensor(with_part(row, (1, 2, 3), np.nan))) != "NaN rows"


@few
@given(shape=shapes, seed=seeds)
def test_independent_numbers_are_not_related(shape: tuple[int, ...], seed: int) -> None:
    x = normal((2, *shape), seed)
    assert relation(tensor(x[0]), tensor(x[1])) is None
    assert relation(tensor(x[0, 0]), tensor(x[1])) is None
    assert relation(x[0].ravel().tolist(), x[1].ravel().tolist()) is None


@few
@given(shape=st.tuples(st.integers(4, 6), st.integers(5, 7)), seed=seeds)
def test_independent_ids_and_masks_are_not_related(shape: tuple[int, int], seed: int) -> None:
    random = np.random.default_rng(seed)
    assert relation(*(tensor(random.integers(0, 50, shape), "int64") for _ in range(2))) is None
    assert relation(*(tensor(random.integers(0, 2, shape), "bool") for _ in range(2))) is None
    assert relation(*(random.integers(0, 50, 9).tolist() for _ in range(2))) is None


@few
@given(shape=shapes, seed=seeds)
def test_independent_probabilities_both_sum_to_one(shape: tuple[int, ...], seed: int) -> None:
    one, other = softmax(normal((2, *shape), seed), -1)
    assert relation(tensor(one), tensor(other)) is None


@few
@given(shape=shapes, seed=seeds)
def test_rows_that_should_sum_to_one(shape: tuple[int, ...], seed: int) -> None:
    x = normal(shape, seed)
    assert name_of(tensor(softmax(x, -1)), tensor(softmax(x, -2))) == "columns sum to 1"
    assert name_of(tensor(softmax(x, -1)), tensor(abs(normal(shape, seed + 1)))) == "rows do not sum to 1"


@few
@given(rows=st.integers(3, 5), columns=st.integers(3, 5), seed=seeds)
def test_reshaped_where_axes_should_be_exchanged(rows: int, columns: int, seed: int) -> None:
    x = normal((2, rows, columns, 4), seed)
    wanted = x.swapaxes(1, 2)
    assert name_of(tensor(wanted), tensor(x)).startswith(("axes 1 and 2", "another shape"))
    assert name_of(tensor(wanted), tensor(x.reshape(wanted.shape))).startswith(
        "reshaped instead" if rows != columns else "axes 1 and 2"
    )


@few
@given(size=st.integers(4, 8), seed=seeds)
def test_only_the_diagonal_or_one_side_of_it(size: int, seed: int) -> None:
    x = normal((2, size, size), seed)
    for where, part in (("on", np.eye(size)), ("above", np.triu(x[0], 1)), ("below", np.tril(x[1], -1))):
        changed = np.where(part != 0, np.cos(x) + 4, x)
        assert name_of(tensor(x), tensor(changed)) == f"wrong {where} the diagonal"


def test_masks() -> None:
    mask = np.triu(np.ones((5, 5), bool), 1)
    assert name_of(tensor(mask, "bool"), tensor(mask.T, "bool")) == "transposed"
    assert name_of(tensor(mask, "bool"), tensor(~mask, "bool")) == "inverted"
    assert name_of(tensor(mask, "bool"), tensor(np.triu(mask | True), "bool")) == "wrong on the diagonal"
    assert name_of(tensor(mask, "bool"), tensor(mask & False, "bool")) == "all equal"


def test_every_wrong_value_is_one_or_should_be() -> None:
    x = normal((4, 5), 1)
    hidden = x * (normal((4, 5), 2) > 0)
    assert name_of(tensor(x), tensor(hidden)) == "wrong ones are 0"
    assert name_of(tensor(hidden), tensor(x)) == "wrong ones should be 0"


@few
@given(
    where=st.sampled_from(["[0]", "['b']", "list"]), factor=st.sampled_from([0.125, 3.0, 14.0, -2.0]), seed=seeds
)
def test_several_tensors_are_looked_at_together(where: str, factor: float, seed: int) -> None:
    one, other = normal((3, 4), seed), normal((5,), seed + 1)
    if where == "list":
        expected, actual = [tensor(one), tensor(other)], [tensor(one * factor), tensor(other * factor)]
        assert name_of(expected, actual) == f"constant factor {factor:.4g}"
        assert not name_of(expected, [tensor(one * factor), tensor(other * factor * 1.5)])
        return
    found = (
        relation([tensor(one), 5], [tensor(one * factor), 5])
        if where == "[0]"
        else relation({"a": 5, "b": tensor(one)}, {"a": 5, "b": tensor(one * factor)})
    )
    assert found is not None
    assert found.name == f"constant factor {factor:.4g}"
    assert found.says.startswith(f"At {where}: every value")


@pytest.mark.parametrize(
    "factor, said",
    [
        (2.0, "Every value is twice what it should be."),
        (0.5, "Every value is half of what it should be."),
        (-2.0, "Every value is minus twice what it should be."),
        (8**0.5, "2.828 times what it should be: √8 (8 is the size of the last axis)."),
        (8**-0.5, "0.3536 times what it should be: 1/√8 (8 is the size of the last axis)."),
        (5.0, "Every value is 5 times what it should be (that is the size of axis 1)."),
        (1 / 15, "Every value is 1/15 of what it should be (15 is 3 times 5, the sizes of axes 0 and 1)."),
        (8 / 7, "1.143 times what it should be: 8/7 (8 is the size of the last axis)."),
        (np.log(2), "0.6931 times what it should be: ln 2."),
        (1 / np.log(2), "1.443 times what it should be: 1/ln 2."),
        (11.0, "Every value is 11 times what it should be."),
        (2.71, "Every value is 2.71 times what it should be."),
        (0.8, "Every value is 0.8 times what it should be."),
    ],
)
def test_a_known_factor_has_a_name(factor: float, said: str) -> None:
    x = normal((3, 5, 8), 3)
    found = relation(tensor(x), tensor(x * factor))
    assert found is not None
    assert found.says.endswith(said)


def test_too_few_values_are_no_relation() -> None:
    assert relation(tensor([1.5]), tensor([3.0])) is None
    assert relation(tensor([1.5, 2.5]), tensor([3.0, 5.0])) is None
    assert relation(tensor([1.5, 1.5, 1.5, 1.5]), tensor([3.0, 3.0, 3.0, 3.0])) is None
    assert relation(tensor([1.0, 2.0]), tensor([2.0, 1.0])) is None
    assert name_of(tensor([1.5, 2.5, 4.0]), tensor([3.0, 5.0, 8.0])) == "constant factor 2"
    assert relation(2.0, 4.0) is None
    assert relation([1, 2], [2, 3]) is None
    assert relation(["a", "b"], ["a", "b", "c"]) is None
    assert relation(["a", "b", "c"], ["a", "b"]) is None


def test_what_is_nearly_right_is_not_said_to_be_a_factor() -> None:
    x = normal((4, 5), 9)
    assert name_of(tensor(x), tensor(x * 1.0003)) == "nearly equal"
    assert not name_of(tensor(x, "float64"), tensor(x * (1 + 1e-8), "float64"), 1e-12).startswith("constant")


def test_values_within_the_tolerance_say_nothing() -> None:
    """Any factor fits numbers that are as small as the tolerance."""
    tiny = normal((4, 5), 4) * 1e-6
    tiny[0, 0] = 5.0
    assert relation(tensor(tiny), tensor(with_part(tiny * 3, (0, 1), 0.3))) is None
    assert not name_of(tensor(tiny), tensor(tiny * 3)).startswith("constant factor")


words = st.text("abcdefg ", min_size=8, max_size=30).filter(lambda text: all(a != b for a, b in pairwise(text)))
TEXTS: dict[str, tuple[Callable[[str], str], str]] = {
    "backwards": (lambda text: text[::-1], "reversed"),
    "capitals": (str.upper, "case"),
    "a blank at the end": (lambda text: f"{text} ", "white space at the ends"),
    "more blanks": (lambda text: text[:4] + "  " + text[4:], "white space"),
    "the last character": (lambda text: text[:-1], "1 missing at the end"),
    "the first three": (lambda text: text[3:], "3 missing at the beginning"),
    "more at the end": (lambda text: f"{text}xy", "2 too many at the end"),
    "one within": (lambda text: text[:3] + text[4:], "one character missing"),
    "one more within": (lambda text: text[:3] + "x" + text[3:], "one character too many"),
    "another one": (lambda text: text[:3] + "x" + text[4:], "one character differs"),
    "none": (lambda text: "", "empty"),
}


@pytest.mark.parametrize("kind", TEXTS)
@few
@given(text=words)
def test_texts(kind: str, text: str) -> None:
    letters = f"q{text.strip() or 'abc'}r s" if kind != "one within" else f"qzw{text}r s".replace(" ", "_")
    changed, name = TEXTS[kind]
    assert name_of(letters, changed(letters)) == name


@few
@given(one=st.text("abcdefgh", min_size=8), other=st.text("ijklmnop", min_size=8))
def test_independent_texts_are_not_related(one: str, other: str) -> None:
    assert relation(one, other) is None
    assert relation(one.encode(), other.encode()) is None
    assert relation(list(one), list(other)) is None


def test_bytes_off_by_one() -> None:
    assert name_of(b"token", bytes(byte + 1 for byte in b"token")) == "offset 1"
    assert name_of(b"token", b"nekot") == "reversed"
    assert name_of(b"token", b"toke") == "1 missing at the end"


ITEMS: dict[str, tuple[Callable[[list[Value]], list[Value]], str]] = {
    "backwards": (lambda items: items[::-1], "reversed"),
    "another order": (lambda items: [items[1], items[0], *items[2:]], "permuted"),
    "without the last": (lambda items: items[:-1], "1 missing at the end"),
    "without one": (lambda items: items[:2] + items[3:], "item 2 missing"),
    "one more": (lambda items: [*items, "zz"], "1 too many at the end"),
    "moved": (lambda items: [*items[1:], "zz"], "shifted by -1"),
    "none": (lambda items: [], "empty"),
}


@pytest.mark.parametrize("kind", ITEMS)
@few
@given(items=st.lists(st.text("abcdef", min_size=1, max_size=5), min_size=5, max_size=9, unique=True))
def test_lists(kind: str, items: list[str]) -> None:
    # "a", "aa" and "aa", "a" are the same text cut elsewhere as well.
    assume(kind != "another order" or items[0] + items[1] != items[1] + items[0])
    assert name_of(list(items), ITEMS[kind][0](list(items))) == ITEMS[kind][1]


@few
@given(ids=st.lists(st.integers(0, 400), min_size=6, max_size=12, unique=True))
def test_ids(ids: list[int]) -> None:
    assert name_of(list(ids), [one + 256 for one in ids]) == "offset 256"
    assert name_of(list(ids), [*ids[:-1]]) == "1 missing at the end"
    assert name_of([ids, ids[::-1]], [[one - 1 for one in part] for part in (ids, ids[::-1])]) == "offset -1"


def test_pieces_of_a_text_cut_elsewhere() -> None:
    assert name_of(["to", "ken", " s"], ["tok", "en", " s"]) == "cut elsewhere"
    assert name_of([b"to", b"ken"], [b"token"]) == "cut elsewhere"


def test_two_exchanged_and_values_under_other_keys() -> None:
    one, other = tensor(normal((3, 4), 1)), tensor(normal((2, 5), 2))
    assert name_of((one, other), (other, one)) == "exchanged"
    assert name_of({"q": one, "k": other}, {"q": other, "k": one}) == "other keys"


@pytest.mark.parametrize(
    "expected, actual, name",
    [
        (tensor([1.5, 2.5]), tensor([1.5, 2.5], "float64"), "dtype float64 for float32"),
        (tensor([1, 2], "int64"), tensor([1, 2], "int32"), "dtype int32 for int64"),
        (3, 3.0, "float for int"),
        (1, True, "bool for int"),
        (3.5, tensor(3.5), "float32 for float"),
        (3, tensor(3, "int64"), "int64 for int"),
        ([1, 2], tensor([1, 2], "int64"), "int64 for list"),
        (tensor([1, 2], "int64"), [1, 2], "list for int64"),
        ([1, "a"], (1, "a"), "tuple for list"),
        ("é", "é".encode(), "bytes for text"),
        ("ab", ["a", "b"], "text in pieces"),
        ("17", 17, "int for str"),
        (5, [5], "in a list"),
        (["a"], "a", "not in a list"),
    ],
)
def test_the_right_content_of_another_kind(expected: Value, actual: Value, name: str) -> None:
    assert name_of(expected, actual) == name


@pytest.mark.parametrize(
    "expected, actual",
    [
        (tensor([1.5, 2.5]), tensor([1.5, 2.6], "float64")),
        (3, 3.5),
        (3.5, tensor([3.5, 3.5])),
        ([1, "a"], (1, "b")),
        ("ab", ["a", "c"]),
        ("é", b"e"),
        (5, [6]),
        (None, 3),
        (Raised(("ValueError", "Exception"), "no"), 3),
    ],
)
def test_other_content_of_another_kind_is_not_related(expected: Value, actual: Value) -> None:
    assert relation(expected, actual) is None


def test_a_missing_gradient_and_a_changed_input() -> None:
    gradient = relation(tensor([1.0, 2.0]), None, name="gradient of x")
    assert gradient is not None and gradient.name == "no gradient"
    assert relation(tensor([1.0, 2.0]), None, name="context") is None
    changed = relation([], ["normal(2, 7, 8)"], name=CHANGED_INPUTS)
    assert changed is not None
    assert "of shape (2, 7, 8)" in changed.says


def test_two_calls_that_should_give_the_same_or_should_not() -> None:
    one, other, third = (tensor(normal((3, 4), seed)) for seed in range(3))
    earlier = (Observation("first", one),)
    differs = find_relation(Observation("once more", one), third, earlier)
    assert differs is not None and differs.name == "differs from an earlier one"
    same = find_relation(Observation("other", other), one, earlier)
    assert same is not None and same.name == "same as an earlier one"
    assert find_relation(Observation("other", other), third, earlier) is None
    refused = Observation("too many", Raised(("ValueError", "Exception"), "too many"))
    assert find_relation(refused, one, earlier) is None
    constant = (Observation("first", tensor(np.ones((3, 4)))),)
    assert find_relation(Observation("more", tensor(np.ones((3, 4)))), third, constant) is None


def deep(levels: int, inner: Value) -> Value:
    return inner if levels == 0 else [deep(levels - 1, inner), 1]


HOSTILE: list[Value] = [
    None, True, 0, -(10**400), 10**400, float("nan"), float("inf"), -float("inf"), 1e308,
    "", "x" * 10**6, "\ud800é\ud800", b"", b"\xff" * 1000, [], (), {}, [[]], [[1], [1, 2]], [1, 10**400, 3],
    [float("nan")] * 5, [True, 1, 1.0], list(range(30_000)), [str(number) for number in range(3000)],
    [2**61 - 1 + number for number in range(2500)], deep(11, 10**400), deep(11, "x"), {1: 1, "1": [2]},
    {float("nan"): 1, (): 2}, Opaque("function"), Raised(("ValueError", "Exception"), "x" * 9000),
    tensor(np.zeros((0, 3))), tensor(np.zeros((3, 0, 2))), tensor(5.0), tensor(np.nan),
    tensor([np.nan, np.inf, -np.inf, 1.0, 0.0]), tensor([[np.inf] * 3] * 3), tensor([[3e38] * 4, [-3e38] * 4]),
    tensor([-(2**63), 2**63 - 1, 0], "int64"), tensor([0, 255, 1], "uint8"), tensor(np.arange(LARGEST + 1)),
    tensor(np.ones((1,) * 16)), tensor(np.arange(24).reshape(2, 3, 4)), Array("bfloat16", (2, 2), b"\x80\x7f" * 4),
    [tensor([1.0]), tensor([[1.0]])], [tensor([1.0]), None], {"a": tensor([1.0, 2.0, 3.0]), "b": "x"},
    [tensor(np.arange(100)) for _ in range(50)],
]  # fmt: skip


def test_nothing_that_comes_makes_it_fail() -> None:
    for expected in HOSTILE:
        for actual in HOSTILE:
            earlier = (Observation("first", actual), Observation("second", expected))
            found = find_relation(Observation("gradient", expected), actual, earlier)
            assert found is None or (found.name and found.says.endswith("."))


simple = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.binary(max_size=12)
)
values = st.recursive(
    simple, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner, max_size=4)
)


@settings(few, max_examples=40)
@given(expected=values, actual=values)
def test_whatever_is_found_is_said_in_sentences(expected: Value, actual: Value) -> None:
    found = relation(expected, actual)
    assert found is None or found.says.endswith(".")


def test_what_is_too_large_is_not_looked_at() -> None:
    x = normal((LARGEST + 1,), 6)
    assert relation(tensor(x), tensor(x * 2)) is None
    assert relation(tensor(x[1:]), tensor(x[1:] * 2)) is not None


def test_it_is_said_where_no_known_mistake_explains_more(
    grade: Callable[[str], ExerciseResult], exercise: Exercise
) -> None:
    halved = grade(with_body("return x"))
    check = next(check for check in halved.checks if check.name == "test_double")
    assert check.difference is not None
    assert check.difference.relation == "constant factor 0.5"
    assert check.told == f"{check.message}\nEvery value is half of what it should be."
    report = Report(17, "", {}, (halved,), 1)
    assert '"relation": "constant factor 0.5"' in json_report.render(report)
    assert "half of what it should be" in junit.render(report)
    tripled = grade(with_body("return x * 3"))
    named = next(check for check in tripled.checks if check.name == "test_double")
    assert named.told == named.message == "You triple."
    assert named.difference is not None and not named.difference.relation
    assert all(check.told == check.message for check in grade(SOLUTION).checks)


def test_a_difference_is_there_to_be_explained() -> None:
    """The tests above plant what the judge sees as wrong."""
    x = normal((4, 5), 7)
    assert compare(Observation("x", tensor(x)), tensor(x + 3e-4 * np.cos(100 * x))) is not None
