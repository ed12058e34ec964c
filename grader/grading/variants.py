"""Run variants of a solution: the reference itself, a known mistake, an equivalent, a pair of mistakes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from grader.course.catalogue import Exercise
from grader.course.tutor_file import Edit
from grader.protocol.job import Job, Limits, Source
from grader.protocol.runs import Ending, SubjectRun
from grader.supervisor.launcher import Launcher
from grader.supervisor.watch import run_many

# The reference is ours: this only keeps a broken probe from hanging the grader.
REFERENCE_SECONDS = 60.0
WORKERS = min(4, os.cpu_count() or 1)


def job_for(exercise: Exercise, sources: dict[str, Source], seed: int, limits: Limits, forbids: bool = True) -> Job:
    """The job of running all probes of an exercise on these sources.

    Known mistakes run without what `forbids` operations: seeing each of them takes half of the time, and code that
    uses a forbidden one is told that and no mistake.
    """
    operations = {
        check.name: exercise.forbidden[check.function]
        for check in exercise.checks
        if forbids and check.function in exercise.forbidden
    }
    return Job(
        exercise=exercise.id,
        sources=sources,
        probes=exercise.probes,
        checks=tuple(check.name for check in exercise.checks),
        seed=seed,
        limits=limits,
        forbidden_operations=operations,
        forbidden_packages=exercise.forbidden.get("*", ()),
    )


def variant_sources(exercise: Exercise, *edits: Edit) -> dict[str, Source]:
    """The solution's sources with these edits applied, one after the other.

    Raises ValueError where an edit's place is no longer there once, because another edit changed it.
    """
    text = exercise.solution.text
    for edit in edits:
        if text.count(edit.find) != 1:
            raise ValueError(f"{edit.name} does not go together with the edits before it")
        text = text.replace(edit.find, edit.replacement)
    return {**exercise.imported, exercise.id: Source(exercise.solution.path, text)}


def reference_seconds(run: SubjectRun) -> float:
    return sum(check.seconds for check in run.checks)


def combined_sources(exercise: Exercise, edits: Sequence[Edit]) -> dict[str, Source] | None:
    """The sources with all these edits, or None where they exclude each other."""
    try:
        return variant_sources(exercise, *edits)
    except ValueError:
        return None


def limits_after(reference: SubjectRun) -> Limits:
    """What a subject may use, from what the reference took: generous, so that slow right code passes."""
    return Limits(
        seconds=5.0 + 20 * reference_seconds(reference),
        memory=2**30 + 4 * reference.peak,
        output=Limits.output + 4 * len(reference.output),
    )


def limits_of_hanging(reference: SubjectRun) -> Limits:
    """A mistake that is known to hang is not waited for long."""
    return Limits(seconds=1.0 + 5 * reference_seconds(reference))


def run_in_batches(launcher: Launcher, jobs: Sequence[Job]) -> list[SubjectRun]:
    """Run variants of the reference, many to a process: importing one takes a millisecond, a process thirty."""
    batches = [jobs[start::WORKERS] for start in range(min(WORKERS, len(jobs)))]
    with ThreadPoolExecutor(WORKERS) as pool:
        done = list(pool.map(lambda batch: run_many(launcher, batch), batches))
    return [done[position % WORKERS][position // WORKERS] for position in range(len(jobs))]


def completed(run: SubjectRun, exercise: Exercise) -> bool:
    """Did every check return? What is true of the reference and of every equivalent."""
    names = {check.check for check in run.checks if check.ending is Ending.RETURNED}
    return all(check.name in names for check in exercise.checks)
