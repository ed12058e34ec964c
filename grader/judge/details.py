"""What a failure shows that no known mistake explains: the sentence it breaks, what agreed, what should have come.

Pure: made of what the runs of the reference and of the learner's code showed, and of the two texts.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from grader.course.exercise import Exercise
from grader.course.outline import parse, reach
from grader.course.promises import docstrings, promised_in
from grader.judge.compare import first_departure
from grader.judge.results import Details, Status
from grader.judge.verdict import Finding, Submitted
from grader.judge.wording import kind, show
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Observation
from grader.protocol.values import Array, Raised
from grader.text import shorten

HAVE_DETAILS = (Status.WRONG, Status.RAISED, Status.TIMEOUT, Status.CRASHED, Status.LIMIT)


def details(
    finding: Finding, exercise: Exercise, submitted: Submitted, findings: Sequence[Finding]
) -> Details | None:
    """What is known of a check that failed; None where it did not, or was not run to begin with.

    `findings` are those of all checks.
    """
    check, run, wanted = finding.check, finding.run, finding.wanted
    if finding.status not in HAVE_DETAILS or check.name == IMPORT_CHECK or run is None or wanted is None:
        return None
    known = Details(
        promise=check.promise,
        promised_in=promised_in(check.promise, check.function, docstrings(exercise.stub)) or "",
        steps=_steps(check.function, exercise, submitted, findings),
    )
    count = departed_at(run, wanted)
    known = replace(known, agreed=tuple(dict.fromkeys(shorten(each.name) for each in run.observations[:count])))
    if finding.status is not Status.RAISED:
        return known
    own = [place for place in finding.trace if place.file == submitted.file]
    if own:
        known = replace(known, steps="")  # the line is more exact
    reached = len(run.observations)
    return replace(
        known,
        line=shorten(submitted.line(own[-1].line), 200) if own else "",
        off=_already_off(run, wanted) if count < reached else "",
        wanted=_in_words(wanted.observations[reached]) if reached < len(wanted.observations) - 1 else "",
    )


def _already_off(run: CheckRun, wanted: CheckRun) -> str:
    """How an observation before an error departs."""
    beginning = replace(wanted, observations=wanted.observations[: len(run.observations)])
    departure = first_departure(beginning, run)
    return f"{shorten(departure.difference.observation)}: {departure.difference.summary}" if departure else ""


def departed_at(run: CheckRun, wanted: CheckRun) -> int:
    """How many observations agree before the first that does not."""
    pairs = zip(wanted.observations, run.observations, strict=False)
    for count, (expected, actual) in enumerate(pairs):
        alone = (replace(wanted, observations=(expected,)), replace(run, observations=(actual,)))
        if first_departure(*alone):
            return count
    return min(len(wanted.observations), len(run.observations))


def _in_words(observation: Observation) -> str:
    """What an observation should have been: of a tensor its kind, of anything else also the value, if short."""
    name, value = observation.name, observation.value
    if isinstance(value, Raised):
        return f"{name}: a {value.types[0]}"
    shown = "" if isinstance(value, Array) or value is None else show(value, 60)
    short = shown and not shown.endswith("…")
    return f"{name}: {kind(value)}" + (f", {shown}" if short else "")


def _steps(function: str, exercise: Exercise, submitted: Submitted, findings: Sequence[Finding]) -> str:
    """Of the functions of the file that a function calls, in the reference's order: which is wrong already?"""
    called = reach([function], submitted.text) if submitted.text else set()
    failed: dict[str, bool] = {}
    for finding in findings:
        if finding.status is not Status.BLOCKED:
            failed[finding.check.function] = (
                failed.get(finding.check.function, False) or finding.status is not Status.PASSED
            )
    steps = [
        name for name in calls_of(exercise.solution.text).get(function, ()) if name in called and name in failed
    ]
    wrong = next((name for name in steps if failed[name]), None)
    if wrong:
        return f"`{wrong}`, which it calls, is wrong on its own too: begin there."
    if not steps:
        return ""
    named = _listed([f"`{name}`" for name in steps])
    are = "is right on its own" if len(steps) == 1 else "are right on their own"
    return f"{named}, which it calls, {are}: look at what it does beside that."


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


@lru_cache(maxsize=32)
def calls_of(text: str) -> Mapping[str, tuple[str, ...]]:
    """For each top-level function and class of a file, the others that it names, in order, but for itself."""
    tree = parse(text)
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    found: dict[str, tuple[str, ...]] = {}
    for name, node in defined.items():
        used = [part for part in ast.walk(node) if isinstance(part, ast.Name) and part.id in defined]
        in_order = sorted(used, key=lambda part: (part.lineno, part.col_offset))
        found[name] = tuple(dict.fromkeys(part.id for part in in_order if part.id != name))
    return found
