"""What authors use: derive the stubs, run the kill matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from grader.course.catalogue import Course
from grader.course.exercise import Exercise
from grader.course.index import index_path, spell_index
from grader.course.outline import outline
from grader.grading.matrix import run_matrix
from grader.judge.results import Matrix
from grader.learner.contract import check_contract, lacking
from grader.learner.history import Store
from grader.learner.replace import replace_keeping
from grader.learner.submission import Unreadable, read_submission, read_text
from grader.supervisor.launcher import Launcher
from grader.text import COMMAND


def matrices(exercises: Sequence[Exercise], launcher: Launcher, seed: int) -> Iterator[tuple[Exercise, Matrix]]:
    """The kill matrix of each exercise, in order, two at a time: one fills the pauses of the other."""
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda exercise: run_matrix(exercise, launcher, seed), exercises)
        yield from zip(exercises, found, strict=True)


def with_index(exercise: Exercise, found: Matrix, only_check: bool) -> Matrix:
    """Write the index that follows from a matrix; or only say, as a shortcoming, that it is not the one there."""
    text = spell_index(exercise, [row.caught_by for row in found.mistakes])
    path = index_path(exercise)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return found
    if only_check:
        said = f"its index is not what the matrix finds; `{COMMAND} matrix {exercise.id[:4]}` writes it"
        return replace(found, shortcomings=(*found.shortcomings, said))
    path.write_text(text, encoding="utf-8")
    return found


def drifted(course: Course, folder: Path) -> list[str]:
    """Where an exercise no longer follows from its solution.

    An untouched stub has to be the derived text, to the letter. One that a learner has begun has to offer the
    same names with the same parameters.
    """
    problems = []
    for exercise in course.exercises:
        try:
            submission = read_submission(folder, exercise.id)
            theirs = check_contract(submission, exercise)
        except Unreadable as problem:
            problems.append(f"{exercise.file_name}: {problem}")
            continue
        for name in lacking(theirs, outline(exercise.stub)):
            update = f"`{COMMAND} update {exercise.id[:4]}` puts it there"
            problems.append(f"{exercise.file_name} lacks `{name}`; {update}")
        untouched = set(theirs.stubs()) >= set(exercise.hints)
        if untouched and submission.source.text != exercise.stub:
            line = _first_differing_line(submission.source.text, exercise.stub)
            problems.append(
                f"{exercise.file_name}:{line} is not what its solution gives; `{COMMAND} stubs` writes it anew"
            )
    known = {*course.problems, *(exercise.id for exercise in course.exercises)}
    strays = sorted(path.name for path in folder.glob("ex[0-9][0-9]_*.py") if path.stem not in known)
    return [*problems, *(f"{name} belongs to no solution" for name in strays)]


def _first_differing_line(one: str, other: str) -> int:
    ours, theirs = one.splitlines(), other.splitlines()
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False), 1):
        if a != b:
            return number
    return min(len(ours), len(theirs)) + 1


def write_stubs(exercises: tuple[Exercise, ...], folder: Path, store: Store) -> Iterator[str]:
    """Write every stub that differs from the derived one, keeping what stood there."""
    written = 0
    for exercise in exercises:
        path = folder / exercise.file_name
        try:
            if read_text(path) == exercise.stub:
                continue
        except Unreadable:
            pass
        kept = replace_keeping(path, exercise.stub, store, "before stubs")
        written += 1
        yield f"wrote {path.name}" + (f"; what stood there is number {kept} in the history" if kept else "")
    if not written:
        yield "Every stub follows from its solution; nothing was written."
