"""Run what there is of an exercise on one seed: the reference, a learner's file, known mistakes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from grader.course.exercise import Check, Exercise, Mistake
from grader.course.variants import combined_sources, variant_sources
from grader.errors import GraderError
from grader.grading.restarts import TOTAL, Allowance, run_every_check
from grader.judge.diagnosis import Candidate
from grader.judge.recording import Recorded, read_recorded
from grader.protocol.job import Job, Limits, Source
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, SubjectRun
from grader.supervisor.jobs import Held, TrustedProcess
from grader.supervisor.launcher import Launcher

# The reference is ours: this only keeps a broken probe from hanging the grader.
REFERENCE_SECONDS = 60.0
# A check that takes longer than this on the solution is not run once more to learn what it draws.
RECORDING_SECONDS = 0.1
WORKERS = min(4, os.cpu_count() or 1)


class ReferenceFails(GraderError):
    """The solution itself does not complete on its own probes: a defect of the exercise."""


class Executor(Protocol):
    """Runs jobs. `one` is for code that is not trusted, in a process that is `held`, which does what `is_again` is
    done; it raises `Cancelled` soon after its event is set. `many` is for variants of the reference, which may
    share a process."""

    def one(self, job: Job, cancelled: threading.Event | None, held: Held, is_again: bool) -> SubjectRun: ...

    def many(self, jobs: Sequence[Job]) -> list[SubjectRun]: ...


class Processes:
    """Runs jobs in processes of a launcher. What is trusted shares some, which end with the launcher."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def one(self, job: Job, cancelled: threading.Event | None, held: Held, is_again: bool) -> SubjectRun:
        return held.run(self._launcher, job, cancelled, is_again)

    def many(self, jobs: Sequence[Job]) -> list[SubjectRun]:
        """Many to a process, which then waits for more: a variant takes milliseconds, a process many of these."""
        count = min(WORKERS, -(-len(jobs) // self._launcher.worth_a_process))
        batches = [jobs[start::count] for start in range(count)]
        with ThreadPoolExecutor(WORKERS) as pool:
            done = list(pool.map(self._run_trusted, batches))
        return [done[position % count][position // count] for position in range(len(jobs))]

    def _run_trusted(self, jobs: Sequence[Job]) -> list[SubjectRun]:
        try:
            process = self._launcher.idle.pop()  # not after a look whether there is one: another thread may take it
        except IndexError:
            process = TrustedProcess(self._launcher)
        done = process.run(jobs)
        self._launcher.idle.append(process)
        return done


class Bench:
    """One exercise on one seed. May be used from several threads."""

    def __init__(self, exercise: Exercise, seed: int, executor: Executor) -> None:
        self.exercise = exercise
        self._seed = seed
        self._executor = executor
        self._lock = threading.Lock()
        self._reference: SubjectRun | None = None
        self._foreseen: dict[Mistake, SubjectRun] = {}
        self._recorded: dict[str, Recorded | None] = {}

    def foresee(self) -> Iterator[None]:
        """Find out, step by step, what does not depend on a learner's text, so that it is there when one comes.

        That is what the reference shows, what each known mistake shows by itself, and what the checks draw. Raises
        what `reference` raises.
        """
        reference = self.reference()
        yield
        for check in self.exercise.checks:
            self.recorded(check.name)
            yield
        every_check = [check.name for check in self.exercise.checks]
        for mistake in self.exercise.mistakes:
            if mistake not in self._foreseen:
                (run,) = self.run_mistakes([((mistake,), every_check)])
                if run:
                    self._foreseen[mistake] = sharing(run, reference)
                yield

    def reference(self) -> SubjectRun:
        """What the solution shows, found out once. Raises `ReferenceFails` if it does not complete."""
        with self._lock:
            if self._reference is None:
                sources = variant_sources(self.exercise)
                (found,) = self._executor.many([self._job(sources, Limits(REFERENCE_SECONDS), forbids=False)])
                self._check_complete(found)
                self._reference = found
            return self._reference

    def run(self, sources: dict[str, Source], held: Held, cancelled: threading.Event | None = None) -> SubjectRun:
        """All checks on a learner's files. Those for which there was no time left are missing in the result.

        The process is `held`, where it has not ended, and has what was printed. Raises `Cancelled`.
        """
        return self._run(sources, self.exercise.checks, self.allowance(), True, held, cancelled)

    def run_again(
        self,
        sources: dict[str, Source],
        checks: Sequence[str],
        held: Held,
        cancelled: threading.Event | None = None,
        allowance: Allowance | None = None,
    ) -> SubjectRun:
        """These checks once more on a learner's files, or on some of them beside the reference's.

        Nobody looks which operations are called. Several runs may share an `allowance`. Raises `Cancelled`.
        """
        wanted = [check for check in self.exercise.checks if check.name in checks]
        return self._run(sources, wanted, allowance or self.allowance(), False, held, cancelled)

    def _run(
        self,
        sources: dict[str, Source],
        checks: Sequence[Check],
        allowance: Allowance,
        forbids: bool,
        held: Held,
        cancelled: threading.Event | None,
    ) -> SubjectRun:
        limits = self._limits()

        def run_some(sources: dict[str, Source], some: Sequence[Check], seconds: float) -> SubjectRun:
            names = [check.name for check in some]
            job = self._job(sources, replace(limits, seconds=seconds), names, forbids)
            return self._executor.one(job, cancelled, held, is_again=not forbids)

        return joined(run_every_check(run_some, sources, checks, limits.seconds, allowance), self.exercise)

    def allowance(self) -> Allowance:
        """The time for several runs of a learner's files that belong together."""
        return Allowance(TOTAL * self._limits().seconds)

    def run_mistakes(self, candidates: Sequence[Candidate]) -> list[SubjectRun | None]:
        """Each set of mistakes in the base that they edit, on checks of its own; None where a set excludes itself.

        What is forbidden is not looked for: seeing each operation takes half of the time, and code that uses what
        is forbidden is told that and no mistake.
        """
        known = [self._known(candidate) for candidate in candidates]
        others = [candidate for candidate, run in zip(candidates, known, strict=True) if run is None]
        runs = iter(self._run_candidates(others))
        return [run or next(runs) for run in known]

    def _known(self, candidate: Candidate) -> SubjectRun | None:
        """What these checks show of a single mistake, where that has been foreseen."""
        (mistake, *others), names = candidate
        foreseen = None if others else self._foreseen.get(mistake)
        if foreseen is None:
            return None
        runs = foreseen.by_name()
        return SubjectRun(tuple(runs[name] for name in names)) if runs.keys() >= set(names) else None

    def _run_candidates(self, candidates: Sequence[Candidate]) -> list[SubjectRun | None]:
        all_sources = [combined_sources(self.exercise, mistakes) for mistakes, _ in candidates]
        limits = limits_of_hanging(self.reference())
        jobs = [
            self._job(sources, limits, checks, forbids=False)
            for (_, checks), sources in zip(candidates, all_sources, strict=True)
            if sources
        ]
        runs = iter(self._executor.many(jobs))
        return [next(runs) if sources else None for sources in all_sources]

    def run_variants(self, variants: Sequence[tuple[Mistake, Sequence[str]]]) -> list[SubjectRun]:
        """The solution with each of these mistakes, on checks of its own."""
        return self._executor.many(
            [
                self._job(variant_sources(self.exercise, mistake), self._limits((mistake,)), checks, forbids=False)
                for mistake, checks in variants
            ]
        )

    def run_right(self, variants: Sequence[dict[str, Source]]) -> list[SubjectRun]:
        """All checks on each of these right versions of the solution. They may use nothing forbidden."""
        return self._executor.many([self._job(sources, self._limits()) for sources in variants])

    def recorded(self, check: str) -> Recorded | None:
        """What a check draws and observes on the solution, and where; None where finding out takes too long."""
        if check not in self._recorded:
            self._recorded[check] = self._record(check)
        return self._recorded[check]

    def _record(self, check: str) -> Recorded | None:
        seen = self.reference().by_name().get(check)
        if seen is None or seen.seconds > RECORDING_SECONDS:
            return None
        job = self._job(variant_sources(self.exercise), self._limits(), [check], forbids=False)
        (run,) = self._executor.many([replace(job, takes_notes=True)])
        return read_recorded(run.by_name()[check]) if check in run.by_name() else None

    def run_trusted(self, variants: Sequence[dict[str, Source]]) -> list[SubjectRun]:
        """All checks on each of these versions of the solution."""
        return self._executor.many([self._job(sources, self._limits(), forbids=False) for sources in variants])

    def _check_complete(self, reference: SubjectRun) -> None:
        runs = reference.by_name()
        for check in self.exercise.checks:
            found = runs.get(check.name, reference.checks[-1])
            if found.ending is not Ending.RETURNED or found.check != check.name:
                why = f"{found.failure.types[0]}: {found.failure.message}" if found.failure else "it ended early"
                raise ReferenceFails(
                    f"The reference of {self.exercise.id} does not complete {found.check} ({why})."
                )

    def _limits(self, mistakes: Sequence[Mistake] = ()) -> Limits:
        if any(mistake.hangs for mistake in mistakes):
            return limits_of_hanging(self.reference())
        return limits_after(self.reference())

    def _job(
        self,
        sources: dict[str, Source],
        limits: Limits,
        checks: Sequence[str] | None = None,
        forbids: bool = True,
    ) -> Job:
        whole = job_for(self.exercise, sources, self._seed, limits, forbids)
        return whole if checks is None else replace(whole, checks=tuple(checks))


def job_for(exercise: Exercise, sources: dict[str, Source], seed: int, limits: Limits, forbids: bool = True) -> Job:
    """The job of running all probes of an exercise on these sources; without `forbids`, whatever they call."""
    operations = {
        check.name: exercise.forbidden[check.function]
        for check in exercise.checks
        if forbids and check.function in exercise.forbidden
    }
    return Job(
        exercise=exercise.id,
        sources={**exercise.imported, **sources},  # a probe may need a model that this text does not import
        probes=exercise.probes,
        checks=tuple(check.name for check in exercise.checks),
        seed=seed,
        limits=limits,
        asked=exercise.asked,
        forbidden_operations=operations,
        forbidden_packages=exercise.forbidden.get("*", ()),
    )


def limits_after(reference: SubjectRun) -> Limits:
    """What a subject may use, where the reference took so long: generous, so that slow right code passes."""
    return Limits(seconds=5.0 + 20 * seconds_of(reference))


def limits_of_hanging(reference: SubjectRun) -> Limits:
    """A known mistake that hangs is not waited for long."""
    return Limits(seconds=1.0 + 5 * seconds_of(reference))


def joined(runs: Sequence[SubjectRun], exercise: Exercise) -> SubjectRun:
    """What several processes showed of one subject, as one: the checks in the exercise's order."""
    found = {check.check: check for run in runs for check in run.checks}
    names = (IMPORT_CHECK, *(check.name for check in exercise.checks))
    return SubjectRun(tuple(found[name] for name in names if name in found))


def sharing(run: SubjectRun, reference: SubjectRun) -> SubjectRun:
    """The same run; what it observed as the reference did is kept once."""
    there = reference.by_name()

    def shared(check: CheckRun) -> CheckRun:
        expected = there.get(check.check)
        same = expected is not None and expected.observations == check.observations
        return replace(check, observations=expected.observations) if expected and same else check

    return replace(run, checks=tuple(map(shared, run.checks)))


def seconds_of(run: SubjectRun) -> float:
    """How much processor time all its checks took together."""
    return sum(check.seconds for check in run.checks)
