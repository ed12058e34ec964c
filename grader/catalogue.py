"""The exercises of this repository: what each consists of, read and checked.

An exercise `ex06_attention` is four files: `exercises/ex06_attention.py`, `solutions/ex06_attention.py`,
`tests/test_ex06_attention.py` (the probes) and `tutor/ex06_attention.toml` (hints, mistakes, equivalents).
"""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import UsageError
from grader.outline import Outline, outline
from grader.parsing import parse
from grader.sources import Unreadable, read_subject
from grader.stubs import derive_stub
from grader.subject.job import Source

HINTS_PER_FUNCTION = 3


@dataclass(frozen=True)
class Check:
    """One probe: its name, and the function or class that it is about (the first `subject.…` in it)."""

    name: str
    function: str


@dataclass(frozen=True)
class Edit:
    """A replacement in the solution: `find` stands there exactly once."""

    name: str
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
    tutor = _read(root / "tutor" / f"{name}.toml")
    try:
        table = tomllib.loads(tutor.text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{tutor.path} is not valid TOML: {error}.") from error
    reader = _Reader(tutor.path, solution.text)
    reader.only_keys(table, {"title", "minutes", "hints", "forbidden", "mistake", "equivalent"}, "the file")
    try:
        solution_outline, stub = outline(solution.text), derive_stub(solution.text)
        checks = read_checks(probes.text)
    except SyntaxError as error:
        raise UsageError(f"{solution.path} or its probes cannot be read: {error}.") from error
    mistakes = tuple(reader.mistake(entry) for entry in reader.entries(table, "mistake"))
    equivalents = tuple(reader.equivalent(entry) for entry in reader.entries(table, "equivalent"))
    reader.different_names([*mistakes, *equivalents])
    return Exercise(
        id=name,
        title=reader.value(table, "title", str, "the file"),
        minutes=reader.value(table, "minutes", int, "the file"),
        solution=solution,
        imported=_imported(root / "solutions", name),
        solution_outline=solution_outline,
        stub=stub,
        probes=probes,
        checks=checks,
        hints=reader.hints(table, outline(stub).stubs()),
        forbidden=reader.forbidden(table),
        mistakes=mistakes,
        equivalents=equivalents,
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


@dataclass(frozen=True)
class _Reader:
    """Takes values out of a tutor file, and says which entry of which file is wrong."""

    path: str
    solution: str

    def fail(self, what: str) -> UsageError:
        return UsageError(f"{self.path}: {what}.")

    def only_keys(self, table: dict[str, Any], keys: set[str], where: str) -> None:
        unknown = sorted(set(table) - keys)
        if unknown:
            raise self.fail(f"{where} has the unknown key {unknown[0]!r}; known are {', '.join(sorted(keys))}")

    def value(self, table: dict[str, Any], key: str, kind: type, where: str) -> Any:
        value = table.get(key)
        if not isinstance(value, kind) or value == "":
            raise self.fail(f"{where} needs {key!r}, {'text' if kind is str else 'a whole number'}")
        return value

    def entries(self, table: dict[str, Any], key: str) -> list[dict[str, Any]]:
        entries = table.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self.fail(f"write each {key} as [[{key}]]")
        return entries

    def mistake(self, entry: dict[str, Any]) -> Mistake:
        self.only_keys(entry, {"name", "find", "with", "says", "hangs"}, "a mistake")
        edit = self.edit(entry, "mistake")
        says = self.value(entry, "says", str, f"the mistake {edit.name!r}")
        return Mistake(edit.name, edit.find, edit.replacement, " ".join(says.split()), bool(entry.get("hangs")))

    def equivalent(self, entry: dict[str, Any]) -> Edit:
        self.only_keys(entry, {"name", "find", "with"}, "an equivalent")
        return self.edit(entry, "equivalent")

    def edit(self, entry: dict[str, Any], what: str) -> Edit:
        name = self.value(entry, "name", str, f"every {what}")
        find = self.value(entry, "find", str, f"the {what} {name!r}")
        replacement = entry.get("with")
        if not isinstance(replacement, str) or replacement == find:
            raise self.fail(f"the {what} {name!r} needs 'with', the text that replaces 'find'")
        count = self.solution.count(find)
        if count != 1:
            raise self.fail(f"the {what} {name!r}: its 'find' stands in the solution {count} times, not once")
        return Edit(name, find, replacement)

    def different_names(self, edits: list[Edit]) -> None:
        names = [edit.name for edit in edits]
        for name in names:
            if names.count(name) > 1:
                raise self.fail(f"two entries have the name {name!r}")

    def hints(self, table: dict[str, Any], functions: list[str]) -> dict[str, tuple[str, ...]]:
        hints = table.get("hints", {})
        for name in functions:
            given = hints.get(name)
            if not isinstance(given, list) or len(given) != HINTS_PER_FUNCTION or not all(map(str.strip, given)):
                raise self.fail(f"[hints] needs {HINTS_PER_FUNCTION} hints for {name!r}")
        unknown = sorted(set(hints) - set(functions))
        if unknown:
            raise self.fail(f"[hints] names {unknown[0]!r}, which the exercise does not ask for")
        return {name: tuple(" ".join(hint.split()) for hint in hints[name]) for name in functions}

    def forbidden(self, table: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        forbidden = table.get("forbidden", {})
        if not isinstance(forbidden, dict) or not all(isinstance(names, list) for names in forbidden.values()):
            raise self.fail("[forbidden] maps a function, or '*', to a list of names")
        return {name: tuple(map(str, names)) for name, names in forbidden.items()}


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
