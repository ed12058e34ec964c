"""What an exercise consists of: its probes, its known mistakes, its solution and the stub that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from grader.course.outline import Outline, outline
from grader.course.scene import Scene
from grader.protocol.job import Source


@dataclass(frozen=True)
class Check:
    """One probe.

    `function` is what it is about, the first `subject.…` in it, and `uses` is all of them. `fine_print` says which
    part of a docstring it holds to its word. An `optional` one is about a function that may be left a stub.
    `promise` is the sentence of a docstring that it holds the code to.
    """

    name: str
    function: str
    uses: tuple[str, ...] = ()
    fine_print: bool = False
    optional: bool = False
    promise: str = ""


@dataclass(frozen=True)
class Edit:
    """A replacement in the solution, where `find` stands exactly once. `function` is what it is about.

    Several edits have one `name` where they are the same mistake, made in another way or at another place. `base`
    names the base that it edits, where that is not the solution itself.
    """

    name: str
    function: str
    find: str
    replacement: str
    base: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class Mistake(Edit):
    """A wrong version of the solution, and what a learner who wrote it is told.

    `hangs` marks one that never ends, so that nobody waits for it without need.
    """

    says: str
    hangs: bool = False


@dataclass(frozen=True)
class Base:
    """A whole right solution in another decomposition. The same mistake breaks other checks in it."""

    name: str
    about: str
    text: str


@dataclass(frozen=True)
class Exercise:
    """Everything that is known about an exercise except the learner's text.

    `scene` shows what finished code can do, where there is one.
    `imported` holds the other solutions that this one imports, by module name. `forbidden` maps a function to
    the torch operations that it may not call, and `*` to the packages that the exercise may not import.
    `mistakes` are edits of the solution and of the `bases`.
    """

    id: str
    title: str
    minutes: int
    solution: Source
    imported: dict[str, Source]
    solution_outline: Outline
    stub: str
    probes: Source
    checks: tuple[Check, ...]
    hints: dict[str, tuple[str, ...]]
    forbidden: dict[str, tuple[str, ...]]
    mistakes: tuple[Mistake, ...]
    equivalents: tuple[Edit, ...]
    scene: Scene | None = None
    bases: tuple[Base, ...] = ()

    def text_of(self, base: str) -> str:
        """The text of a base by its name; the solution's for no name."""
        return next((each.text for each in self.bases if each.name == base), self.solution.text)

    @property
    def file_name(self) -> str:
        return f"{self.id}.py"

    @property
    def root(self) -> Path:
        """The folder that holds `solutions/`, `tests/` and the rest."""
        return Path(self.solution.path).parent.parent

    @cached_property
    def asked(self) -> dict[str, tuple[str, ...]]:
        """What this exercise and those that it imports have to define, by module: functions, and methods as
        `Class.method`."""
        return {name: _asked(source.text) for name, source in (*self.imported.items(), (self.id, self.solution))}


def _asked(solution: str) -> tuple[str, ...]:
    return tuple(
        name
        for name, function in outline(solution).functions.items()
        if not any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
        if not function.may_be_missing
    )
