"""Observed values in words: what kind of thing one is, and what it looks like in one short line."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from grader.judge.numbers import raw
from grader.protocol.values import Array, Opaque, Raised, Value
from grader.text import shorten

LONGEST_SHOWN_BITS = 2000
LARGEST_SHOWN_ARRAY = 1000
KINDS = {type(None): "None", bool: "a bool", int: "an int", float: "a float", str: "a string", bytes: "bytes"}


def kind(value: Value) -> str:
    """What a value is, in words."""
    match value:
        case Array():
            return f"a {value.dtype} tensor of shape {value.shape}"
        case Raised():
            return f"a {shorten(value.types[0])}"
        case Opaque():
            is_type = value.type_name.isidentifier()
            return f"{'an object of type' if is_type else 'a'} {shorten(value.type_name)}"
        case list() | tuple() | dict():
            return f"a {type(value).__name__}"
    return KINDS.get(type(value), f"an object of type {type(value).__name__}")


def show(value: Value, limit: int = 160) -> str:
    """A value as one short line. What is not seen of a large one is not looked at."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = ""
    for part in _spelled(value, limit):
        text += part
        if len(text) > limit:
            break
    return shorten(text[: limit + 1], limit)


def _spelled(value: Value, limit: int) -> Iterator[str]:
    """The text of a value, piece by piece."""
    match value:
        case Array():
            yield _spelled_array(value)
        case Raised():
            yield value.types[0]
        case Opaque():
            yield f"<{value.type_name}>"
        case str() | bytes():
            yield repr(value[:limit])
        case int() if value.bit_length() > LONGEST_SHOWN_BITS:  # Python refuses to write out the longest
            yield f"an int of about {int(value.bit_length() * math.log10(2)) + 1:,} digits"
        case list() | tuple():
            opening, closing = "[]" if isinstance(value, list) else "()"
            yield opening
            for position, item in enumerate(value):
                yield ", " if position else ""
                yield from _spelled(item, limit)
            yield f",{closing}" if isinstance(value, tuple) and len(value) == 1 else closing
        case dict():
            yield "{"
            for position, (key, item) in enumerate(value.items()):
                yield ", " if position else ""
                yield from _spelled(key, limit)
                yield ": "
                yield from _spelled(item, limit)
            yield "}"
        case _:
            yield repr(value)


def _spelled_array(array: Array) -> str:
    """The numbers in their brackets; of many, the first ones, because brackets could be nested around all."""
    count = math.prod(array.shape)
    if count <= LARGEST_SHOWN_ARRAY:
        return f"tensor {np.array2string(raw(array), precision=4, threshold=12)}"
    head = Array(array.dtype, (6,), array.data[: 6 * len(array.data) // count])
    return f"tensor of shape {array.shape} that begins {np.array2string(raw(head), precision=4)}"
