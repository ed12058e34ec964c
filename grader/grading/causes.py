"""Whose is a failing check: this function's, another one's of the same file, or another exercise's?

Found out by running it once more, with the reference's version of what it builds on. What passes then waits until
that is mended; what fails even then is its own. Nothing that runs beside the reference counts as passed, and what
it observed is not shown: it could be the reference.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grader.course.exercise import Check
from grader.course.outline import reach
from grader.grading.bench import Bench
from grader.grading.grading import Grading
from grader.grading.restarts import Allowance, Sources
from grader.judge.compare import departures
from grader.judge.results import Status
from grader.learner.submission import Submission
from grader.protocol.job import Source
from grader.protocol.runs import IMPORT_CHECK, Ending, SubjectRun
from grader.supervisor.jobs import Held

REFERENCE = "reference_of_"
# Whatever else ended a check, what it builds on may have done it.
FAILING = frozenset({Status.WRONG, Status.RAISED, Status.TIMEOUT, Status.CRASHED, Status.LIMIT, Status.UNREADABLE})
# Each run that hangs takes as long as the code may: after so many of them nobody looks any further.
MOST_HANGS = 2
SEVERAL = "several of the exercises that it imports"


def find_causes(
    grading: Grading, submission: Submission, doubtful: Sequence[str], cancelled: threading.Event
) -> Grading:
    """The same, with a cause for each check that only waits for something else.

    `doubtful` are the imported exercises of which it is not known that they are right. Raises `Cancelled`.
    """
    is_importable = grading.actual.by_name()[IMPORT_CHECK].ending is Ending.RETURNED
    allowance = grading.bench.allowance()
    with Held() as held:  # one of its own: the reference is in it, and what this prints is shown to nobody
        search = _Search(grading.bench, submission, tuple(doubtful), is_importable, held, cancelled, allowance)
        return search.look_at_functions(search.look_at_imports(grading))


@dataclass(frozen=True)
class _Search:
    bench: Bench
    submission: Submission
    doubtful: tuple[str, ...]
    is_importable: bool
    held: Held
    cancelled: threading.Event
    allowance: Allowance

    def look_at_imports(self, grading: Grading) -> Grading:
        """Run what fails with the reference's version of the doubtful exercises."""
        names = failing_checks(grading)
        if not self.doubtful or not names:
            return grading
        again = self._run(self._with_others(self.doubtful), [name for name in names if name != IMPORT_CHECK])
        passing = self._passing(again, names)
        causes: dict[str, str] = {}
        hangs = 0
        for other in self._most_suspect_first(grading) if len(self.doubtful) > 1 else ():
            left = [name for name in passing if name not in causes]
            if not left or hangs == MOST_HANGS:
                break
            run = self._run(self._with_others([other]), left)
            causes |= dict.fromkeys(self._passing(run, left), other)
            hangs += hung(run)
        together = self.doubtful[0] if len(self.doubtful) == 1 else SEVERAL
        causes = {name: causes.get(name, together) for name in passing}
        return replace(grading, beside_reference=again, causes=causes)

    def look_at_functions(self, grading: Grading) -> Grading:
        """Run what fails with the reference's version of other functions of the file that fail as well."""
        names = failing_checks(grading)
        failing = [check for check in self.bench.exercise.checks if check.name in names]
        suspects = {check.function for check in failing}
        waits: dict[str, frozenset[str]] = {}
        hangs = 0
        for others, checks in self._by_what_they_use(failing, suspects).items():
            if hangs == MOST_HANGS:
                break
            run = self._run(self._with_functions(others), checks)
            waits |= dict.fromkeys(self._passing(run, checks), others)
            hangs += hung(run)
        # Somebody has to be the first: a function of which no check is its own fault is nobody's cause.
        at_fault = {check.function for check in failing if check.name not in waits}
        causes = {name: sorted(others & at_fault) for name, others in waits.items() if others & at_fault}
        named = {name: f"`{', '.join(found)}`" for name, found in causes.items()}
        return replace(grading, causes={**grading.causes, **named})

    def _most_suspect_first(self, grading: Grading) -> list[str]:
        """The doubtful exercises, those first in which most of the failing checks ended."""
        ended = Counter[str]()
        for finding in grading.findings:
            if finding.status in FAILING:
                files = [Path(place.file).stem for place in reversed(finding.trace)]
                ended.update([name for name in files if name in self.doubtful][:1])
        return sorted(self.doubtful, key=lambda name: -ended[name])

    def _by_what_they_use(self, failing: Sequence[Check], suspects: set[str]) -> dict[frozenset[str], list[str]]:
        """The failing checks, by the other suspects that they reach."""
        groups: dict[frozenset[str], list[str]] = {}
        for check in failing:
            others = frozenset((reach(check.uses, self.submission.source.text) & suspects) - {check.function})
            if others:
                groups.setdefault(others, []).append(check.name)
        return groups

    def _run(self, sources: Sources, checks: Sequence[str]) -> SubjectRun:
        return self.bench.run_again(sources, checks, self.held, self.cancelled, self.allowance)

    def _passing(self, run: SubjectRun, checks: Sequence[str]) -> list[str]:
        there = run.by_name()
        wrong = departures(self.bench.reference(), run, checks)
        return [name for name in checks if name in there and name not in wrong]

    def _with_others(self, names: Sequence[str]) -> Sources:
        """The learner's files, but what these offer is the reference's. What else they define stays, unless their
        import fails."""
        sources = dict(self.submission.sources)
        for name in names:
            reference = self.bench.exercise.imported[name]
            if self.is_importable:
                sources[REFERENCE + name] = reference
                sources[name] = _ending_in(sources[name], f"from .{REFERENCE}{name} import *")
            else:
                sources[name] = reference
        return sources

    def _with_functions(self, functions: Collection[str]) -> Sources:
        """The learner's file, but these of its functions are the reference's, and so are the doubtful exercises."""
        name = self.submission.exercise
        sources = self._with_others(self.doubtful)
        sources[REFERENCE + name] = self.bench.exercise.solution
        wanted = ", ".join(sorted(functions))
        sources[name] = _ending_in(sources[name], f"from .{REFERENCE}{name} import {wanted}")
        return sources


def hung(run: SubjectRun) -> bool:
    """Was there something in it that had to be stopped?"""
    return any(check.ending is Ending.TIMEOUT for check in run.checks)


def failing_checks(grading: Grading) -> list[str]:
    return [finding.check.name for finding in grading.findings if finding.status in FAILING]


def _ending_in(source: Source, line: str) -> Source:
    return Source(source.path, f"{source.text}\n\n{line}\n")
