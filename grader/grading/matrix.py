"""The kill matrix: every known mistake and every equivalent against every probe.

It proves the tests: a mistake that no probe sees, two mistakes that cannot be told apart yet say different
things, an equivalent that is refused, are each a defect of the exercise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from grader.course.catalogue import Exercise
from grader.course.tutor_file import Edit, Mistake
from grader.errors import GraderError
from grader.grading.reach import checks_that_see, cut_short
from grader.grading.variants import (
    REFERENCE_SECONDS,
    completed,
    job_for,
    limits_after,
    limits_of_hanging,
    run_in_batches,
    variant_sources,
)
from grader.judge.compare import same_run
from grader.protocol.job import Job, Limits
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, SubjectRun
from grader.supervisor.launcher import Launcher
from grader.supervisor.watch import run


@dataclass(frozen=True)
class Row:
    """A known mistake: the checks that see it, and the mistakes with other words that look the same."""

    name: str
    caught_by: tuple[str, ...]
    same_as: tuple[str, ...]
    hang_is_marked: bool

    @property
    def good(self) -> bool:
        return bool(self.caught_by) and not self.same_as and self.hang_is_marked


@dataclass(frozen=True)
class Matrix:
    """The result for one exercise. `refused` maps an equivalent to the checks that it fails."""

    exercise: str
    seed: int
    mistakes: tuple[Row, ...]
    refused: dict[str, tuple[str, ...]]
    equivalents: int

    @property
    def good(self) -> bool:
        return all(row.good for row in self.mistakes) and not self.refused


def matrix(exercise: Exercise, launcher: Launcher, seed: int) -> Matrix:
    """Run all variants of an exercise. Raises `GraderError` if the reference itself does not complete."""
    reference = run(launcher, job_for(exercise, variant_sources(exercise), seed, Limits(REFERENCE_SECONDS)))
    if not completed(reference, exercise):
        broken = reference.checks[-1]
        why = next((check for check in reference.checks if check.ending is not Ending.RETURNED), broken)
        detail = f"{why.failure.types[0]}: {why.failure.message}" if why.failure else "it ended early"
        raise GraderError(f"the reference of {exercise.id} does not complete {why.check}: {detail}")

    limits = limits_after(reference)
    cut_short_runs = run_in_batches(
        launcher,
        [job_for(exercise, sources, seed, limits, forbids=False) for sources in cut_short(exercise).values()],
    )
    reach = {
        name: frozenset(departures(reference, its_run, names_of(exercise)))
        for name, its_run in zip(cut_short(exercise), cut_short_runs, strict=True)
    }

    def job(edit: Edit) -> Job:
        hangs = isinstance(edit, Mistake) and edit.hangs
        its_limits = limits_of_hanging(reference) if hangs else limits
        forbids = not isinstance(edit, Mistake)
        whole = job_for(exercise, variant_sources(exercise, edit), seed, its_limits, forbids)
        return replace(whole, checks=checks_that_see(edit, exercise, reach))

    edits = [*exercise.mistakes, *exercise.equivalents]
    jobs = [job(edit) for edit in edits]
    runs = run_in_batches(launcher, jobs)
    seen = [
        departures(reference, its_run, (IMPORT_CHECK, *its_job.checks))
        for its_job, its_run in zip(jobs, runs, strict=True)
    ]
    rows = []
    for number, mistake in enumerate(exercise.mistakes):
        twins = [
            other.name
            for position, other in enumerate(exercise.mistakes)
            if other.says != mistake.says
            and seen[position] == seen[number]
            and not departures(runs[number], runs[position], seen[number])
        ]
        hung = any(check.ending is Ending.TIMEOUT for check in runs[number].checks)
        rows.append(Row(mistake.name, seen[number], tuple(twins), hung is mistake.hangs))
    equivalents = zip(exercise.equivalents, seen[len(exercise.mistakes) :], strict=True)
    refused = {edit.name: checks for edit, checks in equivalents if checks}
    return Matrix(exercise.id, seed, tuple(rows), refused, len(exercise.equivalents))


def names_of(exercise: Exercise) -> tuple[str, ...]:
    return (IMPORT_CHECK, *(check.name for check in exercise.checks))


def departures(one: SubjectRun, other: SubjectRun, names: Sequence[str]) -> tuple[str, ...]:
    """Those of these checks in which two subjects did not behave alike. A check missing on one side only is one."""
    ours, theirs = one.by_name(), other.by_name()
    return tuple(name for name in names if not _alike_in(name, ours, theirs))


def _alike_in(check: str, ours: dict[str, CheckRun], theirs: dict[str, CheckRun]) -> bool:
    a, b = ours.get(check), theirs.get(check)
    return a is b if a is None or b is None else same_run(a, b)
