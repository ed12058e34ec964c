"""A learner's code finds the channel and writes to it: forged, cut, doubled, oversized and endless frames.

Whatever it writes, its wrong answer never passes, and the next one who is graded notices nothing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from grader.judge.results import ExerciseResult, Status
from grader.protocol import frames, values
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, Observation
from tests.faults.harness.mutations import CHECKS, UGLY, WRONG, framed, nested, parts
from tests.mini import SOLUTION

pytestmark = pytest.mark.slow

# What a learner's code can do: find the pipe, whatever its number, and write to it.
FIND_THE_CHANNEL = """
import os, stat, threading, zlib

def pipes():
    for descriptor in range(3, 5000):
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                yield descriptor
        except OSError:
            pass

def send(data):
    for descriptor in pipes():
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest):]
        except OSError:
            pass
"""
DOUBLED = replace(WRONG, observations=(replace(WRONG.observations[0], name="doubled"), *WRONG.observations[1:]))
FORGED = [frames.encode(replace(DOUBLED, check=check)) for check in (IMPORT_CHECK, *CHECKS)]
EMPTY = [frames.encode(CheckRun(check, Ending.RETURNED)) for check in (IMPORT_CHECK, *CHECKS)]
HEADER, BLOB = parts(FORGED[1])


def changed(old: bytes, new: bytes) -> bytes:
    """The forged frame of the first check with something else in its header."""
    assert HEADER.count(old) >= 1
    return framed(HEADER.replace(old, new, 1), BLOB)


def holding(*values: object) -> bytes:
    """The forged frame of the first check with other values."""
    return frames.encode(replace(WRONG, observations=tuple(Observation("doubled", value) for value in values)))


SENT: dict[str, bytes] = {
    "garbage": b"garbage" * 100,
    "one byte": b"K",
    "the prefix alone": FORGED[1][: frames.PREFIX.size],
    "half a frame": FORGED[1][: len(FORGED[1]) // 2],
    "another version": frames.PREFIX.pack(frames.MAGIC, frames.VERSION + 1, 2, 0) + b"{}",
    "128 MB announced": frames.PREFIX.pack(frames.MAGIC, frames.VERSION, 100, 2**27),
    "as much as allowed announced": frames.PREFIX.pack(
        frames.MAGIC, frames.VERSION, values.MAX_HEADER, values.MAX_TENSORS
    ),
    "no header": framed(b""),
    "brackets": framed(b"[" * values.MAX_HEADER),
    "objects in objects": framed(b'{"a":' * 200_000),
    "a number of a million digits": framed(b"9" * values.MAX_HEADER),
    "frame doubled": FORGED[1] * 2,
    "import doubled": FORGED[0] * 2,
    "import that saw something": FORGED[0],
    "all checks": b"".join(FORGED[1:]),
    "all checks from the import on": b"".join(FORGED),
    "all checks without a value": b"".join(EMPTY),
    "the last check first": EMPTY[-1],
    "a check that does not exist": frames.encode(replace(WRONG, check=UGLY)),
    "ending passed": changed(b'"returned"', b'"passed"'),
    "ending timeout": changed(b'"returned"', b'"timeout"'),
    "ending crashed": changed(b'"returned"', b'"crashed"'),
    "endless seconds": changed(b'"seconds":0.25', b'"seconds":1e999'),
    "seconds too large for a float": changed(b'"seconds":0.25', b'"seconds":1' + b"0" * 400),
    "an error without a type": changed(b'["ValueError","Exception"]', b"[]"),
    "a shape that numpy refuses": changed(b"[2,3]", b"[0,549755813888,549755813888]"),
    "nested deeply": changed(b'["a",0]', json.dumps(nested(1, 400), separators=(",", ":")).encode()),
    "huge integers": holding(10**6000, [10**6000, {10**6000: -(10**6000)}]),
    "escapes and surrogates": frames.encode(replace(WRONG, observations=(Observation(UGLY, {UGLY: [UGLY]}),) * 50)),
    "as many values as allowed": holding([[]] * (values.MAX_VALUES // 2)),
    "more values than allowed": changed(b'["a",0]', b'["l",[' + b'["l",[]],' * 100_000 + b'["l",[]]]]'),
    "keys with one hash": changed(
        b'["a",0]', b'["d",[%s]]' % b",".join(b'[["i","0x%x"],0]' % (i * (2**61 - 1)) for i in range(9, 30_000))
    ),
    "a frame after the others": b"".join(FORGED[1:]) + FORGED[1],
}
ACTS = {
    "zeros without end": "while True: send(bytes(65536))",
    "frames without end": "while True: send(SENT)",
    "from a thread": "threading.Thread(target=lambda: [send(SENT) for _ in range(1000)]).start()",
    "the channel closed": "for descriptor in list(pipes()): os.close(descriptor)",
}


def attacked(act: str, sent: bytes, where: str) -> str:
    """A wrong answer that does something to the channel as well."""
    text = SOLUTION.replace(
        "return x * 2", "return attack() + 1 + x * 2" if where == "call" else "return 1 + x * 2"
    )
    attack = f"{FIND_THE_CHANNEL}\nSENT = {literal(sent)}\ndef attack():\n    {act}\n    return 0\n"
    return text + attack + ("attack()\n" if where == "import" else "")


def literal(data: bytes) -> str:
    """An expression for some bytes, short where they repeat: a learner's file may not be of any length."""
    return f"zlib.decompress({zlib.compress(data)!r})"


@pytest.mark.parametrize("where", ["import", "call"])
@pytest.mark.parametrize(
    "act, sent",
    [
        *(pytest.param("send(SENT)", sent, id=name) for name, sent in SENT.items()),
        *(pytest.param(act, b"".join(EMPTY), id=name) for name, act in ACTS.items()),
        pytest.param("send(SENT); os._exit(0)", b"".join(EMPTY), id="all results, and gone"),
        pytest.param("send(SENT); os._exit(0)", b"".join(EMPTY[1:]), id="the results to come, and gone"),
    ],
)
def test_a_real_pipe(grade: Callable[[str], ExerciseResult], where: str, act: str, sent: bytes) -> None:
    result = grade(attacked(act, sent, where))
    assert result.status not in (Status.PASSED, Status.GRADER_ERROR)
    assert "test_double" not in {check.name for check in result.checks if check.status is Status.PASSED}
    assert grade(SOLUTION).status is Status.PASSED


@pytest.mark.parametrize("where", ["import", "call"])
def test_the_attacks_reach_the_channel(grade: Callable[[str], ExerciseResult], where: str) -> None:
    """Else the test above would show nothing."""
    result = grade(attacked("send(SENT)", SENT["garbage"], where))
    assert result.status is Status.CRASHED
    assert result.first_open and "a result that cannot be read" in result.first_open.message
