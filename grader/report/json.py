"""The report as one JSON document, version 2: the record that other tools read."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from grader.judge.results import CheckResult, ExerciseResult, Report
from grader.report.picture import picture_lines

VERSION = 2
PICTURE_WIDTH = 80


def render(report: Report) -> str:
    """Stable keys, in this order; plain ASCII, so that no console can spoil it."""
    return json.dumps(document(report), indent=1) + "\n"


def document(report: Report) -> dict[str, Any]:
    return {
        "version": VERSION,
        "stopped": report.stopped,
        "seed": report.seed,
        "folder": report.folder,
        "protections": report.protections,
        "passed": report.passed,
        "total": report.total,
        "notices": list(report.notices),
        "exercises": [_exercise(result) for result in report.exercises],
    }


def _exercise(result: ExerciseResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "status": result.status.value,
        "seconds": round(result.seconds, 3),
        "message": result.message,
        "line": result.place.line if result.place else None,
        "checks": [_check(check) for check in result.checks],
        "output": result.output,
        "refused": list(result.refused),
        "digest": result.digest,
    }


def _check(check: CheckResult) -> dict[str, Any]:
    picture = check.difference and check.difference.picture
    return {
        "name": check.name,
        "status": check.status.value,
        "function": check.function,
        "fine_print": check.fine_print,
        "optional": check.optional,
        "message": check.message,
        "file": check.place.file if check.place else None,
        "line": check.place.line if check.place else None,
        "mistakes": list(check.mistakes),
        "expected": check.difference.expected if check.difference else None,
        "actual": check.difference.actual if check.difference else None,
        "relation": (check.difference.relation or None) if check.difference else None,
        "relation_in_words": (check.difference.relation_in_words or None) if check.difference else None,
        "picture": list(picture_lines(picture, PICTURE_WIDTH)) if picture else [],
        "details": asdict(check.details) if check.details else None,
    }
