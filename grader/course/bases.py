"""Further right bases of an exercise: whole solutions in another decomposition, with the known mistakes in them.

Beside `tutor/ex06_attention/bases/self_contained.py`, `self_contained.toml` has a line `about` and the edits that
make a known mistake in this text. A mistake whose edit of the solution fits here too applies by itself, unless
`without` names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from grader.course.exercise import Base, Mistake
from grader.course.outline import parse, places_in_code, without_docstrings
from grader.course.tutor_file import TutorFile
from grader.errors import UsageError


def read_bases(folder: Path, known: Sequence[Mistake]) -> Iterator[tuple[Base, tuple[Mistake, ...]]]:
    """The bases in a folder, each with the known mistakes as edits of it.

    Raises `UsageError` with the file and what is wrong in it.
    """
    for path in sorted(folder.glob("*.py")):
        file = TutorFile.at(path.with_suffix(".toml"))
        file.only_keys(file.table, {"about", "without", "mistake"}, "the file")
        try:
            text = path.read_text(encoding="utf-8")
            parse(text)
        except (OSError, UnicodeDecodeError, SyntaxError) as error:
            raise UsageError(f"{path} cannot be read: {error}.") from error
        base = Base(path.stem, file.value(file.table, "about", str, "the file"), text)
        yield base, tuple(_mistakes(base, file, known))


def _mistakes(base: Base, file: TutorFile, known: Sequence[Mistake]) -> Iterator[Mistake]:
    by_name = {mistake.name: mistake for mistake in known}
    own = dict(file.edits(base.text))
    without = file.table.get("without", [])
    for name in (*own, *without):
        if name not in by_name:
            raise file.error(f"there is no mistake {name!r} in the exercise")
    for name, edits in own.items():
        for find, replacement in edits:
            yield replace(by_name[name], find=find, replacement=replacement, base=base.name)
    code = without_docstrings(base.text)
    for mistake in known:
        fits = len(places_in_code(mistake.find, base.text, code)) == 1
        if fits and mistake.name not in own and mistake.name not in without:
            yield replace(mistake, base=base.name)
