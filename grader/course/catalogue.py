"""The exercises of this repository: what each consists of, read and checked.

An exercise `ex06_attention` consists of `exercises/ex06_attention.py`, `solutions/ex06_attention.py`,
`tests/test_ex06_attention.py` (the probes) and the folder `tutor/ex06_attention` (hints, mistakes).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from grader.course.outline import Outline, outline
from grader.course.parsing import parse
from grader.course.stubs import derive_stub
from grader.course.tutor_file import Edit, Mistake, read_tutor
from grader.errors import UsageError
from grader.learner.submission import Unreadable, read_subject
from grader.protocol.job import Source


@dataclass(frozen=True)
class Check:
    """One probe: its name, and the function or class that it is about (the first `subject.…` in it)."""

    name: str
    function: str


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


def load(root: Path) -> tuple[Exercise, ...]:
    """Every exercise in the order of its number. Raises `UsageError` with the file and what is wrong in it."""
    return tuple(_load(root, name) for name in exercise_ids(root))


def exercise_ids(root: Path) -> tuple[str, ...]:
    """The names of all exercises, in order, without reading them. Raises `UsageError` if there are none."""
    names = sorted(path.stem for path in (root / "solutions").glob("ex[0-9][0-9]_*.py"))
    if not names:
        raise UsageError(f"{root / 'solutions'} holds no exercise; is this the root of the repository?")
    return tuple(names)


def choose(exercises: tuple[Exercise, ...], wanted: list[str]) -> tuple[Exercise, ...]:
    """The exercises named by `ex06`, `6` or `ex06_attention`, in the order of the catalogue."""
    named = find(tuple(exercise.id for exercise in exercises), wanted)
    return tuple(exercise for exercise in exercises if exercise.id in named)


def find(ids: tuple[str, ...], wanted: list[str]) -> set[str]:
    """Which ids these words mean. Raises `UsageError` for a word that means none."""
    chosen = set()
    for word in wanted:
        name = Path(word).stem
        name = f"ex{int(name):02d}" if re.fullmatch(r"\d{1,2}", name) else name
        matches = [known for known in ids if known == name or known[:4] == name]
        if not matches:
            raise UsageError(f"There is no exercise {word!r}. There are: {', '.join(ids)}.")
        chosen.update(matches)
    return chosen


def _load(root: Path, name: str) -> Exercise:
    solution = _read(root / "solutions" / f"{name}.py")
    probes = _read(root / "tests" / f"test_{name}.py")
    try:
        solution_outline, stub = outline(solution.text), derive_stub(solution.text)
        checks = read_checks(probes.text)
    except SyntaxError as error:
        raise UsageError(f"{solution.path} or its probes cannot be read: {error}.") from error
    tutor = read_tutor(root / "tutor" / name, solution.text, outline(stub).stubs())
    return Exercise(
        id=name,
        title=tutor.title,
        minutes=tutor.minutes,
        solution=solution,
        imported=_imported(root / "solutions", name),
        solution_outline=solution_outline,
        stub=stub,
        probes=probes,
        checks=checks,
        hints=tutor.hints,
        forbidden=tutor.forbidden,
        mistakes=tutor.mistakes,
        equivalents=tutor.equivalents,
    )


def _imported(folder: Path, name: str) -> dict[str, Source]:
    try:
        subject = read_subject(folder, name)
    except Unreadable as problem:
        raise UsageError(f"{problem.path}: {problem}") from problem
    return {other: subject.sources[other] for other in subject.imported}


def _read(path: Path) -> Source:
    try:
        return Source(str(path), path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing; every exercise has one.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


def read_checks(probes: str) -> tuple[Check, ...]:
    """The probes in a test file, in order."""
    checks = []
    for node in parse(probes).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            named = (
                part.attr
                for part in ast.walk(node)
                if isinstance(part, ast.Attribute)
                and isinstance(part.value, ast.Name)
                and part.value.id == "subject"
            )
            checks.append(Check(node.name, next(named, "")))
    return tuple(checks)
