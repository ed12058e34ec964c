"""The exercises of this repository: what each consists of, read and checked.

An exercise `ex06_attention` consists of `exercises/ex06_attention.py`, `solutions/ex06_attention.py`,
`tests/test_ex06_attention.py` (the probes) and the folder `tutor/ex06_attention` (hints, mistakes).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from grader.course.bases import read_bases
from grader.course.exercise import Check, Exercise
from grader.course.outline import follow_imports, outline, parse
from grader.course.promises import one_line
from grader.course.scene import Scene, read_scene
from grader.course.stubs import derive_stub, optional_functions
from grader.course.tutor_file import read_heading, read_tutor
from grader.errors import UsageError
from grader.protocol.job import Source

# In a file of probes, those of the fine print follow this line.
FINE_PRINT = "# The fine print."


def load(root: Path, ids: Sequence[str] | None = None) -> tuple[Exercise, ...]:
    """The exercises with these ids, or every one, in the order of their numbers.

    Raises `UsageError` with the file and what is wrong in it.
    """
    return tuple(_load(root, name) for name in exercise_ids(root) if ids is None or name in ids)


@dataclass(frozen=True)
class Course:
    """The exercises that can be read, in order, and for each of the others what is wrong with it."""

    exercises: tuple[Exercise, ...]
    problems: dict[str, str]


def load_readable(root: Path, ids: Sequence[str] | None = None) -> Course:
    """As `load`, but what is wrong with one exercise leaves the others alone."""
    exercises: list[Exercise] = []
    problems: dict[str, str] = {}
    for name in exercise_ids(root):
        if ids is None or name in ids:
            try:
                exercises.append(_load(root, name))
            except UsageError as error:
                problems[name] = str(error)
    return Course(tuple(exercises), problems)


@dataclass(frozen=True)
class Heading:
    """What stands in a list of exercises. `problem` says what is wrong with its file, if anything is."""

    id: str
    title: str = ""
    minutes: int = 0
    problem: str = ""


def headings(root: Path) -> tuple[Heading, ...]:
    """A heading for each exercise, in order, without reading the exercises."""
    return tuple(_heading(root, name) for name in exercise_ids(root))


def _heading(root: Path, name: str) -> Heading:
    try:
        return Heading(name, *read_heading(root / "tutor" / name))
    except UsageError as error:
        return Heading(name, problem=str(error))


def exercise_ids(root: Path) -> tuple[str, ...]:
    """The names of all exercises, in order, without reading them. Raises `UsageError` if there are none."""
    names = sorted(path.stem for path in (root / "solutions").glob("ex[0-9][0-9]_*.py"))
    if not names:
        raise UsageError(f"{root / 'solutions'} holds no exercise; is this the root of the repository?")
    return tuple(names)


def choose(root: Path, wanted: Sequence[str]) -> tuple[Exercise, ...]:
    """The exercises named by `ex06`, `6` or `ex06_attention`, in their order. No other is read."""
    return load(root, find(exercise_ids(root), wanted))


def find(ids: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Which ids these words mean, in their order. Raises `UsageError` for a word that means none."""
    chosen: set[str] = set()
    for word in wanted:
        name = Path(word).stem
        name = f"ex{int(name):02d}" if re.fullmatch(r"\d{1,2}", name) else name
        matches = [known for known in ids if known == name or known[:4] == name]
        if not matches:
            raise UsageError(f"There is no exercise {word!r}. There are: {', '.join(ids)}.")
        chosen.update(matches)
    return sorted(chosen)


def _load(root: Path, name: str) -> Exercise:
    folder = root / "solutions"
    sources = follow_imports(name, partial(_solution, folder, name))
    solution = sources[name]
    probes = _read(root / "tests" / f"test_{name}.py")
    try:
        solution_outline, stub = outline(solution.text), derive_stub(solution.text)
        checks = read_checks(probes.text, optional_functions(solution.text))
    except SyntaxError as error:
        raise UsageError(f"{solution.path} or its probes cannot be read: {error}.") from error
    tutor = read_tutor(root / "tutor" / name, solution.text, outline(stub).stubs())
    bases = list(read_bases(root / "tutor" / name / "bases", tutor.mistakes))
    return Exercise(
        id=name,
        title=tutor.title,
        minutes=tutor.minutes,
        solution=solution,
        imported={other: source for other, source in sources.items() if other != name},
        solution_outline=solution_outline,
        stub=stub,
        probes=probes,
        checks=checks,
        hints=tutor.hints,
        forbidden=tutor.forbidden,
        mistakes=(*tutor.mistakes, *(mistake for _, mistakes in bases for mistake in mistakes)),
        equivalents=tutor.equivalents,
        scene=_scene(root / "scenes" / f"{name}.py"),
        bases=tuple(base for base, _ in bases),
    )


def _scene(path: Path) -> Scene | None:
    source = _read_if_there(path)
    try:
        return None if source is None else read_scene(source)
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


def _solution(folder: Path, exercise: str, name: str) -> Source | None:
    """A solution; None where the exercise imports a module of this name that is none."""
    path = folder / f"{name}.py"
    return _read(path) if name == exercise else _read_if_there(path)


def _read_if_there(path: Path) -> Source | None:
    return _read(path) if path.exists() else None


def _read(path: Path) -> Source:
    try:
        return Source(str(path), path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} is missing; every exercise has one.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


def read_checks(probes: str, optional: Container[str] = ()) -> tuple[Check, ...]:
    """The probes in a test file, in order. `optional` names the functions that may be left stubs."""
    lines = probes.splitlines()
    fine_print = lines.index(FINE_PRINT) + 1 if FINE_PRINT in lines else len(lines)
    functions = {node.name: node for node in parse(probes).body if isinstance(node, ast.FunctionDef)}
    checks = []
    for name, node in functions.items():
        if name.startswith("test_"):
            used = tuple(dict.fromkeys(_used(node, functions)))
            about = used[0] if used else ""
            promise = one_line(ast.get_docstring(node) or "")
            checks.append(Check(name, about, used, node.lineno > fine_print, about in optional, promise))
    return tuple(checks)


def _used(node: ast.FunctionDef, helpers: Mapping[str, ast.FunctionDef]) -> Iterator[str]:
    """What a probe uses of its subject: itself first, then in the functions that it calls."""
    parts = list(ast.walk(node))
    for part in parts:
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "subject":
            yield part.attr
    called = {part.id for part in parts if isinstance(part, ast.Name)} & helpers.keys()
    for name in sorted(called):
        yield from _used(helpers[name], {other: helpers[other] for other in helpers if other != name})
