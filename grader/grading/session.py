"""Grade exercises: read the learner's text, run it beside the reference, judge, explain, keep."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from grader.course.exercise import Exercise
from grader.course.outline import Outline
from grader.errors import GraderError, note_traceback
from grader.grading.bench import WORKERS, Bench, Processes
from grader.grading.causes import find_causes
from grader.grading.cycles import circular_import
from grader.grading.grading import Explained, Grading
from grader.judge.compare import departures
from grader.judge.results import CheckResult, ExerciseResult, Status, most_telling
from grader.judge.verdict import Submitted
from grader.learner.contract import check_contract
from grader.learner.history import Store
from grader.learner.submission import Submission, Unreadable, read_submission
from grader.protocol.runs import Place
from grader.supervisor.jobs import Held
from grader.supervisor.launcher import Launcher
from grader.supervisor.watch import Cancelled
from grader.text import shorten

# The folder of the repository in which the grader keeps what is its own.
STATE = ".grader"
# How much of a learner's own time is run once more, to see whether it answers the same.
AGAIN_SECONDS = 0.2


@dataclass
class Session:
    """One run of the grader on one folder. `store` is None where attempts are not to be kept."""

    exercises: tuple[Exercise, ...]
    folder: Path
    seed: int
    launcher: Launcher
    store: Store | None
    waits: bool = True
    """Whether a file that was just written is read until it stays the same."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    _benches: dict[str, Bench] = field(default_factory=dict)
    _results: dict[str, ExerciseResult] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

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

    def foresee(self, exercise: Exercise) -> Iterator[None]:
        """Find out, step by step, what does not depend on the learner's text. What is known of other exercises is
        let go."""
        with self._lock:
            for other in self._benches.keys() - {exercise.id}:
                del self._benches[other]
        return self._bench(exercise).foresee()

    def grade(self, exercise: Exercise) -> ExerciseResult:
        """The verdict on one exercise, whatever the learner's code does and whatever else goes wrong on the way.

        Its text goes into the store, unless it is the untouched stub. Raises `Cancelled`.
        """
        start = time.perf_counter()
        attempt: int | None = None
        read = ""
        try:
            submission = self.read(exercise)
            read = submission.digest
            if self.store and submission.source.text != exercise.stub:
                attempt = self.store.keep(exercise.id, submission.source.text, "graded", self.seed)
            result = self._grade(exercise, submission, check_contract(submission, exercise))
        except Unreadable as problem:
            result = self._unreadable(exercise, problem)
        except Cancelled:
            raise
        except Exception as error:
            if self.cancelled.is_set():  # what was needed is being closed
                raise Cancelled from error
            result = self._failed(exercise, error)
        result = replace(result, seconds=time.perf_counter() - start, digest=read)
        if self.store:
            self.store.finish(attempt, result)
        self._results[exercise.id] = result
        return result

    def read(self, exercise: Exercise) -> Submission:
        """The learner's text as it is now. Raises `Unreadable`."""
        return read_submission(self.folder, exercise.id, self.waits)

    def results_so_far(self) -> tuple[ExerciseResult, ...]:
        """What has been graded by now, in the order of the exercises."""
        return tuple(self._results[exercise.id] for exercise in self.exercises if exercise.id in self._results)

    def _unreadable(self, exercise: Exercise, problem: Unreadable) -> ExerciseResult:
        place = Place(str(problem.path), problem.line or 1)
        status = Status.UNREADABLE if problem.path.stem == exercise.id else Status.BLOCKED
        return ExerciseResult(exercise.id, status, 0.0, (), str(problem), place)

    def _failed(self, exercise: Exercise, error: Exception) -> ExerciseResult:
        """The verdict where it is not the learner's code that failed. Only what nobody expected is noted."""
        what = str(error)
        if not isinstance(error, GraderError):
            kind = f"{type(error).__name__}: {shorten(str(error), 300)}"
            what = f"The grader itself failed: {kind}. {note_traceback(exercise.root / STATE)}"
        return ExerciseResult(exercise.id, Status.GRADER_ERROR, 0.0, (), f"{what} This is not your fault.")

    def _grade(self, exercise: Exercise, submission: Submission, outline: Outline) -> ExerciseResult:
        bench = self._bench(exercise)
        bench.reference()
        with Held() as held:
            actual = bench.run(submission.sources, held, self.cancelled)
            grading = Grading(bench, Submitted(submission.source.path, outline, submission.source.text), actual)
            circular = circular_import(actual, submission)
            status, checks = (
                (circular.status, (circular,)) if circular else self._explained(grading, submission, held)
            )
        return ExerciseResult(
            id=exercise.id,
            status=status,
            seconds=0.0,
            checks=checks,
            output=held.output,
            refused=tuple(dict.fromkeys(act for check in actual.checks for act in check.refused)),
        )

    def _explained(
        self, grading: Grading, submission: Submission, held: Held
    ) -> tuple[Status, tuple[CheckResult, ...]]:
        """The verdict and its words: what is behind it, or what is already known where that cannot be found out."""
        if grading.status in (Status.PASSED, Status.UNFINISHED, Status.BLOCKED):
            return grading.status, grading.results({})
        exercise = grading.bench.exercise
        try:
            doubtful = self._doubtful(exercise, submission)
            found = find_causes(grading, submission, doubtful, self.cancelled)
            explained = found.explain(self.cancelled)
            checks = found.results(explained, self._unstable(found, explained, submission, held))
            first = most_telling(checks)
            return first.status if first else found.status, found.with_code(checks, self.folder.name)
        except Exception:
            if self.cancelled.is_set():
                raise
            note_traceback(exercise.root / STATE)
            return grading.status, grading.results({})

    def _doubtful(self, exercise: Exercise, submission: Submission) -> list[str]:
        """The exercises that this one imports, without those of which the very text has passed, or is the
        reference's."""
        latest = self.store.latest_graded() if self.store else {}
        passed = {name for name, result in self._results.items() if result.status is Status.PASSED}
        passed |= {
            name
            for name, reference in exercise.imported.items()
            if name in submission.sources and submission.sources[name].text == reference.text
        }
        for name, attempt in latest.items():
            source = submission.sources.get(name)
            if source and attempt.passed and attempt.is_of(source.text):
                passed.add(name)
        return sorted(name for name in submission.imported if name in exercise.imported and name not in passed)

    def _bench(self, exercise: Exercise) -> Bench:
        with self._lock:
            bench = self._benches.get(exercise.id)
            if bench is None or bench.exercise is not exercise:  # read anew, since its author changed it
                bench = self._benches[exercise.id] = Bench(exercise, self.seed, Processes(self.launcher))
            return bench

    def _unstable(
        self, grading: Grading, explained: Explained, submission: Submission, held: Held
    ) -> tuple[str, ...]:
        """Of the wrong, unexplained checks, those that another run of the same code answers differently.

        The first is always run again, of the others as many as take little time.
        """
        names: list[str] = []
        left = AGAIN_SECONDS
        for finding in grading.findings:
            if finding.status is Status.WRONG and finding.run and finding.check.name not in explained:
                left -= finding.run.seconds
                if names and left < 0:
                    break
                names.append(finding.check.name)
        if not names:
            return ()
        again = grading.bench.run_again(submission.sources, names, held, self.cancelled)
        there = [name for name in names if name in again.by_name()]
        return departures(grading.actual, again, there)
