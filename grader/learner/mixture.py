"""A whole GPT before the course is done: what has passed is the learner's, the rest is the reference's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.course.outline import follow_imports
from grader.learner.history import Attempt
from grader.learner.submission import Unreadable, read_text
from grader.protocol.job import Source


@dataclass(frozen=True)
class Mixture:
    """Modules of one package, by name. `own` are the exercises that are the learner's, in order; `changed` those
    that passed once, in a text that is no longer there."""

    sources: dict[str, Source]
    own: tuple[str, ...]
    changed: tuple[str, ...]


def mix(root: Path, folder: Path, wanted: Iterable[str], latest: Mapping[str, Attempt]) -> Mixture:
    """These exercises and all that they import.

    Arguments
        root    holds `solutions/`
        folder  holds the learner's files
        latest  the last graded attempt of each exercise: only the very text that passed is taken
    """
    own: set[str] = set()
    changed: set[str] = set()

    def read(name: str) -> Source | None:
        theirs, reference = folder / f"{name}.py", root / "solutions" / f"{name}.py"
        text = _text(theirs)
        if text is not None and not reference.exists():
            return Source(str(theirs), text)  # a module of the learner's own, that one of theirs imports
        attempt = latest.get(name)
        if attempt and attempt.passed:
            if text is not None and attempt.is_of(text):
                own.add(name)
                return Source(str(theirs), text)
            changed.add(name)
        return Source(str(reference), reference.read_text(encoding="utf-8")) if reference.exists() else None

    sources: dict[str, Source] = {}
    for name in wanted:
        if name not in sources:
            sources |= follow_imports(name, read)
    return Mixture(sources, tuple(sorted(own)), tuple(sorted(changed)))


def _text(path: Path) -> str | None:
    try:
        return read_text(path)
    except Unreadable:
        return None
