"""What an exercise consists of: its probes, its known mistakes, its solution and the stub that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from grader.course.outline import Outline
from grader.protocol.job import Source


@dataclass(frozen=True)
class Check:
    """One probe: its name, and the function or class that it is about (the first `subject.…` in it)."""

    name: str
    function: str


@dataclass(frozen=True)
class Edit:
    """A replacement in the solution, where `find` stands exactly once. `function` is what it is about.

    Several edits have one `name` where they are the same mistake, made in another way or at another place.
    """

    name: str
    function: str
    find: str
    replacement: str


@dataclass(frozen=True)
class Mistake(Edit):
    """A wrong version of the solution, and what a learner who wrote it is told.

    `hangs` marks one that never ends, so that nobody waits for it without need.
    """

    says: str
    hangs: bool = False


@dataclass(frozen=True)
class Exercise:
    """Everything that is known about an exercise except the learner's text.

    `imported` holds the other solutions that this one imports, by module name. `forbidden` maps a function to
    the torch operations that it may not call, and `*` to the packages that the exercise may not import.
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

    @property
    def file_name(self) -> str:
        return f"{self.id}.py"
