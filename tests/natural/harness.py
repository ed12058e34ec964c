"""Files in other styles, and the verdict on each.

`files/ex06_attention/einsum.py` is a whole file for that exercise. Its first line says what it is:

    # right: einsum everywhere, and a helper of its own.
    # wrong: unscaled-scores
    # wrong: unscaled-scores, diagonal-hidden | causal-mask-hides-itself
    # wrong: unscaled-scores, (mask-by-name)
    # wrong: unnamed

The names are those of known mistakes (`tutor/`), a comma between two mistakes in one file, a bar between names that
fit equally well. What stands in brackets may be named and need not be: the other mistake hides it. `unnamed` is a
mistake that the tutor does not know, so that nothing may be named. The lines below the first say in words what is
wrong.

    python -m tests.natural.harness [EXERCISE | FILE]…     shows the verdict on each file, and what is said
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from grader.course import catalogue
from grader.course.exercise import Exercise
from grader.grading.session import Session
from grader.judge.results import ExerciseResult, Status
from grader.supervisor.launcher import Launcher
from grader.supervisor.start import start_launcher
from tests.mini import ROOT

FILES = ROOT / "tests" / "natural" / "files"
RIGHT, WRONG, UNNAMED = "# right:", "# wrong:", "unnamed"
SEED = 17


@dataclass(frozen=True)
class Expected:
    """What a file is: `mistakes` has, for each mistake in it, the names that fit; `hidden` those that may be named
    and need not be."""

    is_right: bool
    mistakes: tuple[frozenset[str], ...] = ()
    hidden: frozenset[str] = frozenset()

    @property
    def all_names(self) -> frozenset[str]:
        return self.hidden.union(*self.mistakes)


def natural_files(folder: Path = FILES) -> list[Path]:
    return sorted(folder.glob("ex*/*.py"))


def expected(path: Path) -> Expected:
    """What the first line of a file says. Raises ValueError where it says nothing of the kind."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if first.startswith(RIGHT):
        return Expected(True)
    if not first.startswith(WRONG):
        raise ValueError(f"{path} should begin with {RIGHT!r} or {WRONG!r}")
    parts = [part.strip() for part in first.removeprefix(WRONG).split(",")]
    groups = {part: frozenset(name.strip() for name in part.strip("()").split("|")) for part in parts}
    hidden = frozenset[str]().union(*(names for part, names in groups.items() if part.startswith("(")))
    mistakes = tuple(names for part, names in groups.items() if not part.startswith("(") and part != UNNAMED)
    return Expected(False, mistakes, hidden)


def named(result: ExerciseResult) -> frozenset[str]:
    """The known mistakes that a verdict names."""
    return frozenset(name for check in result.checks for name in check.mistakes)


class Graders:
    """Grades files beside the reference's version of what they import, which is run once."""

    def __init__(self, exercises: dict[str, Exercise], launcher: Launcher, folder: Path) -> None:
        """`folder` is an empty one, for these alone."""
        self._exercises = exercises
        self._launcher = launcher
        self._folder = folder / "exercises"
        self._sessions: dict[str, Session] = {}
        self._folder.mkdir()
        (self._folder / "__init__.py").touch()
        for solution in (ROOT / "solutions").glob("ex*.py"):
            (self._folder / solution.name).write_bytes(solution.read_bytes())

    def grade(self, path: Path) -> ExerciseResult:
        """The verdict on one file."""
        exercise = self._exercises[path.parent.name]
        session = self._sessions.setdefault(
            exercise.id, Session((exercise,), self._folder, SEED, self._launcher, None)
        )
        mine = self._folder / exercise.file_name
        mine.write_bytes(path.read_bytes())
        result = session.grade(exercise)
        mine.write_text(exercise.solution.text, encoding="utf-8")
        return result


def main(wanted: list[str]) -> None:
    chosen = {Path(word).resolve() for word in wanted}
    paths = [path for path in natural_files() if not wanted or path in chosen or path.parent.name[:4] in wanted]
    exercises = {each.id: each for each in catalogue.load(ROOT, sorted({path.parent.name for path in paths}))}
    launcher = start_launcher(SEED)
    with TemporaryDirectory() as folder:
        graders = Graders(exercises, launcher, Path(folder))
        for path in paths:
            show(path, graders.grade(path))
    launcher.close()


def show(path: Path, result: ExerciseResult) -> None:
    """The verdict on a file, and what is said."""
    is_as_expected = "" if as_expected(path, result) else "   <-- not as its first line says"
    print(f"\n== {path.parent.name}/{path.name}: {result.status}{is_as_expected}")
    print(path.read_text(encoding="utf-8").partition("\n")[0])
    words: dict[str, list[str]] = {}
    for check in result.checks:
        if check.status is not Status.PASSED:
            said = f"[{', '.join(check.mistakes)}] {check.message}" if check.mistakes else check.message
            words.setdefault(said, []).append(check.name)
    for said, names in words.items():
        print(f"  {len(names)} check(s), {names[0]} …\n    " + said.replace("\n", "\n    "))


def as_expected(path: Path, result: ExerciseResult) -> bool:
    """Is the verdict what the first line says, and nothing named that is not there?"""
    wanted, found = expected(path), named(result)
    if wanted.is_right or result.status is Status.PASSED:
        return wanted.is_right and result.status is Status.PASSED
    return found <= wanted.all_names and all(found & names for names in wanted.mistakes)


if __name__ == "__main__":
    main(sys.argv[1:])
