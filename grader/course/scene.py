"""What an author says about a scene, read without running it: what it needs, and how long it may take."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from grader.course.outline import parse
from grader.protocol.job import Source

LOOK = "look"
SECONDS = 30.0


@dataclass(frozen=True)
class Scene:
    """A file in `scenes/`.

    `needs` names exercises beyond the scene's own and what that imports. `seconds` is the limit on its time.
    `takes` holds the names of what `look` asks for.
    """

    source: Source
    needs: tuple[str, ...]
    seconds: float
    takes: frozenset[str]


def read_scene(source: Source) -> Scene:
    """Read NEEDS and SECONDS, and the parameters of `look`. Raises `SyntaxError` or `ValueError`."""
    constants: dict[str, Any] = {}
    takes: frozenset[str] = frozenset()
    for node in parse(source.text).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="NEEDS" | "SECONDS" as name)]):
                constants[name] = ast.literal_eval(node.value)
            case ast.FunctionDef(name="look"):
                takes = frozenset(argument.arg for argument in node.args.args)
    return Scene(source, tuple(constants.get("NEEDS", ())), float(constants.get("SECONDS", SECONDS)), takes)
