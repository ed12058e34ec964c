"""The channel: what is written is read, and nothing else is ever taken for a result."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.frames import BadFrame, encode, read
from grader.records import Array, CheckRun, Ending, Failure, Observation, Opaque, Place, Raised

ARRAY = Array("float32", (2, 3), bytes(range(24)))
RUN = CheckRun(
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
    Failure(("KeyError",), "'x'", (Place("a.py", 3, "f"),)),
    0.25,
)


def reader(data: bytes) -> Callable[[int], bytes]:
    view = memoryview(data)

    def take(size: int) -> bytes:
        nonlocal view
        part, view = bytes(view[:size]), view[size:]
        return part

    return take


def test_what_is_written_is_read() -> None:
    take = reader(encode(RUN) + encode(RUN))
    assert read(take) == RUN
    assert read(take) == RUN
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
    assert read(reader(encode(run))) == run


def test_lone_surrogates_survive() -> None:
    run = CheckRun("test_x", Ending.RETURNED, (Observation("\ud800", "\udfff"),))
    assert read(reader(encode(run))) == run


def test_a_frame_cut_anywhere_is_refused() -> None:
    frame = encode(RUN)
    for length in range(1, len(frame)):
        with pytest.raises(BadFrame):
            read(reader(frame[:length]))


def test_mutated_frames_are_read_or_refused_but_never_crash() -> None:
    frame = encode(RUN)
    chance = random.Random(17)
    refused = 0
    for _ in range(3000):
        data = bytearray(frame)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read(reader(bytes(data)))
        except BadFrame:
            refused += 1
    assert refused > 1000


@pytest.mark.parametrize(
    "old, new",
    [
        (b"[2,3]", b"[2,9]"),
        (b"[2,3]", b"[1,3]"),
        (b"[2,3]", b"[-2,-3]"),
        (b'"float32"', b'"float99"'),
        (b'["a",0]', b'["a",7]'),
        (b'"returned"', b'"approved"'),
    ],
)
def test_a_header_that_lies_is_refused(old: bytes, new: bytes) -> None:
    frame = encode(RUN)
    assert frame.count(old) >= 1
    changed = frame.replace(old, new, 1)
    header = int.from_bytes(frame[5:9], "little") + len(new) - len(old)
    changed = changed[:5] + header.to_bytes(4, "little") + changed[9:]
    with pytest.raises(BadFrame):
        read(reader(changed))
