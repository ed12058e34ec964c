"""The channel from a subject process to the supervisor: one frame a check, never pickle.

A frame is: magic, version, two lengths, a JSON header, and the tensors' bytes in C order, one after the
other; the header says dtype and shape of each. The reader trusts nothing: a frame that is not exactly as
written here raises `BadFrame` and is never a verdict.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

from grader.records import Array, CheckRun, Ending, Failure, Observation, Opaque, Place, Raised, Value

MAGIC = b"KATA"
VERSION = 1
PREFIX = struct.Struct("<4sBIQ")
MAX_HEADER = 16 * 2**20
MAX_TENSORS = 128 * 2**20
MAX_DIMENSIONS = 16
ITEM_SIZES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8,
    "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip


class BadFrame(Exception):
    """The bytes are not a frame as this module writes it."""


def encode(run: CheckRun) -> bytes:
    """The frame of one check run."""
    arrays: list[Array] = []
    observations = [[o.name, o.tolerance, _pack(o.value, arrays)] for o in run.observations]
    header = {
        "check": run.check,
        "ending": run.ending.value,
        "seconds": run.seconds,
        "observations": observations,
        "failure": _pack_failure(run.failure),
        "arrays": [[array.dtype, list(array.shape)] for array in arrays],
    }
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    blob = b"".join(array.data for array in arrays)
    return PREFIX.pack(MAGIC, VERSION, len(text), len(blob)) + text + blob


def read(read_exactly: Callable[[int], bytes]) -> CheckRun | None:
    """The next frame of a stream, or None where the stream ends cleanly before one.

    `read_exactly(n)` returns n bytes, or fewer at the end of the stream. Raises `BadFrame`.
    """
    prefix = read_exactly(PREFIX.size)
    if not prefix:
        return None
    if len(prefix) < PREFIX.size:
        raise BadFrame("cut off in its first bytes")
    magic, version, header_size, blob_size = PREFIX.unpack(prefix)
    if magic != MAGIC or version != VERSION:
        raise BadFrame("wrong magic or version")
    if header_size > MAX_HEADER or blob_size > MAX_TENSORS:
        raise BadFrame("larger than allowed")
    header, blob = read_exactly(header_size), read_exactly(blob_size)
    if len(header) < header_size or len(blob) < blob_size:
        raise BadFrame("cut off")
    return decode(header, blob)


def decode(header: bytes, blob: bytes) -> CheckRun:
    """The check run in a frame's two parts. Raises `BadFrame`."""
    try:
        document = json.loads(header)
        arrays = _arrays(document["arrays"], blob)
        return CheckRun(
            check=_text(document["check"]),
            ending=Ending(document["ending"]),
            seconds=float(document["seconds"]),
            observations=tuple(
                Observation(_text(name), _unpack(value, arrays), float(tolerance))
                for name, tolerance, value in document["observations"]
            ),
            failure=_unpack_failure(document["failure"]),
        )
    except (KeyError, IndexError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadFrame(f"not understood: {type(error).__name__}") from error


def _arrays(described: list[Any], blob: bytes) -> list[Array]:
    """Cut the bytes into tensors. Raises ValueError unless sizes and shapes account for every byte."""
    arrays: list[Array] = []
    start = 0
    for dtype, shape in described:
        if len(shape) > MAX_DIMENSIONS or not all(type(size) is int and 0 <= size < 2**40 for size in shape):
            raise ValueError("impossible shape")
        end = start + ITEM_SIZES[dtype] * math.prod(shape)
        if end > len(blob):
            raise ValueError("a tensor larger than its bytes")
        arrays.append(Array(dtype, tuple(shape), blob[start:end]))
        start = end
    if start != len(blob):
        raise ValueError("bytes that belong to no tensor")
    return arrays


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _pack(value: Value, arrays: list[Array]) -> Any:
    """JSON for a value: what JSON has no word for becomes a one-letter tag and its content."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -(2**53) < value < 2**53 else ["i", hex(value)]
        case float():
            return ["f", value.hex()]
        case bytes():
            return ["b", value.hex()]
        case Array():
            arrays.append(value)
            return ["a", len(arrays) - 1]
        case list():
            return ["l", [_pack(item, arrays) for item in value]]
        case tuple():
            return ["t", [_pack(item, arrays) for item in value]]
        case dict():
            return ["d", [[_pack(key, arrays), _pack(item, arrays)] for key, item in value.items()]]
        case Raised():
            return ["r", [list(value.types), value.message, list(value.mentions)]]
        case Opaque():
            return ["o", value.type_name]
    raise TypeError(f"cannot be sent: {type(value).__name__}")


def _unpack(packed: Any, arrays: list[Array]) -> Value:
    if packed is None or isinstance(packed, bool | str | int):
        return packed
    tag, content = packed
    match tag:
        case "i":
            return int(content, 16)
        case "f":
            return float.fromhex(content)
        case "b":
            return bytes.fromhex(content)
        case "a":
            return arrays[content]
        case "l":
            return [_unpack(item, arrays) for item in content]
        case "t":
            return tuple(_unpack(item, arrays) for item in content)
        case "d":
            return {_unpack(key, arrays): _unpack(item, arrays) for key, item in content}
        case "r":
            types, message, mentions = content
            return Raised(tuple(map(_text, types)), _text(message), tuple(map(_text, mentions)))
        case "o":
            return Opaque(_text(content))
    raise ValueError("unknown tag")


def _pack_failure(failure: Failure | None) -> Any:
    if failure is None:
        return None
    trace = [[place.file, place.line, place.function] for place in failure.trace]
    return [list(failure.types), failure.message, trace]


def _unpack_failure(packed: Any) -> Failure | None:
    if packed is None:
        return None
    types, message, trace = packed
    places = tuple(Place(_text(file), int(line), _text(function)) for file, line, function in trace)
    return Failure(tuple(map(_text, types)), _text(message), places)
