"""Files that import each other in a circle, so that Python cannot finish one before the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from grader.judge.results import CheckResult, Status
from grader.learner.submission import Submission
from grader.protocol.runs import IMPORT_CHECK, Ending, Place, SubjectRun

# How Python says so, with the name of the module that it came back to.
PARTIAL = re.compile(r"partially initialized module '(?:\w+\.)*(\w+)'")
WHAT_TO_DO = (
    "Python cannot finish one before the other. Leave out the import that the original does not have, or move it "
    "into the function that uses it."
)
ITSELF = "What a file defines is there without an import. Leave that line out."


@dataclass(frozen=True)
class _Step:
    """A module, and where it imports the next one."""

    module: str
    place: Place


def circular_import(run: SubjectRun, submission: Submission) -> CheckResult | None:
    """The verdict on an import that failed because it came back to where it began; None for any other.

    It is Python that decides: a circle that it gets through is none.
    """
    imported = run.by_name()[IMPORT_CHECK]
    failure = imported.failure
    said = PARTIAL.search(failure.message) if failure else None
    if failure is None or said is None or imported.ending is not Ending.RAISED:
        return None
    steps = _steps(failure.trace, submission)
    modules = [step.module for step in steps]
    if said[1] not in modules:
        return None
    circle = steps[modules.index(said[1]) :]
    told = _told(circle, "imports" if failure.types[0] == "ImportError" else "uses")
    own = next((step.place for step in steps if step.module == submission.exercise), None)
    if any(step.module == submission.exercise for step in circle):
        return CheckResult(IMPORT_CHECK, Status.RAISED, message=told, place=own)
    return CheckResult(IMPORT_CHECK, Status.BLOCKED, message=f"Builds on {circle[0].module}. {told}", place=own)


def _steps(trace: Sequence[Place], submission: Submission) -> list[_Step]:
    """The way from file to file. Of several lines of one file the last is that of the import."""
    names = {source.path: name for name, source in submission.sources.items()}
    steps: list[_Step] = []
    for place in trace:
        if place.file in names:
            step = _Step(names[place.file], place)
            if steps and steps[-1].module == step.module:
                steps.pop()
            steps.append(step)
    return steps


def _told(circle: Sequence[_Step], last: str) -> str:
    """`a.py, line 5, imports b, which imports a on line 9. …`"""
    first = circle[0]
    if len(circle) == 1:
        return f"{first.module}.py, line {first.place.line}, imports itself. {ITSELF}"
    parts = [f"{first.module}.py, line {first.place.line}, imports {circle[1].module}"]
    parts += [f"which imports {after.module} on line {step.place.line}" for step, after in pairwise(circle[1:])]
    parts.append(f"which {last} {first.module} on line {circle[-1].place.line}")
    return f"{', '.join(parts)}. {WHAT_TO_DO}"
