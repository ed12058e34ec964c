"""A learner's file on the bench: compared once, explained, and put into words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from grader.course.exercise import Mistake
from grader.course.index import read_index
from grader.grading.bench import Bench
from grader.judge.diagnosis import diagnose
from grader.judge.results import CheckResult, Status
from grader.judge.verdict import Finding, Submitted, compare_runs, overall, result
from grader.protocol.runs import SubjectRun

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

    def explain(self) -> Explained:
        """Run known mistakes, and see which behave as the learner's code does."""
        findings = self.findings
        if self.beside_reference:
            runs = self.actual.by_name() | self.beside_reference.by_name()
            findings = self._compared(SubjectRun(tuple(runs.values())))
        exercise, bench = self.bench.exercise, self.bench
        return diagnose(exercise, findings, bench.reference(), bench.run_mistakes, read_index(exercise))

    def _compared(self, run: SubjectRun) -> tuple[Finding, ...]:
        exercise, reference = self.bench.exercise, self.bench.reference()
        return compare_runs(exercise, self.submitted, reference, run, self.causes)

    def results(self, explained: Explained, unstable: Collection[str] = ()) -> tuple[CheckResult, ...]:
        """The verdict on each check, in words. `unstable` names checks that came out differently a second time."""
        return tuple(
            result(finding, self.submitted, explained.get(name, ()), name in unstable)
            for finding in self.findings
            for name in (finding.check.name,)
        )
