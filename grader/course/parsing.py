"""Parse Python, one text at a time: up to 3.12, its parser counts how deep it is for all threads together."""

from __future__ import annotations

import ast
import threading

_one_at_a_time = threading.Lock()


def parse(text: str) -> ast.Module:
    """The syntax tree of a text. Raises SyntaxError, ValueError (null bytes), RecursionError or MemoryError.

    Source: https://github.com/python/cpython/issues/106905
    """
    with _one_at_a_time:
        return ast.parse(text)
