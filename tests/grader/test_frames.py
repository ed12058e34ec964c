"""The channel: what is written is read, and nothing else is ever taken for a result."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.protocol.frames import (
    MAGIC,
    PREFIX,
    VERSION,
    BadFrame,
    encode,
    read,
)
from grader.protocol.runs import CheckRun, Ending, Failure, Observation, Place
from grader.protocol.values import MAX_DEPTH, MAX_HEADER, MAX_TENSORS, MAX_VALUES, Array, Opaque, Raised
from tests.mini import reader

ARRAY = Array("float32", (2, 3), bytes(range(24)))
RETURNED = CheckRun(
    "test_x",
    Ending.RETURNED,
    (
        Observation("tensor", ARRAY, 1e-4),
        Observation("nested", {"a": [1, 2.5, None, True], (1, 2): (b"\xff", "é")}),
        Observation("big", 2**80),
        Observation("odd", [float("inf"), -0.0]),
        Observation("raised", Raised(("ValueError", "Exception"), "7 is too many", ("7",))),
        Observation("object", Opaque("function")),
        Observation("two tensors", [Array("bool", (), b"\x01"), Array("int64", (0, 4), b"")]),
    ),
    None,
    0.25,
    ("wrote /x (line 3)", "opened a socket (line 4)"),
)
FAILURE = Failure(("KeyError", "LookupError", "Exception"), "'x'", (Place("a.py", 3, "f"), Place("a.py", 9, "g")))
RAISED = CheckRun("test_x", Ending.RAISED, (Observation("first", 1),), FAILURE, 0.25)


COLLIDING = b'["d",[%s]]' % b",".join(b'[["i","0x%x"],0]' % (i * (2**61 - 1)) for i in range(10, 10_000))


def sent(run: CheckRun) -> CheckRun | None:
    return read(reader(encode(run)))


def with_header(frame: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The frame with another header, and its right length."""
    magic, version, size, blob_size = PREFIX.unpack(frame[: PREFIX.size])
    header = change(frame[PREFIX.size : PREFIX.size + size])
    rest = frame[PREFIX.size + size :]
    return PREFIX.pack(magic, version, len(header), blob_size) + header + rest


def test_what_is_written_is_read() -> None:
    take = reader(encode(RETURNED) + encode(RAISED))
    assert read(take) == RETURNED
    assert read(take) == RAISED
    assert read(take) is None


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(plain)
def test_every_plain_value_survives(value: object) -> None:
    run = CheckRun("test_x", Ending.RETURNED, (Observation("value", value),))
    assert sent(run) == run


def test_lone_surrogates_survive() -> None:
    halves = CheckRun("test_x", Ending.RETURNED, (Observation("two halves of one character", "\ud83d\ude42"),))
    assert read(reader(encode(halves))) == halves
    run = CheckRun("test_x", Ending.RETURNED, (Observation("\ud800", "\udfff"),))
    assert sent(run) == run


@pytest.mark.parametrize("run", [RETURNED, RAISED], ids=["returned", "raised"])
def test_a_frame_cut_anywhere_is_refused(run: CheckRun) -> None:
    frame = encode(run)
    for length in range(1, len(frame)):
        with pytest.raises(BadFrame):
            read(reader(frame[:length]))


@pytest.mark.parametrize(
    "run, old, new",
    [
        (RETURNED, b"[2,3]", b"[2,9]"),
        (RETURNED, b"[2,3]", b"[1,3]"),
        (RETURNED, b"[2,3]", b"[-2,-3]"),
        (RETURNED, b"[2,3]", b"[2.0,3]"),
        (RETURNED, b"[2,3]", b"[6" + b",1" * 16 + b"]"),
        (RETURNED, b"[0,4]", b"[0,549755813888,549755813888]"),
        (RETURNED, b'"float32"', b'"float99"'),
        (RETURNED, b'"float32"', b'["float32"]'),
        (RETURNED, b'["a",0]', b'["a",7]'),
        (RETURNED, b'["a",0]', b'["a",-3]'),
        (RETURNED, b'["a",0]', b"null"),
        (RETURNED, b'["a",2]', b'["a",1]'),
        (RETURNED, b"null,true", b"[" * 999 + b"]" * 999),
        (RETURNED, b"null,true", b'["l",[' * 13 + b"]]" * 13),
        (RETURNED, b"null,true", b'["f","0x1p+9999"]'),
        (RETURNED, b"null,true", b'["f","1.5"]'),
        (RETURNED, b"null,true", b'["i","0xff"]'),
        (RETURNED, b"null,true", b'["d",[[1,1],[true,1]]]'),
        (RETURNED, b"null,true", b'["d",[[["l",[]],1]]]'),
        (RETURNED, b"null,true", COLLIDING),
        (RETURNED, b"null,true", b'["x",0]'),
        (RETURNED, b"null,true", b"1" * 5000),
        (RETURNED, b"null,true", b"1.5"),
        (RETURNED, b"null,true", b'{"l":1,"":2}'),
        (RETURNED, b'"0x100000000000000000000"', b"0.0"),
        (RETURNED, b'["ValueError","Exception"]', b"[]"),
        (RETURNED, b'["ValueError","Exception"]', b'"ab"'),
        (RETURNED, b'"returned"', b'"approved"'),
        (RETURNED, b'"returned"', b'"raised"'),
        (RETURNED, b'"returned"', b'"timeout"'),
        (RETURNED, b'"seconds":0.25', b'"seconds":1e999'),
        (RETURNED, b'"seconds":0.25', b'"seconds":1' + b"0" * 400),
        (RETURNED, b'"seconds":0.25', b'"seconds":NaN'),
        (RETURNED, b'"seconds":0.25', b'"seconds":-0.25'),
        (RETURNED, b'"seconds":0.25', b'"seconds":0.250'),
        (RETURNED, b'"seconds":0.25', b'"seconds":0.25,"seconds":0.25'),
        (RETURNED, b'"seconds":0.25', b'"seconds":0.25,"passed":true'),
        (RETURNED, b'"seconds":0.25', b'"seconds": 0.25'),
        (RETURNED, b',"seconds":0.25', b""),
        (RETURNED, b",0.0001,", b",NaN,"),
        (RETURNED, b",0.0001,", b",1.5,"),
        (RETURNED, b",0.0001,", b",-1.0,"),
        (RETURNED, b'"refused":[', b'"refused":[' + b'"x",' * 19),
        (RETURNED, b'"refused":[', b'"refused":["' + b"x" * 301 + b'",'),
        (RETURNED, b'"refused":[', b'"refused":[7,'),
        (RAISED, b'"raised"', b'"returned"'),
        (RAISED, b'"raised"', b'"timeout"'),
        (RAISED, b'"raised"', b'"crashed"'),
        (RAISED, b'["KeyError","LookupError","Exception"]', b"[]"),
        (RAISED, b'["KeyError","LookupError","Exception"]', b'["' + b"x" * 201 + b'"]'),
        (RAISED, b"3,", b"-3,"),
        (RAISED, b"3,", b"3.0,"),
        (RAISED, b"3,", b"true,"),
        (RAISED, b"3,", b"1000000000,"),
    ],
)
def test_a_header_that_lies_is_refused(run: CheckRun, old: bytes, new: bytes) -> None:
    def change(header: bytes) -> bytes:
        assert header.count(old) >= 1
        return header.replace(old, new, 1)

    with pytest.raises(BadFrame):
        read(reader(with_header(encode(run), change)))


def test_values_nest_as_deeply_as_observe_lets_them() -> None:
    value: object = Opaque("something nested too deeply")
    for _ in range(MAX_DEPTH):
        value = [value]
    run = CheckRun("test_x", Ending.RETURNED, (Observation("deep", value),))
    assert sent(run) == run
    with pytest.raises(BadFrame):
        sent(CheckRun("test_x", Ending.RETURNED, (Observation("deeper", [value]),)))


@pytest.mark.parametrize(
    "header",
    [b"", b"[]", b"null", b"{}", b"\xff", b"[" * MAX_HEADER, b'{"a":' * (MAX_HEADER // 5), b"9" * MAX_HEADER],
)
def test_a_header_that_is_none_is_refused(header: bytes) -> None:
    with pytest.raises(BadFrame):
        read(reader(with_header(encode(RETURNED), lambda _: header)))


@pytest.mark.parametrize("sizes", [(MAX_HEADER + 1, 0), (10, MAX_TENSORS + 1)])
def test_sizes_are_refused_before_anything_is_read(sizes: tuple[int, int]) -> None:
    asked: list[int] = []
    take = reader(PREFIX.pack(MAGIC, VERSION, *sizes))

    def counted(size: int) -> bytes:
        asked.append(size)
        return take(size)

    with pytest.raises(BadFrame, match="larger"):
        read(counted)
    assert asked == [PREFIX.size]


def test_a_truth_value_is_0_or_1() -> None:
    run = CheckRun("test_x", Ending.RETURNED, (Observation("mask", Array("bool", (2,), b"\x01\x02")),))
    with pytest.raises(BadFrame):
        sent(run)


@pytest.mark.parametrize(
    "value, said",
    [
        (Array("uint8", (MAX_TENSORS + 1,), bytes(MAX_TENSORS + 1)), "uint8 tensor of shape (2097153,), too large"),
        (Array("float32", (1,) * 17, bytes(4)), "float32 tensor of shape (1, "),
        (Array("int64", (0, 2**39, 2**39), b""), "int64 tensor of shape (0, "),
        ("x" * MAX_HEADER, "str of length 1,048,576, too large to compare"),
        ([0.1] * 200_000, "list of length 200,000, too large to compare"),
        ([0] * MAX_VALUES, "list of length 32,768, too large to compare"),
        (dict.fromkeys(range(MAX_VALUES // 2)), "dict of length 16,384, too large to compare"),
        ({position * (2**61 - 1): 0 for position in range(200)}, "dict of length 200, too large to compare"),
        (2 ** (8 * MAX_HEADER), "value too large to compare"),
    ],
    ids=["tensor", "dimensions", "empty tensor", "text", "list", "short items", "dict", "colliding keys", "int"],
)
def test_what_is_too_large_is_named_and_the_rest_is_sent(value: object, said: str) -> None:
    before, after = Observation("before", ARRAY), Observation("after", [ARRAY, 2])
    got = sent(CheckRun("test_x", Ending.RETURNED, (before, Observation("large", value), after)))
    assert got and got.observations[0] == before and got.observations[2] == after
    large = got.observations[1].value
    assert isinstance(large, Opaque) and large.type_name.startswith(said)


def test_long_words_are_cut_and_the_innermost_lines_kept() -> None:
    places = tuple(Place("a.py", line, "f" * 1000) for line in range(1, 100))
    failure = Failure(("E" * 5000,) * 50, "m" * 50_000, places)
    run = CheckRun(
        "test_x",
        Ending.RAISED,
        (Observation("raised", Raised(("E" * 5000,), "m" * 50_000)), Observation("object", Opaque("o" * 5000))),
        failure,
        refused=("a" * 5000,) * 50,
    )
    got = sent(run)
    assert got and got.failure and got.failure.trace[-1].line == 99
    assert len(got.refused) == 20 and set(map(len, got.refused)) == {300}
    assert len(encode(run)) < 50_000
