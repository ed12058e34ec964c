"""Read what the author of an exercise wrote for the tutor: a folder of TOML files, one for each function.

`tutor/ex06_attention/exercise.toml` holds what concerns the whole exercise, `CausalAttention.forward.toml` the
hints, the known mistakes and the known equivalents of that method. What is wrong in a file is said with its name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from grader.course.exercise import Edit, Mistake
from grader.course.outline import places_in_code, without_docstrings
from grader.errors import UsageError

# Of a function to write; long ones have the larger number.
FEWEST_HINTS, MOST_HINTS = 3, 4
EXERCISE_FILE = "exercise.toml"
# What begins with this in a hint is code.
CODE_INDENT = " " * 4
FEWEST_MINUTES, MOST_MINUTES = 15, 60


@dataclass(frozen=True)
class Tutor:
    """What the folder of one exercise holds.

    `hints` has three or four for each function to write; the last is the whole solution. `forbidden` maps a
    function to the torch operations that it may not call, and `*` to the packages that the exercise may not import.
    """

    title: str
    minutes: int
    hints: dict[str, tuple[str, ...]]
    forbidden: dict[str, tuple[str, ...]]
    mistakes: tuple[Mistake, ...]
    equivalents: tuple[Edit, ...]


def read_tutor(folder: Path, solution: str, functions: Sequence[str]) -> Tutor:
    """The folder of an exercise with this solution, in which these functions are to be written.

    Raises `UsageError` with the file and what is wrong in it.
    """
    general = TutorFile.at(folder / EXERCISE_FILE)
    general.only_keys(general.table, {"title", "minutes", "forbidden"}, "the file")
    title, minutes = general.heading()
    _check_names(folder, functions)
    files = {name: TutorFile.at(folder / f"{name}.toml") for name in functions}
    hints: dict[str, tuple[str, ...]] = {}
    mistakes: list[Mistake] = []
    equivalents: list[Edit] = []
    for function, file in files.items():
        file.only_keys(file.table, {"hints", "mistake", "equivalent"}, "the file")
        hints[function] = file.hints()
        mistakes += file.mistakes(function, solution)
        equivalents += file.equivalents(function, solution)
    _check_for_doubles(folder, [*mistakes, *equivalents])
    return Tutor(title, minutes, hints, general.forbidden(), tuple(mistakes), tuple(equivalents))


def read_heading(folder: Path) -> tuple[str, int]:
    """The title of an exercise and the minutes that it takes, without reading more. Raises `UsageError`."""
    return TutorFile.at(folder / EXERCISE_FILE).heading()


def _check_names(folder: Path, functions: Sequence[str]) -> None:
    known = {EXERCISE_FILE, *(f"{name}.toml" for name in functions)}
    for path in sorted(folder.glob("*.toml")):
        if path.name not in known:
            raise UsageError(f"{path} is about {path.stem!r}, which the exercise does not ask for.")


def _check_for_doubles(folder: Path, edits: Sequence[Edit]) -> None:
    """Within a table TOML itself refuses a second entry of one name."""
    owners: dict[str, Edit] = {}
    for edit in edits:
        other = owners.setdefault(edit.name, edit)
        if (type(other), other.function) != (type(edit), edit.function):
            where = folder / f"{edit.function}.toml"
            raise UsageError(f"{where}: two entries have the name {edit.name!r}, at {other.function} and here.")


@dataclass(frozen=True)
class TutorFile:
    """One TOML file, and what to say when an entry of it is wrong."""

    path: Path
    table: dict[str, Any]

    @staticmethod
    def at(path: Path) -> TutorFile:
        try:
            return TutorFile(path, tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise UsageError(f"{path} is missing; every exercise and each of its functions has one.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}.") from error
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path} is not valid TOML: {error}.") from error

    def error(self, what: str) -> UsageError:
        return UsageError(f"{self.path}: {what}.")

    def only_keys(self, table: dict[str, Any], keys: set[str], where: str) -> None:
        unknown = sorted(set(table) - keys)
        if unknown:
            raise self.error(f"{where} has the unknown key {unknown[0]!r}; known are {', '.join(sorted(keys))}")

    def value(self, table: dict[str, Any], key: str, kind: type, where: str) -> Any:
        value = table.get(key)
        if not isinstance(value, kind) or value == "":
            raise self.error(f"{where} needs {key!r}, {'text' if kind is str else 'a whole number'}")
        return value

    def heading(self) -> tuple[str, int]:
        minutes = self.value(self.table, "minutes", int, "the file")
        if not FEWEST_MINUTES <= minutes <= MOST_MINUTES:
            raise self.error(f"an exercise takes {FEWEST_MINUTES} to {MOST_MINUTES} minutes, not {minutes}")
        return self.value(self.table, "title", str, "the file"), minutes

    def hints(self) -> tuple[str, ...]:
        given = self.table.get("hints")
        hints = given if isinstance(given, list) and all(isinstance(hint, str) for hint in given) else []
        if not (FEWEST_HINTS <= len(hints) <= MOST_HINTS and all(map(str.strip, hints))):
            raise self.error(f"it needs {FEWEST_HINTS} or {MOST_HINTS} hints, as hints = [...]")
        return tuple(_with_blocks(hint) for hint in hints)

    def forbidden(self) -> dict[str, tuple[str, ...]]:
        forbidden = self.table.get("forbidden", {})
        if not isinstance(forbidden, dict) or not all(isinstance(names, list) for names in forbidden.values()):
            raise self.error("[forbidden] maps a function, or '*', to a list of names")
        return {name: tuple(map(str, names)) for name, names in forbidden.items()}

    def mistakes(self, function: str, solution: str) -> Iterator[Mistake]:
        for name, entry in self._entries("mistake"):
            where = f"the mistake {name!r}"
            self.only_keys(entry, {"find", "with", "says", "hangs", "also"}, where)
            says = _joined(self.value(entry, "says", str, where))
            for find, replacement in self._edits(entry, where, solution):
                yield Mistake(name, function, find, replacement, says, bool(entry.get("hangs")))

    def equivalents(self, function: str, solution: str) -> Iterator[Edit]:
        for name, entry in self._entries("equivalent"):
            where = f"the equivalent {name!r}"
            self.only_keys(entry, {"find", "with"}, where)
            for find, replacement in self._edits(entry, where, solution):
                yield Edit(name, function, find, replacement)

    def edits(self, base: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """For each mistake, by its name, how it is made in the text of another base."""
        for name, entry in self._entries("mistake"):
            where = f"the mistake {name!r}"
            self.only_keys(entry, {"find", "with", "also"}, where)
            yield name, list(self._edits(entry, where, base))

    def _entries(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        entries = self.table.get(kind, {})
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
            raise self.error(f"write each {kind} as [{kind}.its-name]")
        yield from entries.items()

    def _edits(self, entry: dict[str, Any], where: str, solution: str) -> Iterator[tuple[str, str]]:
        """The edit of an entry, and those of its `also`."""
        others = entry.get("also", [])
        if not isinstance(others, list) or not all(isinstance(other, dict) for other in others):
            raise self.error(f"{where}: write each further edit as [[….also]]")
        for other in others:
            self.only_keys(other, {"find", "with"}, f"an `also` of {where}")
        for table in (entry, *others):
            find = self.value(table, "find", str, where)
            replacement = table.get("with")
            if not isinstance(replacement, str) or replacement == find:
                raise self.error(f"{where} needs 'with', the text that replaces 'find'")
            count = len(places_in_code(find, solution, without_docstrings(solution)))
            if count != 1:
                raise self.error(f"{where}: its 'find' stands in the code {count} times, not once")
            yield find, replacement


def _joined(text: str) -> str:
    """A text that stands on several lines, as one."""
    return " ".join(text.split())


def _with_blocks(text: str) -> str:
    """A text whose lines are joined, except those that are indented: they are code, and stay as they are."""
    parts: list[str] = []
    for is_code, lines in groupby(text.strip("\n").splitlines(), key=lambda line: line.startswith(CODE_INDENT)):
        if is_code:
            parts += [line.rstrip() for line in lines]
        elif joined := _joined(" ".join(lines)):
            parts.append(joined)
    return "\n".join(parts)
