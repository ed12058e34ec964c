"""What the formats for programs say, read by what reads them: schemas, other people's readers, GitHub's rules."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import junitparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.judge.results import CheckResult, ExerciseResult, Report, Status
from grader.protocol.runs import Place
from grader.report import github, gradescope, junit
from grader.report import json as jsonformat

# After https://gradescope-autograders.readthedocs.io/en/latest/specs/: what is there has to be one of these.
KIND = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
VISIBILITY = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
GRADESCOPE = {
    "type": "object",
    "additionalProperties": False,
    "anyOf": [{"required": ["score"]}, {"required": ["tests"]}],
    "properties": {
        "score": {"type": "number"},
        "execution_time": {"type": "number"},
        "output": {"type": "string"},
        "output_format": KIND,
        "test_output_format": KIND,
        "test_name_format": KIND,
        "visibility": VISIBILITY,
        "stdout_visibility": VISIBILITY,
        "extra_data": {"type": "object"},
        "leaderboard": {"type": "array"},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "score": {"type": "number", "minimum": 0},
                    "max_score": {"type": "number", "minimum": 0},
                    "status": {"enum": ["passed", "failed"]},
                    "name": {"type": "string"},
                    "name_format": KIND,
                    "number": {"type": "string"},
                    "output": {"type": "string"},
                    "output_format": KIND,
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "visibility": VISIBILITY,
                    "extra_data": {"type": "object"},
                },
            },
        },
    },
}
TEXT = {"type": "string"}
MAYBE_TEXT = {"type": ["string", "null"]}
MAYBE_LINE = {"type": ["integer", "null"]}
TEXTS = {"type": "array", "items": TEXT}


def exactly(**properties: object) -> dict[str, object]:
    """An object with all of these and nothing else."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


OURS = exactly(
    version={"const": 2},
    stopped={"type": "boolean"},
    seed={"type": "integer"},
    folder=TEXT,
    protections={"type": "object", "additionalProperties": TEXT},
    passed={"type": "integer"},
    total={"type": "integer"},
    notices=TEXTS,
    exercises={
        "type": "array",
        "items": exactly(
            id=TEXT,
            status={"enum": [status.value for status in Status]},
            seconds={"type": "number"},
            message=TEXT,
            line=MAYBE_LINE,
            checks={
                "type": "array",
                "items": exactly(
                    name=TEXT,
                    status={"enum": [status.value for status in Status]},
                    function=TEXT,
                    fine_print={"type": "boolean"},
                    optional={"type": "boolean"},
                    message=TEXT,
                    file=MAYBE_TEXT,
                    line=MAYBE_LINE,
                    mistakes=TEXTS,
                    expected=MAYBE_TEXT,
                    actual=MAYBE_TEXT,
                    relation=MAYBE_TEXT,
                    relation_in_words=MAYBE_TEXT,
                    picture=TEXTS,
                    details={"type": ["object", "null"]},
                ),
            },
            output=TEXT,
            refused=TEXTS,
            digest=TEXT,
        ),
    },
)


@dataclass(frozen=True)
class Annotation:
    """A workflow command, as GitHub's runner understands it."""

    kind: str
    properties: dict[str, str]
    message: str


def read_commands(text: str) -> list[Annotation]:
    """Every line that the runner takes for a command; a line that is none is an error here."""
    found = []
    for line in text.splitlines():
        command = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line)
        assert command, line
        pairs = [pair.split("=", 1) for pair in command[2].split(",")]
        found.append(Annotation(command[1], {key: decoded(value) for key, value in pairs}, decoded(command[3])))
    return found


def decoded(text: str) -> str:
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, character)
    return text


SAID = "Your rows: 50 %, not 100.\nMore."
WRONG = CheckResult("test_a_row_sums_to_one", Status.WRONG, "f", SAID, Place("f.py", 3))
TO_WRITE = CheckResult("test_x", Status.UNFINISHED, "g", "To do.")
PASSED = CheckResult("test_b", Status.PASSED, "f")
REPORT = Report(
    17,
    "exercises",
    {},
    (
        ExerciseResult("ex00_a", Status.PASSED, 0.5, (PASSED,)),
        ExerciseResult("ex01_b", Status.WRONG, 0.25, (PASSED, WRONG, PASSED)),
        ExerciseResult("ex02_c", Status.UNREADABLE, 0.0, (), "A bracket is missing.", Place("c.py", 9)),
        ExerciseResult("ex03_d", Status.UNFINISHED, 0.0, (TO_WRITE,)),
        ExerciseResult("ex04_e", Status.GRADER_ERROR, 0.0, (), "Ours. This is not your fault."),
    ),
    5,
    ("A notice.",),
)


def test_github_annotates_the_line_of_each_exercise_that_is_not_done() -> None:
    first, second, third, fourth, summary = read_commands(github.render(REPORT))
    assert first == Annotation(
        "error",
        {"file": "f.py", "line": "3", "title": "ex01_b: a row sums to one"},
        "Your rows: 50 %, not 100.\nMore.",
    )
    assert second == Annotation(
        "error", {"file": "c.py", "line": "9", "title": "ex02_c: cannot be read"}, "A bracket is missing."
    )
    assert (third.kind, third.message) == ("notice", "To do.")
    assert (fourth.kind, fourth.properties) == ("error", {"title": "ex04_e: the grader failed"})
    assert summary == Annotation("notice", {"title": "GPT Kata"}, "1 of 5 exercises passed, seed 17")


def test_gradescope_gets_points_for_each_exercise() -> None:
    document = json.loads(gradescope.render(REPORT))
    jsonschema.validate(document, GRADESCOPE)
    assert [test["score"] for test in document["tests"]] == [10.0, 6.67, 0.0, 0.0, 0.0]
    assert {test["max_score"] for test in document["tests"]} == {10.0}
    assert document["tests"][1]["output"].splitlines() == [
        "wrong; 2 of 3 checks passed",
        "a row sums to one:",
        "Your rows: 50 %, not 100.",
        "More.",
    ]
    assert document["output"] == "1 of 5 exercises passed, seed 17. A notice."


def test_a_schema_refuses_what_is_wrong() -> None:
    for document, schema in ((gradescope.render(REPORT), GRADESCOPE), (jsonformat.render(REPORT), OURS)):
        broken = json.loads(document)
        broken["something else"] = 1
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


def test_json_is_what_it_is_said_to_be() -> None:
    jsonschema.validate(json.loads(jsonformat.render(REPORT)), OURS)


def test_junit_is_read_by_another_reader(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(junit.render(REPORT), encoding="utf-8")
    suites = {suite.name: suite for suite in junitparser.JUnitXml.fromfile(str(path))}
    assert [(suite.tests, suite.failures, suite.errors) for suite in suites.values()] == [
        (1, 0, 0),
        (3, 1, 0),
        (1, 0, 1),
        (1, 1, 0),
        (1, 0, 1),
    ]
    (problem,) = next(case for case in suites["ex01_b"] if case.result).result
    assert problem.message == "Your rows: 50 %, not 100." and problem.type == "wrong"


@given(st.text(), st.text(), st.text())
def test_whatever_stands_in_a_message_no_command_is_made_of_it(message: str, name: str, file: str) -> None:
    check = CheckResult(f"test_{name}", Status.RAISED, "f", message, Place(file or "f.py", 1))
    report = Report(1, "", {}, (ExerciseResult("ex00_a", Status.RAISED, 0.0, (check,), output=message),), 1)
    commands = read_commands(github.render(report))
    assert [command.kind for command in commands] == ["error", "notice"]
    assert set(commands[0].properties) == {"file", "line", "title"}
    jsonschema.validate(json.loads(gradescope.render(report)), GRADESCOPE)
    jsonschema.validate(json.loads(jsonformat.render(report)), OURS)


def test_a_run_that_was_stopped_says_so() -> None:
    stopped = Report(17, "exercises", {}, REPORT.exercises[:1], 5, stopped=True)
    assert read_commands(github.render(stopped))[-1].message.endswith("stopped before its end")
    assert "stopped before its end" in json.loads(gradescope.render(stopped))["output"]
