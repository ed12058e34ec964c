"""What a probe observes, read without running it: under which names, and what it calls on the way there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from grader.course.outline import parse


@dataclass(frozen=True)
class Shown:
    """A call of `observe` in a probe.

    `name` is a pattern for the name, which may hold what is known only when it runs. `parts` are the attributes in
    the value, and `before` those on the way there, both in order.
    """

    name: str
    parts: tuple[str, ...]
    before: tuple[str, ...]


@lru_cache(maxsize=32)
def shown(probes: str) -> dict[str, tuple[Shown, ...]]:
    """For each probe in a test file what it observes, also in functions that it calls, in the order of the text."""
    functions = {node.name: node for node in parse(probes).body if isinstance(node, ast.FunctionDef)}
    return {
        name: tuple(_shown(node, functions, [])) for name, node in functions.items() if name.startswith("test_")
    }


def is_observe(call: ast.Call) -> bool:
    """`observe(…)` or `observe.outcome(…)`."""
    function = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    return isinstance(function, ast.Name) and function.id == "observe"


def _shown(node: ast.AST, helpers: Mapping[str, ast.FunctionDef], before: list[str]) -> Iterator[Shown]:
    """`before` collects the attributes on the way."""
    match node:
        case ast.Call() if is_observe(node):
            parts = [
                part.attr
                for value in node.args[1:]
                for part in ast.walk(value)
                if isinstance(part, ast.Attribute) and _is_part(part)
            ]
            yield Shown(_pattern(node.args[0]), tuple(parts), tuple(before))
            before += parts
            return
        case ast.Attribute():
            yield from _shown(node.value, helpers, before)
            if _is_part(node):
                before.append(node.attr)
            return
    for child in ast.iter_child_nodes(node):
        yield from _shown(child, helpers, before)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in helpers:
        others = {name: helper for name, helper in helpers.items() if name != node.func.id}
        yield from _shown(helpers[node.func.id], others, before)


def _is_part(node: ast.Attribute) -> bool:
    """An attribute of something that the subject gave, perhaps: none of the subject itself, of torch, of `draw`."""
    owner = node.value
    return not (isinstance(owner, ast.Name) and owner.id in ("subject", "torch", "nn", "draw", "observe"))


def _pattern(name: ast.expr) -> str:
    match name:
        case ast.Constant(str(text)):
            return re.escape(text)
        case ast.JoinedStr(parts):
            return "".join(_pattern(part) for part in parts)
    return ".*"
