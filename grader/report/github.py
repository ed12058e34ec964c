"""The report as GitHub's workflow commands: an annotation on the line of each exercise that is not done.

Source: https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from grader.judge.results import NOT_WRONG, ExerciseResult, Report, Status
from grader.report.console import WORDS, relative, title_of
from grader.text import printable


def render(report: Report) -> str:
    """A line for each exercise that is not done, since GitHub shows ten of a kind, and one that counts them.

    What went wrong is an error, what is still to be written a notice.
    """
    lines = [_annotation(result) for result in report.exercises if result.status is not Status.PASSED]
    stopped = "; stopped before its end" if report.stopped else ""
    summary = f"{report.passed} of {report.total} exercises passed, seed {report.seed}{stopped}"
    return "\n".join([*lines, f"::notice title=GPT Kata::{_data(summary)}", ""])


def _annotation(result: ExerciseResult) -> str:
    first = result.first_open
    place = result.place or (first.place if first else None)
    message = result.message or (first.told if first else WORDS[result.status])
    title = f"{result.id}: {title_of(first) if first and not result.message else WORDS[result.status]}"
    properties = {"title": title}
    if place:
        properties = {"file": relative(place.file).replace("\\", "/"), "line": str(place.line), "title": title}
    kind = "notice" if result.status in NOT_WRONG else "error"
    return (
        f"::{kind} {','.join(f'{key}={_property(value)}' for key, value in properties.items())}::{_data(message)}"
    )


def _data(text: str) -> str:
    """A text as it may stand behind the last `::`, whatever learner's code has put into it."""
    lines = "\n".join(printable(line) for line in text.splitlines())
    return lines.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
