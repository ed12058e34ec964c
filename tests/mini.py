"""A small exercise, for the tests of the grader: its four parts as texts, and a repository made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ID = "ex00_mini"
BODY = "return x * 2"

SOLUTION = '''"""A small exercise."""

import torch


def double(x):
    """Twice x."""
    # What a reader of the solution should see, and a learner should not.
    return x * 2


def total(x):
    """The sum of x over its last axis."""
    return x.sum(dim=-1)


class Counter:
    """Counts."""

    def __init__(self):
        """Begin at 0."""
        super().__init__()
        self.count = 0

    def add(self, amount=1):
        """Add, and return the new count. Raises ValueError for a negative amount, and names it."""
        if amount < 0:
            raise ValueError(f"cannot add {amount}")
        self.count += amount
        return self.count


def _helper():
    return None
'''

PROBES = """
import torch


def test_double(subject, draw, observe):
    observe("doubled", subject.double(draw.normal(2, 3)))


def test_total(subject, draw, observe):
    observe("total", subject.total(draw.normal(2, 3)))


def test_counter(subject, draw, observe):
    counter = subject.Counter()
    observe("counts", [counter.add(), counter.add(5)])
    observe.outcome("negative", counter.add, -3, mentions=("-3",))
"""

HINTS = 'hints = ["one", "two", "three"]\n'
TRIPLED = """
[mistake.tripled]
find = "x * 2"
with = "x * 3"
says = "You triple."
"""
ENDLESS = '''
[mistake.endless]
find = "return x * 2"
with = """while True:
        pass"""
says = "Your loop does not end."
hangs = true
'''
ADDED = """
[equivalent.added]
find = "x * 2"
with = "x + x"
"""
TITLE = """title = "Mini"
minutes = 20
"""
FORBIDDEN = """
[forbidden]
double = ["sum", "AdamW", "clip_grad_norm_"]
"*" = ["tiktoken"]
"""
TUTOR = {
    "exercise": TITLE + FORBIDDEN,
    "double": HINTS + TRIPLED + ENDLESS + ADDED,
    "total": HINTS,
    "Counter.__init__": HINTS,
    "Counter.add": HINTS,
}


def with_body(body: str) -> str:
    """The solution, with something else for what `double` does."""
    assert SOLUTION.count(BODY) == 1
    return SOLUTION.replace(BODY, body)


def write_exercise(
    root: Path,
    name: str = ID,
    solution: str = SOLUTION,
    probes: str = PROBES,
    tutor: Mapping[str, str] = TUTOR,
) -> None:
    """Write all parts of an exercise but the learner's file. `tutor` maps a file's name to its text."""
    files = {f"solutions/{name}.py": solution, f"tests/test_{name}.py": probes}
    files |= {f"tutor/{name}/{file}.toml": text for file, text in tutor.items()}
    for file, text in files.items():
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def reader(data: bytes) -> Callable[[int], bytes]:
    """Reads from these bytes as from a pipe."""
    view = memoryview(data)

    def take(size: int) -> bytes:
        nonlocal view
        part, view = bytes(view[:size]), view[size:]
        return part

    return take
