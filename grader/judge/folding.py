"""Long lines of Python code, broken within their brackets so that they fit into a terminal."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Iterable, Iterator
from itertools import pairwise

WIDTH = 76
INDENT = "    "
OPENING, CLOSING = "([{", ")]}"
IN_F_STRING = {
    getattr(tokenize, "FSTRING_START", -1): 1,  # from Python 3.12 on, what is in an f-string are tokens of its own
    getattr(tokenize, "FSTRING_END", -1): -1,
}


def folded(lines: Iterable[str]) -> Iterator[str]:
    """These lines, each statement on one of them; a long one on several."""
    for line in lines:
        yield from _folded(line)


def _folded(line: str) -> Iterator[str]:
    pair = _outermost(line) if len(line) > WIDTH else None
    if pair is None:
        yield line
        return
    start, end, joints = pair
    margin = line[: len(line) - len(line.lstrip())]
    cuts = [start + 1, *joints, end]
    items = [line[a:b].strip() for a, b in pairwise(cuts)]
    yield line[: start + 1]
    inner = " ".join(items)
    if len(margin + INDENT + inner) <= WIDTH:
        yield margin + INDENT + inner
    else:
        for item in items:
            yield from _folded(margin + INDENT + item)
    yield from _folded(margin + line[end:])


def _outermost(line: str) -> tuple[int, int, list[int]] | None:
    """The longest of the brackets that stand in no other: where it opens and closes, and where it may be broken."""
    found: list[tuple[int, int, list[int]]] = []
    depth = in_text = start = 0
    commas: list[int] = []
    clauses: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(line.strip()).readline):
            in_text += IN_F_STRING.get(token.type, 0)
            column = token.start[1] + len(line) - len(line.lstrip())
            if not in_text and depth == 1 and token.string in ("for", "if"):
                clauses.append(column)
            if in_text or token.type != tokenize.OP:
                continue
            if token.string in OPENING:
                depth += 1
                if depth == 1:
                    start, commas, clauses = column, [], []
            elif token.string in CLOSING:
                depth -= 1
                if depth == 0:
                    found.append((start, column, clauses or commas))  # a comprehension has other joints than a list
            elif token.string == "," and depth == 1:
                commas.append(column + 1)
    except tokenize.TokenError:
        pass  # a line with brackets that are closed in another one
    long = [pair for pair in found if pair[1] > pair[0] + 1]
    return max(long, key=lambda pair: pair[1] - pair[0], default=None)
