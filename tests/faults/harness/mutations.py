"""Frames, and what can be done to them: changed bytes, changed headers, hostile values in well-formed frames.

No frame here holds the expected value of the last observation of a check, which is a random tensor: whatever is
done to a frame, it cannot become right by chance.
"""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from grader.protocol import frames, values
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, Failure, Observation, Place, SubjectRun
from grader.protocol.values import Array, Opaque, Raised

FOLDER = Path("exercises")
FILE = str(FOLDER / "ex00_mini.py")
FLOATS = {"float64": "d", "float32": "f", "float16": "e"}
UGLY = "\x1b[2J\x1b]0;x\x07\u202e\u2066\ud800\udfff]]>&<\0\r\x85\u2028" + "x" * 300


def tensor(chance: random.Random, dtype: str, *shape: int) -> Array:
    """Random numbers of a usual size; 0 and 1 for truth values."""
    count = math.prod(shape)
    if dtype in FLOATS:
        return Array(dtype, shape, struct.pack(f"<{count}{FLOATS[dtype]}", *(chance.gauss() for _ in range(count))))
    limit = 2 if dtype == "bool" else 60
    return Array(dtype, shape, bytes(chance.randrange(limit) for _ in range(values.ITEM_SIZES[dtype] * count)))


def observations(chance: random.Random) -> tuple[Observation, ...]:
    """Of every kind one."""
    return (
        Observation("tensor", tensor(chance, "float32", 2, 3)),
        Observation("all", {"a": [1, 2.5, None, True], (1, 2): (b"\xff", "é"), "deep": [[[[2**80]]]]}),
        Observation("raised", Raised(("ValueError", "Exception"), "7 is too many", ("7",))),
        Observation("object", Opaque("function")),
        Observation("many", [tensor(chance, dtype, 2, 2) for dtype in values.ITEM_SIZES], 1e-4),
        Observation("none", Array("int64", (0, 4), b"")),
        Observation("last", tensor(chance, "float64", 3, 4)),
    )


def failure(*types: str) -> Failure:
    return Failure((*types, "Exception"), "7 is too many", (Place(FILE, 3, "double"), Place(FILE, 9, "total")))


CHECKS = ("test_double", "test_total", "test_counter")
IMPORTED = CheckRun(IMPORT_CHECK, Ending.RETURNED)
RIGHT = tuple(CheckRun(name, Ending.RETURNED, observations(random.Random(name))) for name in CHECKS)
EXPECTED = SubjectRun((IMPORTED, *RIGHT))
# All but the last as expected, so that each of them is compared with what is put in its place.
LAST = Observation("last", tensor(random.Random("wrong"), "float64", 3, 4))
WRONG = replace(RIGHT[0], observations=(*RIGHT[0].observations[:-1], LAST), seconds=0.25, refused=("wrote x",))
RUNS = (
    WRONG,
    CheckRun(CHECKS[0], Ending.UNFINISHED, (), failure("NotImplementedError", "RuntimeError")),
    CheckRun(CHECKS[1], Ending.RAISED, WRONG.observations[:2], failure("IndexError", "LookupError")),
    CheckRun(CHECKS[1], Ending.FORBIDDEN, (), failure("ForbiddenCall")),
    CheckRun(IMPORT_CHECK, Ending.RAISED, (), failure("SyntaxError")),
    CheckRun(CHECKS[2], Ending.LIMIT, (), failure("MemoryError")),
)
# The frame of a wrong answer holds most that can be changed.
FRAMES = st.sampled_from([frames.encode(run) for run in (WRONG, WRONG, WRONG, *RUNS)])


def parts(frame: bytes) -> tuple[bytes, bytes]:
    """Header and tensors."""
    _, _, size, _ = frames.PREFIX.unpack(frame[: frames.PREFIX.size])
    body = frame[frames.PREFIX.size :]
    return body[:size], body[size:]


def framed(header: bytes, blob: bytes = b"") -> bytes:
    """A frame whose sizes are true."""
    return frames.PREFIX.pack(frames.MAGIC, frames.VERSION, len(header), len(blob)) + header + blob


@dataclass(frozen=True)
class Edit:
    """A change to some bytes. `start` is a fraction of their length."""

    kind: str
    start: float
    length: int
    data: bytes

    def applied(self, whole: bytes) -> bytes:
        start = int(self.start * len(whole))
        before, part, after = whole[:start], whole[start : start + self.length], whole[start + self.length :]
        match self.kind:
            case "flip":
                return before + bytes(byte ^ 1 << self.length % 8 for byte in part) + after
            case "overwrite":
                return before + self.data + whole[start + len(self.data) :]
            case "insert":
                return before + self.data + part + after
            case "delete":
                return before + after
            case "repeat":
                return before + part * 3 + after
        return before


WORDS = [b"9", b"]", b"null", b'"', b",0", b"\\ud800", b"1e999"]
EDITS = st.builds(
    Edit,
    st.sampled_from(["flip", "overwrite", "insert", "delete", "repeat", "truncate"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 40),
    st.binary(min_size=1, max_size=6) | st.sampled_from(WORDS),
)
SIZES = st.sampled_from([0, 1, 7, values.MAX_HEADER, values.MAX_TENSORS, 2**31, 2**32 - 1]) | st.integers(0, 5000)


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = ["l", [value]]
    return value


HUGE = ["i", hex(10**6000)]
# As JSON, and not too deep: hypothesis writes down each example, and Python 3.12 stops at 1,500 levels in all.
HOSTILE = tuple(json.dumps(value) for value in (
    # JSON itself
    None, True, -1, 0, 1, 2, 3, 2**31, 2**53, 10**400, 0.0, 1e-5, -0.5, 1e308, float("inf"), float("nan"), "", UGLY,
    [], [[]], {}, {"check": 1},
    # values
    nested(1, 12), nested(1, 14), nested(1, 200), ["i", hex(2**64)], HUGE, ["i", "-0x1"], ["i", "0xff"],
    ["f", "nan"], ["f", "inf"], ["f", "-inf"], ["f", "0x0.0p+0"], ["f", "0x1.fffffffffffffp+1023"],
    ["f", "0x1p+99999"], ["b", ""], ["b", "00ff"], ["a", 0], ["a", 1], ["a", -1], ["a", 10**9],
    ["l", []], ["l", "ab"], ["l", [1, ["l", [HUGE]]]], ["t", []], ["t", [["t", []]]],
    ["d", []], ["d", [[1, 2], [2, 1]]], ["d", [[1, 1], [True, 1]]], ["d", [[["f", "nan"], 1], [["f", "nan"], 2]]],
    ["d", [[HUGE, UGLY]]], ["d", [[["l", []], 1]]], ["d", [["a", ["r", [[UGLY], UGLY, [UGLY]]]]]],
    ["r", [["ValueError", UGLY], "7", ["7"]]], ["r", [[UGLY], UGLY, []]], ["r", [[], "", []]],
    ["r", [["Exception"], "", []]], ["r", ["ab", "", "cd"]], ["o", "function"], ["o", UGLY], ["o", ""],
    # endings and names
    "returned", "raised", "unfinished", "forbidden", "limit", "timeout", "crashed", "passed", *CHECKS, IMPORT_CHECK,
    # tensors
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool", "complex64",
    [2, 2], [4], [1, 4], [2, 3], [3, 2], [0], [0, 2**39, 2**39], [-2, -3], [2**62, 4], [1] * 16, [1] * 17, [2.0, 2],
    # failures and attempts
    FILE, str(FOLDER / UGLY), "/etc/passwd", str(FOLDER / "ex01_other.py"), 10**6, 10**6 + 1,
    [["E"], UGLY, []], [[UGLY], UGLY, [[FILE, 3, UGLY]]], [["E"], "x", [["/etc/passwd", 3, "f"]]], [[], "", []],
    [["E"], "x", [[str(FOLDER / f"{UGLY}.py"), 0, UGLY]]], [UGLY], [UGLY[:300]] * 20, [UGLY[:300]] * 21,
))  # fmt: skip


@dataclass(frozen=True)
class Change:
    """A change to one part of a header. Parts are named by fractions of their number."""

    kind: str
    where: float
    elsewhere: float
    hostile: str

    def apply(self, document: Any) -> None:
        found = list(_parts_of(document))
        hostile = json.loads(self.hostile)
        alike = [(holder, key) for holder, key in found if _form(holder[key]) == _form(hostile)]
        among = alike if self.kind == "replace alike" and alike else found
        holder, key = among[int(self.where * len(among))]
        other, other_key = found[int(self.elsewhere * len(found))]
        mine, theirs = _copy(holder[key]), _copy(other[other_key])
        match self.kind:
            case "replace" | "replace alike":
                holder[key] = hostile
            case "drop":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.insert(key, mine)
            case "nest":
                holder[key] = nested(mine, 1 + int(self.elsewhere * 20))
            case "swap":
                other[other_key] = mine
                holder[key] = theirs
            case _:
                holder[key] = theirs


def _parts_of(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of a JSON document, as what holds it and where in there."""
    keys: Sequence[Any] = ()
    if isinstance(node, dict | list):
        keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        yield from _parts_of(node[key])


def _form(value: Any) -> str:
    """What a part of a header is, roughly: a value is put in place of a value, a shape in place of a shape."""
    if not isinstance(value, list):
        return type(value).__name__
    if len(value) == 2 and isinstance(value[0], str) and len(value[0]) == 1:
        return "value"
    return "numbers" if all(isinstance(item, int) for item in value) else "list"


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


CHANGES = st.builds(
    Change,
    st.sampled_from(
        ["replace", "replace alike", "replace alike", "replace alike", "drop", "double", "nest", "copy", "swap"]
    ),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from(HOSTILE),
)


SHAPES = (
    st.lists(st.integers(0, 6), max_size=5),
    st.lists(st.integers(0, 2), max_size=18),
    st.just([0, 2**39, 2**39]),
)


@st.composite
def _tensors(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from(sorted(values.ITEM_SIZES)))
    shape = draw(st.one_of(SHAPES))
    count = values.ITEM_SIZES[dtype] * math.prod(shape)
    fill = b"\x00\x01\x01" if dtype == "bool" else draw(st.binary(min_size=1, max_size=40))
    return Array(dtype, tuple(shape), (fill * (count // len(fill) + 1))[:count])


TEXTS = st.text(st.characters(), max_size=20) | st.just(UGLY)
NAMES = st.lists(TEXTS, min_size=1, max_size=3).map(tuple)
NUMBERS = st.integers() | st.integers(0, 8000).map(lambda digits: 10**digits) | st.floats()
LEAVES = st.one_of(
    st.none(), st.booleans(), NUMBERS, TEXTS, st.binary(max_size=20), _tensors(),
    st.builds(Raised, NAMES, TEXTS, NAMES), st.builds(Opaque, TEXTS),
)  # fmt: skip
KEYS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.tuples(st.integers(), TEXTS), _tensors())
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner) | st.dictionaries(KEYS, inner, max_size=3)
)
PLACES = st.builds(Place, st.just(FILE) | TEXTS, st.integers(0, 10**6), TEXTS)
FAILURES = st.builds(Failure, NAMES, TEXTS, st.lists(PLACES, max_size=3).map(tuple))


@st.composite
def well_formed_runs(draw: st.DrawFn) -> CheckRun:
    """The wrong answer with any values in it, or any error."""
    seen = list(WRONG.observations)
    for position in draw(st.sets(st.integers(0, len(seen) - 1), max_size=3)):
        seen[position] = replace(seen[position], value=draw(VALUES))
    ending = draw(st.sampled_from([Ending.RETURNED, *sorted(frames.ENDINGS)]))
    why = None if ending is Ending.RETURNED else draw(FAILURES)
    check = draw(st.sampled_from([CHECKS[0], *CHECKS, IMPORT_CHECK]))
    return CheckRun(check, ending, tuple(seen), why, 0.5, draw(NAMES))
