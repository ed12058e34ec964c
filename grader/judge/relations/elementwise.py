"""What holds of each value by itself, wherever it stands: a factor, a sign, all the same, NaN."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile

import numpy as np

from grader.judge.numbers import Numbers
from grader.judge.relations.quantities import axis_name, figures, name_of
from grader.judge.relations.relation import ENOUGH, FAR, Pair, Relation

# Of values that are a thousand tolerances large, three figures are sure.
SURE = 1000
# How far a result may be off, beside the largest value, to be called nearly right.
NEARLY = 2e-3
MAKES_NAN = "A softmax gives that where all its scores are −∞ or are too large for exp; so do 0/0 and ∞ − ∞."
FUNCTIONS: tuple[tuple[str, str, Callable[[Numbers], Numbers]], ...] = (
    ("square", "the square of what it should be", np.square),
    ("square root", "the square root of what it should be", np.sqrt),
    ("exponential", "e to the power of what it should be", np.exp),
    ("logarithm", "the natural logarithm of what it should be", np.log),
    ("reciprocal", "1 divided by what it should be", np.reciprocal),
    ("complement", "1 minus what it should be", lambda values: 1 - values),
    ("absolute value", "what it should be without its sign", np.abs),
    ("cut at zero", "what it should be, with 0 in place of what is negative", lambda values: np.maximum(values, 0)),
)


def not_a_number(pair: Pair) -> Relation | None:
    """NaN everywhere, or in whole rows."""
    if not pair.is_same_shape or not pair.actual.size:
        return None
    nan = np.isnan(pair.actual) & ~np.isnan(pair.expected)
    if nan.all() and nan.size >= ENOUGH:
        return Relation("all NaN", f"Every value is NaN, which is not a number. {MAKES_NAN}")
    if not nan.any() or nan.ndim < 2 or pair.scattered or nan.shape[-1] < 2:
        return None
    rows = np.asarray(nan.all(axis=-1))
    if (nan & ~rows[..., None]).any():
        return None
    rest = " All else is right." if not (pair.off & ~nan).any() else ""
    return Relation("NaN rows", f"{_rows_in_words(rows)} NaN from end to end.{rest} {MAKES_NAN}")


def _rows_in_words(rows: np.ndarray) -> str:
    """`Row 0 of each matrix is`, or how many."""
    of_each = rows.reshape(-1, rows.shape[-1])
    which = np.flatnonzero(of_each[0])
    alike = bool((of_each == of_each[0]).all())
    if alike and which.size <= 4:
        where = " of each matrix" if len(of_each) > 1 else ""
        named = " and ".join(filter(None, [", ".join(map(str, which[:-1])), str(which[-1])]))
        return f"{'Row' if which.size == 1 else 'Rows'} {named}{where} {'is' if which.size == 1 else 'are'}"
    count = int(rows.sum())
    return f"{count:,} of {rows.size:,} rows {'is' if count == 1 else 'are'}"


def all_equal(pair: Pair) -> Relation | None:
    """One and the same number everywhere, or along an axis, where the expected ones differ."""
    actual = pair.actual
    if not pair.is_same_shape or actual.size < ENOUGH or not np.isfinite(actual).all():
        return None
    if not pair.varies(pair.expected, 2):
        return None
    first = actual.flat[0]
    if pair.is_near(np.full_like(actual, first)):
        said = bool(first) if pair.is_bool else figures(first)
        name = "all zero" if first == 0 and not pair.is_bool else "all equal"
        return Relation(name, f"Every value is {said}, where the expected ones differ.")
    if pair.scattered or actual.ndim < 2:
        return None
    for axis in range(actual.ndim):
        slices = np.moveaxis(actual, axis, 0)
        is_one = pair.is_near(np.broadcast_to(slices[:1], slices.shape), slices)
        differ = not pair.is_near(*(np.moveaxis(pair.expected, axis, 0)[part] for part in (slice(1), slice(1, 2))))
        if len(slices) > 1 and is_one and differ and pair.varies(slices[0]):
            where = axis_name(axis, actual.ndim)
            return Relation(
                f"constant along axis {axis}",
                f"Yours is the same at every position of {where}, where the expected values differ.",
            )
    return None


def sign(pair: Pair) -> Relation | None:
    """All signs exchanged, or True and False."""
    if not pair.is_same_shape:
        return None
    if pair.is_bool:
        enough = pair.expected.size > ENOUGH and pair.varies(pair.expected, 2)
        if enough and pair.is_near(1 - pair.expected):
            return Relation("inverted", "Everywhere, True and False are exchanged.")
        return None
    if pair.varies(pair.expected) and pair.is_near(-pair.expected):
        return Relation("sign", "Every value has the wrong sign, and is right otherwise.")
    return None


def factor(pair: Pair) -> Relation | None:
    """All values are the expected ones times one number."""
    if pair.is_bool or not pair.is_same_shape:
        return None
    by = _factor_between(pair, pair.expected, pair.actual)
    if by is None:
        return None
    known = "" if _is_coarse(pair) else name_of(by, () if pair.scattered else pair.expected.shape)
    return Relation(f"constant factor {figures(by)}", f"Every value is {_times(by, known)}.")


def _is_coarse(pair: Pair) -> bool:
    """Is the tolerance so large that a number could not be told from its neighbours?"""
    return pair.tolerance > 1e-4


def _times(by: float, known: str) -> str:
    """How many times what it should be."""
    minus = "minus " if by < 0 else ""
    name, _, rest = known.partition(" (")
    rest = f" ({rest}" if rest else ""
    if name == "2":
        return f"{minus}twice what it should be"
    if name == "1/2":
        return f"{minus}half of what it should be"
    if name.isdigit():
        return f"{minus}{name} times what it should be{rest}"
    if not name:
        return f"{figures(by)} times what it should be"
    if name.startswith("1/") and name[2:].isdigit():
        return f"{minus}{name} of what it should be{rest}"
    is_plain = abs(float(figures(by)) / by - 1) < 1e-6 and name[0].isdigit()
    return f"{figures(by)} times what it should be" + ("" if is_plain else f": {minus}{name}{rest}")


def _factor_between(pair: Pair, expected: Numbers, actual: Numbers) -> float | None:
    """The one number by which all are multiplied, if there is one and enough values say so."""
    finite = np.isfinite(expected) & np.isfinite(actual)
    wanted, got = expected[finite], actual[finite]
    if not wanted.size:
        return None
    largest = float(np.abs(wanted).max())
    square = float(((wanted / largest) ** 2).sum()) if largest else 0.0
    by = float((wanted / largest * (got / largest)).sum() / square) if square else 0.0
    if not np.isfinite(by) or by == 0 or abs(by - 1) < NEARLY or not pair.is_near(by * expected, actual):
        return None
    sure = (np.abs(wanted) > SURE * pair.tolerance) & (np.abs(got) > SURE * pair.tolerance)
    return by if pair.varies(wanted[sure]) and pair.varies(got[sure]) else None


def offset(pair: Pair) -> Relation | None:
    """All values are the expected ones plus one number."""
    if pair.is_bool or not pair.is_same_shape:
        return None
    by = _offset_between(pair, pair.expected, pair.actual)
    if by is None:
        return None
    known = "" if _is_coarse(pair) else name_of(by, ())
    what = f"{figures(abs(by))} ({known})" if known.startswith("ln") else figures(abs(by))
    return Relation(
        f"offset {figures(by)}", f"Every value is {what} {'more' if by > 0 else 'less'} than it should be."
    )


def _offset_between(pair: Pair, expected: Numbers, actual: Numbers) -> float | None:
    finite = np.isfinite(expected) & np.isfinite(actual)
    wanted, got = expected[finite], actual[finite]
    if not wanted.size:
        return None
    by = float((got - wanted).mean()) if pair.tolerance else float(got[0] - wanted[0])
    magnitude = 1 + float(np.abs(got).max())
    if (
        not np.isfinite(by)
        or abs(by) <= FAR * pair.tolerance * magnitude
        or not pair.is_near(expected + by, actual)
    ):
        return None
    return by if pair.varies(np.append(wanted, got)) and pair.varies(wanted) and pair.varies(got) else None


def function(pair: Pair) -> Relation | None:
    """Each value is a well-known function of the expected one."""
    if pair.is_bool or not pair.is_same_shape or not pair.tolerance:
        return None
    if not pair.varies(pair.expected) or not pair.varies(pair.actual):
        return None
    for name, words, of in FUNCTIONS:
        wanted = of(pair.expected)
        if pair.is_near(wanted) and pair.varies(pair.expected[pair.off]):
            return Relation(name, f"Every value is {words}.")
    return None


def by_slice(pair: Pair) -> Relation | None:
    """Each row has a factor or an offset of its own, or each column has."""
    if pair.is_bool or pair.scattered or not pair.is_same_shape or pair.expected.ndim < 2 or not pair.tolerance:
        return None
    width = pair.expected.shape[-1]
    wanted, got = pair.expected.reshape(-1, width), pair.actual.reshape(-1, width)
    for unit, one, other in (("row", wanted, got), ("column", wanted.T, got.T)):
        if not 1 < len(one) <= 1000 or one.shape[1] <= ENOUGH:
            continue
        for name, between in (("factor", _factor_between), ("offset", _offset_between)):
            each = (_unless_right(pair, between, *rows) for rows in zip(one, other, strict=True))
            found = list(takewhile(lambda by: by is not None, each))  # most often the first one says it all
            if len(found) == len(one) and sum(by != NONE_NEEDED for by in found) > 1:
                does = "times a number" if name == "factor" else "plus a number"
                says = (
                    f"Each {unit} is right up to a {name}: {does} of its own, which differs from {unit} to {unit}."
                )
                return Relation(f"{name} of each {unit}", says)
    return None


NONE_NEEDED = 0.0


def _unless_right(
    pair: Pair, between: Callable[[Pair, Numbers, Numbers], float | None], wanted: Numbers, got: Numbers
) -> float | None:
    return NONE_NEEDED if pair.is_near(wanted, got) else between(pair, wanted, got)


def sums(pair: Pair) -> Relation | None:
    """Rows that should sum to 1 and do not."""
    expected, actual = pair.expected, pair.actual
    if pair.scattered or not pair.is_same_shape or expected.ndim < 2 or not pair.tolerance or not expected.size:
        return None
    width = expected.shape[-1]
    if width < 2 or expected.size < 2 * width or (expected < 0).any() or not np.isfinite(actual).all():
        return None
    ones = np.ones(expected.shape[:-1])
    totals = actual.sum(axis=-1)
    is_distribution = pair.is_near(ones, expected.sum(axis=-1)) and not set(np.unique(expected)) <= {0.0, 1.0}
    if not is_distribution or np.abs(totals - 1).max() <= FAR * pair.tolerance:
        return None
    low, high = figures(totals.min()), figures(totals.max())
    reach = f"from {low} to {high}" if low != high else low
    columns = actual.sum(axis=-2)
    if actual.shape[-2] > 1 and pair.is_near(np.ones(columns.shape), columns):
        return Relation("columns sum to 1", "Each row should sum to 1. In yours each column does.")
    return Relation("rows do not sum to 1", f"Each row should sum to 1. The sums of yours: {reach}.")


def nearly(pair: Pair) -> Relation | None:
    """Off by very little: another way to round, or a formula that is nearly the same."""
    expected, actual = pair.expected, pair.actual
    if pair.is_bool or not pair.tolerance or not pair.is_same_shape or not np.isfinite(actual).all():
        return None
    if not np.isfinite(expected).all() or not pair.varies(expected):
        return None
    worst, largest = float(np.abs(expected - actual).max()), float(np.abs(expected).max())
    if not 0 < worst <= NEARLY * largest:
        return None
    for name, held in (("float16", _is_float16), ("bfloat16", _is_bfloat16)):
        if held(actual) and not held(expected):
            says = f"Nearly right: your values are all ones that a {name} can hold, and so are rounded."
            return Relation(f"rounded to {name}", says)
    says = (
        f"Nearly right: off by {figures(worst)} at most, where values go up to {figures(largest)}. Usually that is "
        "an approximation, or a small constant such as eps of another size or in another place."
    )
    return Relation("nearly equal", says)


def _is_float16(values: Numbers) -> bool:
    return bool((values.astype(np.float16).astype(np.float64) == values).all())


def _is_bfloat16(values: Numbers) -> bool:
    single = values.astype(np.float32)
    return bool((single == values).all() and not (single.view(np.uint32) & 0xFFFF).any())
