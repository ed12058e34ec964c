"""The report as Gradescope's `results.json`: a test for each exercise, with points for the checks that passed.

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

import json
from typing import Any

from grader.judge.results import ExerciseResult, Report, Status, is_done
from grader.report.console import WORDS, title_of
from grader.text import printable

# Of each exercise, all checks together.
POINTS = 10.0


def render(report: Report) -> str:
    """Plain ASCII. What was not graded before it was stopped is missing, so its points are too."""
    said = f"{report.passed} of {report.total} exercises passed, seed {report.seed}."
    if report.stopped:
        said += " It was stopped before its end."
    document = {
        "output": " ".join([said, *report.notices]),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "execution_time": round(sum(result.seconds for result in report.exercises), 3),
        "tests": [_test(result) for result in report.exercises],
    }
    return json.dumps(document, indent=1) + "\n"


def _test(result: ExerciseResult) -> dict[str, Any]:
    done = sum(is_done(check) for check in result.checks)
    passed = result.status is Status.PASSED
    return {
        "name": result.id,
        "score": POINTS if passed else round(POINTS * done / max(1, len(result.checks)), 2),
        "max_score": POINTS,
        "status": "passed" if passed else "failed",
        "output": _output(result, done),
        "output_format": "text",
    }


def _output(result: ExerciseResult, done: int) -> str:
    lines = [f"{WORDS[result.status]}; {done} of {len(result.checks)} checks passed"]
    first = result.first_open
    if result.message:
        lines += result.message.splitlines()
    elif first:
        lines += [f"{title_of(first)}:", *first.told.splitlines()]
    return "\n".join(map(printable, lines))
