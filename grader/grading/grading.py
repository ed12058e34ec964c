"""A learner's file on the bench: compared once, explained, and put into words."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from grader.course.exercise import Mistake
from grader.course.index import read_index
from grader.grading.bench import Bench
from grader.judge.details import departed_at, details
from grader.judge.diagnosis import EXPLICABLE, Candidate, diagnose
from grader.judge.reproduction import reproduction
from grader.judge.results import CheckResult, Status, most_telling
from grader.judge.verdict import Finding, Submitted, compare_runs, overall, result
from grader.protocol.runs import SubjectRun
from grader.supervisor.watch import Cancelled

Explained = dict[str, tuple[Mistake, ...]]
"""Which mistakes explain a check."""


@dataclass(frozen=True)
class Grading:
    """What was seen of a learner's file, beside what the reference shows."""

    bench: Bench
    submitted: Submitted
    actual: SubjectRun
    causes: Mapping[str, str] = field(default_factory=dict)
    """What a check waits for that is not its own fault."""
    beside_reference: SubjectRun | None = None
    """What was seen with the reference's version of what it imports: to be compared, and never shown."""

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        return self._compared(self.actual)

    @property
    def status(self) -> Status:
        return overall(self.findings)

    def explain(self, cancelled: threading.Event | None = None) -> Explained:
        """Run known mistakes, and see which behave as the learner's code does. Raises `Cancelled`."""
        findings = self.findings
        if self.beside_reference:
            runs = self.actual.by_name() | self.beside_reference.by_name()
            findings = self._compared(SubjectRun(tuple(runs.values())))
        exercise, bench = self.bench.exercise, self.bench

        def run_mistakes(candidates: Sequence[Candidate]) -> list[SubjectRun | None]:
            if cancelled and cancelled.is_set():
                raise Cancelled
            return bench.run_mistakes(candidates)

        return diagnose(exercise, findings, bench.reference(), run_mistakes, read_index(exercise))

    def _compared(self, run: SubjectRun) -> tuple[Finding, ...]:
        exercise, reference = self.bench.exercise, self.bench.reference()
        return compare_runs(exercise, self.submitted, reference, run, self.causes)

    def results(self, explained: Explained, unstable: Collection[str] = ()) -> tuple[CheckResult, ...]:
        """The verdict on each check, in words. `unstable` names checks that came out differently a second time."""
        return tuple(
            self._result(finding, explained.get(finding.check.name, ()), finding.check.name in unstable)
            for finding in self.findings
        )

    def with_code(self, checks: tuple[CheckResult, ...], package: str) -> tuple[CheckResult, ...]:
        """The same; the check to look at first comes with code that reproduces it, where nothing explains it.

        `package` is the name of the learner's folder.
        """
        first = most_telling(checks)
        if first is None or first.details is None or first.status not in EXPLICABLE or not package.isidentifier():
            return checks
        finding = next(finding for finding in self.findings if finding.check.name == first.name)
        recorded = self.bench.recorded(first.name)
        if recorded is None or finding.run is None:
            return checks
        exercise = self.bench.exercise
        count = departed_at(finding.run, finding.wanted) if finding.wanted else 0
        code = reproduction(exercise.probes.text, first.name, f"{package}.{exercise.id}", recorded, count)
        told = replace(first, details=replace(first.details, code=code))
        return tuple(told if check is first else check for check in checks)

    def _result(self, finding: Finding, mistakes: tuple[Mistake, ...], is_unstable: bool) -> CheckResult:
        said = result(finding, self.submitted, mistakes, is_unstable)
        if mistakes:
            return said
        return replace(said, details=details(finding, self.bench.exercise, self.submitted, self.findings))
