"""The channel from a subject process to the supervisor: one frame a check, never pickle.

A frame is: magic, version, two lengths, a JSON header, and the tensors' bytes in C order, one after the
other; the header says dtype and shape of each. The reader trusts nothing: what it has read it writes again,
and a frame that is not byte for byte what `encode` writes raises `BadFrame` and is never a verdict. So every
bound that `encode` keeps is one that the reader enforces.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

from grader.protocol.runs import CheckRun, Ending, Failure, Observation, Place
from grader.protocol.values import Array, Opaque, Raised, Value

MAGIC = b"KATA"
VERSION = 1
PREFIX = struct.Struct("<4sBIQ")
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
MAX_ATTEMPTS = 20
MAX_ATTEMPT = 300
MAX_TYPES = 20
MAX_NAME = 200
MAX_MESSAGE = 10_000
MAX_PLACES = 40
MAX_LINE = 10**6
MAX_SECONDS = 10.0**6
ITEM_SIZES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8,
    "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip
# What the supervisor sees from outside is not for the process to say.
ENDINGS = frozenset({Ending.RETURNED, Ending.RAISED, Ending.UNFINISHED, Ending.FORBIDDEN, Ending.LIMIT})


class BadFrame(Exception):
    """The bytes are not a frame as this module writes it."""


def encode(run: CheckRun) -> bytes:
    """The frame of one check run. An observation that is too large for it is sent as `Opaque`."""
    header, blob = _parts(run)
    return PREFIX.pack(MAGIC, VERSION, len(header), len(blob)) + header + blob


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
        document = json.loads(header.decode("ascii"))
        arrays = _arrays(document["arrays"], blob)
        run = CheckRun(
            check=_text(document["check"]),
            ending=Ending(document["ending"]),
            seconds=_within(document["seconds"], MAX_SECONDS),
            observations=tuple(
                Observation(_text(name), _unpack(value, arrays, 0), _within(tolerance, 1.0))
                for name, tolerance, value in document["observations"]
            ),
            failure=_unpack_failure(document["failure"]),
            attempts=tuple(map(_text, document["attempts"])),
        )
        canonical = _parts(run)
    except Exception as error:  # whatever hostile bytes bring Python to raise
        raise BadFrame(f"not understood: {type(error).__name__}") from error
    if canonical != (header, blob):
        raise BadFrame("not as it would have been written")
    if run.ending not in ENDINGS or (run.failure is None) != (run.ending is Ending.RETURNED):
        raise BadFrame("an ending that cannot be")
    return run


def _parts(run: CheckRun) -> tuple[bytes, bytes]:
    """Header and tensors, within all bounds but that of the header where there are too many observations."""
    arrays: list[Array] = []
    observations: list[Any] = []
    described: list[Any] = []
    document = {
        "check": run.check,
        "ending": run.ending.value,
        "seconds": float(run.seconds),
        "observations": observations,
        "failure": _pack_failure(run.failure),
        "attempts": [attempt[:MAX_ATTEMPT] for attempt in run.attempts[:MAX_ATTEMPTS]],
        "arrays": described,
    }
    text_left, bytes_left, values_left = MAX_HEADER - len(_json(document)), MAX_TENSORS, MAX_VALUES
    for observation in run.observations:
        added: list[Array] = []
        entry = [observation.name, float(observation.tolerance), _pack(observation.value, added, len(arrays))]
        shapes = [[array.dtype, list(array.shape)] for array in added]
        size, text_size = sum(len(array.data) for array in added), len(_json([entry, shapes]))
        count = _count(observation.value)
        if text_size > text_left or size > bytes_left or count > values_left:
            entry[2], added, shapes, size, count = _pack(_too_large(observation.value), [], 0), [], [], 0, 1
            text_size = len(_json([entry, shapes]))
        text_left, bytes_left, values_left = text_left - text_size, bytes_left - size, values_left - count
        observations.append(entry)
        described += shapes
        arrays += added
    return _json(document), b"".join(array.data for array in arrays)


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _count(value: Value) -> int:
    """How many values a value is made of, itself included."""
    match value:
        case list() | tuple():
            return 1 + sum(map(_count, value))
        case dict():
            return 1 + sum(map(_count, value)) + sum(map(_count, value.values()))
    return 1


def _too_large(value: Value) -> Opaque:
    match value:
        case Opaque():
            return value
        case Array():
            return Opaque(f"{value.dtype} tensor of shape {value.shape}, too large to compare"[:MAX_NAME])
        case list() | tuple() | dict() | str() | bytes():
            return Opaque(f"{type(value).__name__} of length {len(value):,}, too large to compare")
    return Opaque("value too large to compare")


def _arrays(described: list[Any], blob: bytes) -> list[Array]:
    """Cut the bytes into tensors. Raises ValueError unless every tensor has all its bytes, and possible ones."""
    arrays: list[Array] = []
    start = 0
    for dtype, shape in described:
        if not all(type(size) is int and size >= 0 for size in shape) or not _possible(shape):
            raise ValueError("impossible shape")
        end = start + ITEM_SIZES[dtype] * math.prod(shape)
        data = blob[start:end]
        if len(data) < end - start or (dtype == "bool" and data.translate(None, b"\0\1")):
            raise ValueError("not this tensor's bytes")
        arrays.append(Array(dtype, tuple(shape), data))
        start = end
    return arrays


def _possible(shape: Sequence[int]) -> bool:
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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _within(value: object, most: float) -> float:
    """A number from 0 to `most`, which NaN is not."""
    if not isinstance(value, float) or not 0 <= value <= most:
        raise ValueError("number out of range")
    return value


def _types(names: list[Any]) -> tuple[str, ...]:
    if not names:
        raise ValueError("an error without a type")
    return tuple(map(_text, names))


def _pack(value: Value, arrays: list[Array], before: int) -> Any:
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
            if not _possible(value.shape):
                return _pack(_too_large(value), arrays, before)
            arrays.append(value)
            return ["a", before + len(arrays) - 1]
        case list():
            return ["l", [_pack(item, arrays, before) for item in value]]
        case tuple():
            return ["t", [_pack(item, arrays, before) for item in value]]
        case dict():
            if _collide(list(value)):
                return _pack(_too_large(value), arrays, before)
            return ["d", [[_pack(part, arrays, before) for part in pair] for pair in value.items()]]
        case Raised():
            names = [name[:MAX_NAME] for name in value.types[:MAX_TYPES]]
            return ["r", [names, value.message[:MAX_MESSAGE], list(value.mentions)]]
        case Opaque():
            return ["o", value.type_name[:MAX_NAME]]
    raise TypeError(f"cannot be sent: {type(value).__name__}")


def _unpack(packed: Any, arrays: list[Array], depth: int) -> Value:
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
            return arrays[content]
        case "l":
            return [_unpack(item, arrays, depth + 1) for item in content]
        case "t":
            return tuple(_unpack(item, arrays, depth + 1) for item in content)
        case "d":
            keys = [_unpack(key, arrays, depth + 1) for key, _ in content]
            if _collide(keys):
                raise ValueError("keys with the same hash")
            return {key: _unpack(item, arrays, depth + 1) for key, (_, item) in zip(keys, content, strict=True)}
        case "r":
            types, message, mentions = content
            return Raised(_types(types), _text(message), tuple(map(_text, mentions)))
        case "o":
            return Opaque(_text(content))
    raise ValueError("unknown tag")


def _pack_failure(failure: Failure | None) -> Any:
    if failure is None:
        return None
    trace = [[place.file, place.line, place.function[:MAX_NAME]] for place in failure.trace[-MAX_PLACES:]]
    return [[name[:MAX_NAME] for name in failure.types[:MAX_TYPES]], failure.message[:MAX_MESSAGE], trace]


def _unpack_failure(packed: Any) -> Failure | None:
    if packed is None:
        return None
    types, message, trace = packed
    return Failure(_types(types), _text(message), tuple(_place(*place) for place in trace))


def _place(file: object, line: object, function: object) -> Place:
    if type(line) is not int or not 0 <= line <= MAX_LINE:
        raise ValueError("line out of range")
    return Place(_text(file), line, _text(function))
