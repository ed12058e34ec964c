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
from collections.abc import Callable
from typing import Any

from grader.protocol.runs import MAX_ACT, MAX_REFUSED, CheckRun, Ending, Failure, Observation, Place
from grader.protocol.values import (
    ITEM_SIZES,
    MAX_HEADER,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_TENSORS,
    MAX_TYPES,
    MAX_VALUES,
    Array,
    count,
    pack,
    possible,
    text_of,
    too_large,
    types_of,
    unpack,
)

MAGIC = b"KATA"
VERSION = 2
PREFIX = struct.Struct("<4sBIQ")
MAX_PLACES = 40
MAX_LINE = 10**6
MAX_SECONDS = 10.0**6
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
            check=text_of(document["check"]),
            ending=Ending(document["ending"]),
            seconds=_within(document["seconds"], MAX_SECONDS),
            observations=tuple(
                Observation(text_of(name), unpack(value, arrays), _within(tolerance, 1.0))
                for name, tolerance, value in document["observations"]
            ),
            failure=_unpack_failure(document["failure"]),
            refused=tuple(map(text_of, document["refused"])),
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
    """Header and tensors, within all bounds but that of the header where there are too many observations.

    The header is put together from parts, so that each observation is written, and measured, once.
    """
    arrays: list[Array] = []
    observations: list[bytes] = []
    described: list[bytes] = []
    before = {"check": run.check, "ending": run.ending.value, "seconds": float(run.seconds)}
    after = {
        "failure": _pack_failure(run.failure),
        "refused": [act[:MAX_ACT] for act in run.refused[:MAX_REFUSED]],
    }
    head, tail = _json(before)[:-1] + b',"observations":[', b"]," + _json(after)[1:-1] + b',"arrays":['
    text_left, bytes_left, values_left = MAX_HEADER - len(head + tail + b"]}"), MAX_TENSORS, MAX_VALUES
    for observation in run.observations:
        name, tolerance = observation.name, float(observation.tolerance)
        added: list[Array] = []
        entry = _json([name, tolerance, pack(observation.value, added, len(arrays))])
        shapes = [_json([array.dtype, list(array.shape)]) for array in added]
        size, values = sum(len(array.data) for array in added), count(observation.value)
        text_size = _size(entry, shapes)
        if text_size > text_left or size > bytes_left or values > values_left:
            entry = _json([name, tolerance, pack(too_large(observation.value), [], 0)])
            added, shapes, size, values, text_size = [], [], 0, 1, _size(entry, [])
        text_left, bytes_left, values_left = text_left - text_size, bytes_left - size, values_left - values
        observations.append(entry)
        described += shapes
        arrays += added
    header = head + b",".join(observations) + tail + b",".join(described) + b"]}"
    return header, b"".join(array.data for array in arrays)


def _size(entry: bytes, shapes: list[bytes]) -> int:
    """What an observation takes of the header: its text, its shapes, and the signs between them."""
    return len(entry) + sum(map(len, shapes)) + len(shapes) + 4


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def _arrays(described: list[Any], blob: bytes) -> list[Array]:
    """Cut the bytes into tensors. Raises ValueError unless every tensor has all its bytes, and possible ones."""
    arrays: list[Array] = []
    start = 0
    for dtype, shape in described:
        if not all(type(size) is int and size >= 0 for size in shape) or not possible(shape):
            raise ValueError("impossible shape")
        end = start + ITEM_SIZES[dtype] * math.prod(shape)
        data = blob[start:end]
        if len(data) < end - start or (dtype == "bool" and data.translate(None, b"\0\1")):
            raise ValueError("not this tensor's bytes")
        arrays.append(Array(dtype, tuple(shape), data))
        start = end
    return arrays


def _within(value: object, most: float) -> float:
    """A number from 0 to `most`, which NaN is not."""
    if not isinstance(value, float) or not 0 <= value <= most:
        raise ValueError("number out of range")
    return value


def _pack_failure(failure: Failure | None) -> Any:
    if failure is None:
        return None
    trace = [[place.file, place.line, place.function[:MAX_NAME]] for place in failure.trace[-MAX_PLACES:]]
    return [[name[:MAX_NAME] for name in failure.types[:MAX_TYPES]], failure.message[:MAX_MESSAGE], trace]


def _unpack_failure(packed: Any) -> Failure | None:
    if packed is None:
        return None
    types, message, trace = packed
    return Failure(types_of(types), text_of(message), tuple(_place(*place) for place in trace))


def _place(file: object, line: object, function: object) -> Place:
    if type(line) is not int or not 0 <= line <= MAX_LINE:
        raise ValueError("line out of range")
    return Place(text_of(file), line, text_of(function))
