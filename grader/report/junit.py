"""The report as JUnit XML: a test suite per exercise, a test case per check, for CI systems."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from grader.judge.results import ExerciseResult, Report, Status, is_done
from grader.text import printable

ERRORS = (Status.CRASHED, Status.TIMEOUT, Status.LIMIT, Status.UNREADABLE, Status.RAISED, Status.GRADER_ERROR)
# What XML 1.0 cannot hold, escaped or not.
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report) -> str:
    """Whatever is not passed is a failure or an error; skipped is only what is optional and was not begun.

    Plain ASCII: redirected on a console of another encoding, the bytes still are what the first line says.
    """
    name = "gpt-kata, stopped before its end" if report.stopped else "gpt-kata"
    root = ElementTree.Element("testsuites", name=name, tests=str(sum(map(_cases, report.exercises))))
    for result in report.exercises:
        statuses = [check.status for check in result.checks if not is_done(check)]
        if not result.checks and result.status is not Status.PASSED:
            statuses = [result.status]
        errors = sum(status in ERRORS for status in statuses)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=result.id,
            tests=str(_cases(result)),
            failures=str(len(statuses) - errors),
            errors=str(errors),
            skipped=str(sum(is_done(check) and check.status is not Status.PASSED for check in result.checks)),
            time=f"{result.seconds:.3f}",
        )
        for check in result.checks:
            case = ElementTree.SubElement(suite, "testcase", classname=result.id, name=check.name)
            if not is_done(check):
                _problem(case, check.status, check.told)
            elif check.status is not Status.PASSED:
                ElementTree.SubElement(case, "skipped", message="optional")
        if not result.checks:
            case = ElementTree.SubElement(suite, "testcase", classname=result.id, name=result.id)
            if result.status is not Status.PASSED:
                _problem(case, result.status, result.message)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return document.decode("ascii") + "\n"


def _cases(result: ExerciseResult) -> int:
    return max(1, len(result.checks))


def _problem(case: ElementTree.Element, status: Status, message: str) -> None:
    text = NOT_XML.sub("?", printable(message))
    kind = "error" if status in ERRORS else "failure"
    ElementTree.SubElement(case, kind, type=status.value, message=text.partition("\n")[0]).text = text
