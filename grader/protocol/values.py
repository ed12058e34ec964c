"""Observed values: what a tensor, an error or anything else becomes on its way to the judge, and its JSON.

What is too large for a frame is said to be so in its place. Reading back raises whatever hostile bytes bring Python
to raise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

# More than twenty times the largest frame of an exercise. JSON can take fifty times its size as objects, so the
# bounds of the header and of what is in it are what keeps a hostile frame small in memory.
MAX_HEADER = 2**20
MAX_TENSORS = 2 * 2**20
MAX_VALUES = 2**15
# Keys that were made to have the same hash cost a dictionary time with the square of their number.
MAX_COLLISIONS = 100
# `observe` stops at one level less and writes there that it did.
MAX_DEPTH = 13
MAX_DIMENSIONS = 16
MAX_COUNT = 2**31
MAX_TYPES = 20
MAX_NAME = 200
MAX_MESSAGE = 10_000
ITEM_SIZES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8,
    "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Array:
    """A tensor as it was observed: its bytes in C order, so that no process needs the other's library."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Raised:
    """A call that raised: class names from the most specific to `Exception`, and what the message must name."""

    types: tuple[str, ...]
    message: str
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opaque:
    """Something that cannot be compared, such as a function where a tensor was expected."""

    type_name: str


Value: TypeAlias = (
    "bool | int | float | str | bytes | Array | Raised | Opaque"
    " | list[Value] | tuple[Value, ...] | dict[Value, Value] | None"
)


def too_large(value: object) -> Opaque:
    """What stands for a value that a frame cannot carry."""
    match value:
        case Opaque():
            return value
        case Array():
            return Opaque(f"{value.dtype} tensor of shape {value.shape}, too large to compare"[:MAX_NAME])
        case Sized():
            return Opaque(f"{type(value).__name__} of length {len(value):,}, too large to compare")
    return Opaque("value too large to compare")


def count(value: Value) -> int:
    """How many values a value is made of, itself included."""
    match value:
        case list() | tuple():
            return 1 + sum(map(count, value))
        case dict():
            return 1 + sum(map(count, value)) + sum(map(count, value.values()))
    return 1


def pack(value: Value, arrays: list[Array], before: int) -> Any:
    """JSON for a value: what JSON has no word for becomes a one-letter tag and its content.

    Tensors are appended to `arrays`, which `before` others precede in the frame.
    """
    match value:
        case None | bool():
            return value
        case str():  # in JSON, two lone halves of a character would become the character
            return value if _is_whole(value) else ["s", value.encode("utf-8", "surrogatepass").hex()]
        case int():
            return value if -(2**53) < value < 2**53 else ["i", hex(value)]
        case float():
            return ["f", value.hex()]
        case bytes():
            return ["b", value.hex()]
        case Array():
            if not possible(value.shape):
                return pack(too_large(value), arrays, before)
            arrays.append(value)
            return ["a", before + len(arrays) - 1]
        case list():
            return ["l", [pack(item, arrays, before) for item in value]]
        case tuple():
            return ["t", [pack(item, arrays, before) for item in value]]
        case dict():
            if _collide(list(value)):
                return pack(too_large(value), arrays, before)
            return ["d", [[pack(part, arrays, before) for part in pair] for pair in value.items()]]
        case Raised():
            names = [name[:MAX_NAME] for name in value.types[:MAX_TYPES]]
            return ["r", [names, value.message[:MAX_MESSAGE], list(value.mentions)]]
        case Opaque():
            return ["o", value.type_name[:MAX_NAME]]
    assert_never(value)


def unpack(packed: Any, arrays: list[Array], depth: int = 0) -> Value:
    """The value that `pack` made this of; `arrays` are all tensors of the frame."""
    if packed is None or isinstance(packed, bool | str | int):
        return packed
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    tag, content = packed
    match tag:
        case "i":
            return int(content, 16)
        case "f":
            return float.fromhex(content)
        case "b":
            return bytes.fromhex(content)
        case "s":
            return bytes.fromhex(content).decode("utf-8", "surrogatepass")
        case "a":
            array: Array = arrays[content]
            return array
        case "l":
            return [unpack(item, arrays, depth + 1) for item in content]
        case "t":
            return tuple(unpack(item, arrays, depth + 1) for item in content)
        case "d":
            keys = [unpack(key, arrays, depth + 1) for key, _ in content]
            if _collide(keys):
                raise ValueError("keys with the same hash")
            return {key: unpack(item, arrays, depth + 1) for key, (_, item) in zip(keys, content, strict=True)}
        case "r":
            types, message, mentions = content
            return Raised(types_of(types), text_of(message), tuple(map(text_of, mentions)))
        case "o":
            return Opaque(text_of(content))
    raise ValueError("unknown tag")


def possible(shape: Sequence[int]) -> bool:
    """Can every reader make a tensor of this shape? As if no size were 0: numpy looks at the others too."""
    return len(shape) <= MAX_DIMENSIONS and math.prod(size or 1 for size in shape) <= MAX_COUNT


def _collide(keys: list[Value]) -> bool:
    return len(keys) - len(set(map(hash, keys))) > MAX_COLLISIONS


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def types_of(names: list[Any]) -> tuple[str, ...]:
    """The class names of an error."""
    if not names:
        raise ValueError("an error without a type")
    return tuple(map(text_of, names))


def text_of(value: object) -> str:
    """`value`, if it is text."""
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value
