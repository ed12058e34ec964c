"""Grade exercises: read the learner's text, run it beside the reference, judge, explain, keep."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from grader.course.catalogue import Exercise
from grader.course.outline import Outline
from grader.course.tutor_file import Mistake
from grader.grading.variants import (
    REFERENCE_SECONDS,
    WORKERS,
    combined_sources,
    completed,
    job_for,
    limits_after,
    limits_of_hanging,
    run_in_batches,
    variant_sources,
)
from grader.judge.compare import same_run
from grader.judge.diagnosis import diagnose
from grader.judge.results import CheckResult, ExerciseResult, Status
from grader.judge.verdict import exercise_status, judge, place_of
from grader.learner.contract import check_contract
from grader.learner.history import Store
from grader.learner.submission import Subject, Unreadable, read_subject
from grader.protocol.job import Limits, Source
from grader.protocol.runs import Ending, Place, SubjectRun
from grader.supervisor.launcher import Launcher
from grader.supervisor.watch import run

UNSTABLE = "Two runs of your code on the same input gave different results, so something in it is left to chance. "


@dataclass
class Session:
    """One run of the grader on one folder. `store` is None where attempts are not to be kept."""

    exercises: tuple[Exercise, ...]
    folder: Path
    seed: int
    launcher: Launcher
    store: Store | None
    cancelled: threading.Event = field(default_factory=threading.Event)
    _references: dict[str, SubjectRun] = field(default_factory=dict)
    _results: dict[str, ExerciseResult] = field(default_factory=dict)

    def grade_all(self, exercises: Sequence[Exercise]) -> Iterator[ExerciseResult]:
        """Grade these, several at a time, and yield the results in their order."""
        pool = ThreadPoolExecutor(WORKERS)
        try:
            yield from pool.map(self.grade, exercises)
        finally:  # after Ctrl-C nobody waits for what is still running: closing the launcher ends it
            pool.shutdown(wait=False, cancel_futures=True)

    def grade_in_order(self) -> Iterator[ExerciseResult]:
        """Grade from the first exercise on, up to and including the first that is not done."""
        for exercise in self.exercises:
            result = self.grade(exercise)
            yield result
            if result.status is not Status.PASSED:
                return

    def anew(self, cancelled: threading.Event) -> Session:
        """A session that grades whatever the files hold now, and is called off by `cancelled`.

        What was found out about the reference holds on; what was found out about the learner's code does not.
        """
        return replace(self, cancelled=cancelled, _results={})

    def grade(self, exercise: Exercise, keep: bool = True) -> ExerciseResult:
        """The verdict on one exercise, whatever the learner's code does. Raises `Cancelled`.

        Its text goes into the store, unless it is the untouched stub, or `keep` says that it is looked at only
        because another exercise builds on it.
        """
        start = time.perf_counter()
        attempt: int | None = None
        mark = ""
        try:
            subject = read_subject(self.folder, exercise.id)
            mark = subject.digest
            if self.store and keep and subject.source.text != exercise.stub:
                attempt = self.store.keep(exercise.id, subject.source.text, "graded", self.seed)
            result = self._grade(exercise, subject, check_contract(subject, exercise))
        except Unreadable as problem:
            result = self._unreadable(exercise, problem)
        result = replace(result, seconds=time.perf_counter() - start, digest=mark)
        if self.store:
            self.store.finish(attempt, result)
        self._results[exercise.id] = result
        return result

    def _unreadable(self, exercise: Exercise, problem: Unreadable) -> ExerciseResult:
        place = Place(str(problem.path), problem.line or 1)
        status = Status.UNREADABLE if problem.path.stem == exercise.id else Status.BLOCKED
        return ExerciseResult(exercise.id, status, 0.0, (), str(problem), place)

    def _grade(self, exercise: Exercise, subject: Subject, outline: Outline) -> ExerciseResult:
        reference = self._reference(exercise)
        if not completed(reference, exercise):
            broken = next(run for run in reference.checks if run.ending is not Ending.RETURNED)
            why = f"{broken.failure.types[0]}: {broken.failure.message}" if broken.failure else ""
            message = f"The reference itself fails in {broken.check} ({why}). This is not your fault."
            return ExerciseResult(exercise.id, Status.GRADER_ERROR, 0.0, (), message)
        limits = limits_after(reference)
        actual = self._run(exercise, subject.sources, limits)
        attempts = tuple(dict.fromkeys(attempt for check in actual.checks for attempt in check.attempts))
        found = ExerciseResult(exercise.id, Status.PASSED, 0.0, (), output=actual.output, attempts=attempts)
        file = subject.source.path
        checks = tuple(judge(exercise, file, outline, reference, actual))
        status = exercise_status(checks)
        if status not in (Status.PASSED, Status.UNFINISHED, Status.BLOCKED):
            earlier = self._unfinished_before(exercise, subject)
            if earlier:
                message = f"Builds on {earlier.id}, which is not done ({earlier.status}). Begin there."
                return replace(found, status=Status.BLOCKED, checks=checks, message=message)
            checks = self._explain(exercise, file, outline, reference, actual, checks)
            checks = self._note_chance(exercise, subject, limits, actual, checks)
        return replace(found, status=exercise_status(checks), checks=checks)

    def _unfinished_before(self, exercise: Exercise, subject: Subject) -> ExerciseResult | None:
        """The first exercise that this one imports and that does not pass: its faults would show up here."""
        for other in self.exercises:
            if other.id in subject.imported and other.id != exercise.id:
                result = self._results.get(other.id) or self.grade(other, keep=False)
                if result.status is not Status.PASSED:
                    return result
        return None

    def _reference(self, exercise: Exercise) -> SubjectRun:
        if exercise.id not in self._references:
            limits = Limits(REFERENCE_SECONDS)
            self._references[exercise.id] = self._run(exercise, variant_sources(exercise), limits)
        return self._references[exercise.id]

    def _run(
        self,
        exercise: Exercise,
        sources: dict[str, Source],
        limits: Limits,
        only: tuple[str, ...] | None = None,
    ) -> SubjectRun:
        job = job_for(exercise, sources, self.seed, limits)
        return run(self.launcher, job if only is None else replace(job, checks=only), self.cancelled)

    def _explain(
        self,
        exercise: Exercise,
        file: str,
        outline: Outline,
        reference: SubjectRun,
        actual: SubjectRun,
        checks: tuple[CheckResult, ...],
    ) -> tuple[CheckResult, ...]:
        """Put the words of a known mistake into each check that it explains."""

        def run_mistakes(
            candidates: Sequence[tuple[Mistake, ...]], names: tuple[str, ...]
        ) -> list[SubjectRun | None]:
            hanging = any(mistake.hangs for mistakes in candidates for mistake in mistakes)
            limits = limits_of_hanging(reference) if hanging else limits_after(reference)
            sources = [combined_sources(exercise, mistakes) for mistakes in candidates]
            jobs = [
                replace(job_for(exercise, s, self.seed, limits, forbids=False), checks=names) for s in sources if s
            ]
            runs = iter(run_in_batches(self.launcher, jobs))
            return [next(runs) if s else None for s in sources]

        explained = diagnose(exercise, reference, actual, run_mistakes)
        return tuple(
            _with_mistakes(check, explained.get(check.name, ()), exercise, file, outline) for check in checks
        )

    def _note_chance(
        self,
        exercise: Exercise,
        subject: Subject,
        limits: Limits,
        actual: SubjectRun,
        checks: tuple[CheckResult, ...],
    ) -> tuple[CheckResult, ...]:
        """Run wrong, unexplained checks once more: code that answers differently each time is told so."""
        names = tuple(c.name for c in checks if c.status is Status.WRONG and not c.mistakes)
        if not names:
            return checks
        before, again = actual.by_name(), self._run(exercise, subject.sources, limits, names).by_name()
        unstable = {name for name in names if name in again and not same_run(before[name], again[name])}
        return tuple(
            replace(check, message=UNSTABLE + check.message) if check.name in unstable else check
            for check in checks
        )


def _with_mistakes(
    check: CheckResult, mistakes: tuple[Mistake, ...], exercise: Exercise, file: str, outline: Outline
) -> CheckResult:
    if not mistakes:
        return check
    place = place_of(mistakes[0].function, file, outline)
    # A line that raised or hung is more exact than the beginning of the function.
    kept = check.place if check.status is not Status.WRONG else place or check.place
    paragraphs = [mistake.says for mistake in mistakes]
    if check.status is Status.RAISED:
        paragraphs.append(f"({check.message})")
    return replace(
        check,
        message="\n".join(paragraphs),
        mistakes=tuple(mistake.name for mistake in mistakes),
        place=kept,
    )
