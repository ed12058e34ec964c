"""The process that runs a learner's code may write anything to the channel: nothing of it crashes, nothing passes.

10,000 mutated frames go the whole way, from the bytes to the judge, every format and the store.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.course.exercise import Exercise
from grader.course.outline import outline
from grader.judge.compare import same_run
from grader.judge.diagnosis import diagnose
from grader.judge.results import ExerciseResult, Report, Status
from grader.judge.verdict import Submitted, compare_runs, overall, result
from grader.learner.history import Store
from grader.protocol import frames
from grader.protocol.runs import CheckRun, SubjectRun
from grader.report import json as jsonformat
from grader.report import junit
from grader.report.console import Page, show_result
from tests.faults.harness.mutations import (
    CHANGES,
    EDITS,
    EXPECTED,
    FILE,
    FOLDER,
    FRAMES,
    IMPORTED,
    SIZES,
    WRONG,
    Change,
    Edit,
    framed,
    parts,
    well_formed_runs,
)
from tests.mini import SOLUTION, reader

SUBMITTED = Submitted(FILE, outline(SOLUTION))
# What moves a cursor, hides text or turns it round, and what no terminal can encode.
UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MUTATED_FRAMES = 10_000


def fuzz(share: float) -> settings:
    """A share of all mutated frames, the same in each run."""
    return settings(
        max_examples=int(share * MUTATED_FRAMES),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@dataclass
class Course:
    """The whole way that a frame goes, and how many got how far."""

    exercise: Exercise
    page: Page
    store: Store
    attempt: int | None
    seen: Counter[str]

    def go(self, data: bytes) -> None:
        """Read all frames in these bytes; judge, show and store each as the only result of a process."""
        take = reader(data)
        try:
            while (run := frames.read(take)) is not None:
                self._judge(run)
                self.seen["judged"] += 1
        except frames.BadFrame:
            self.seen["refused"] += 1

    def _judge(self, run: CheckRun) -> None:
        actual = SubjectRun((IMPORTED, run))
        findings = compare_runs(self.exercise, SUBMITTED, EXPECTED, actual)
        checks = tuple(result(finding, SUBMITTED) for finding in findings)
        assert Status.PASSED not in {check.status for check in checks}
        assert {Path(check.place.file).parent for check in checks if check.place} <= {FOLDER}
        wrong = SubjectRun((IMPORTED, WRONG))
        diagnose(self.exercise, findings, EXPECTED, lambda candidates: [wrong for _ in candidates], {})
        # Code whose answers vary is noticed by comparing two of its own runs.
        assert same_run(run, run)
        same_run(run, WRONG)
        graded = ExerciseResult(self.exercise.id, overall(findings), 0.5, checks, refused=run.refused)
        self._show(graded)
        self.store.finish(self.attempt, graded)
        assert self.store.problem == ""
        self.seen[graded.status] += 1

    def _show(self, result: ExerciseResult) -> None:
        written = self.page.console.file = StringIO()
        show_result(self.page, result, self.exercise, " --seed 17")
        text = written.getvalue()
        assert not UNSAFE.search(text) and len(text) < 5000
        report = Report(17, "exercises", {}, (result,), 1)
        document = json.loads(jsonformat.render(report))
        assert document["passed"] == 0 and document["exercises"][0]["refused"] == list(result.refused)
        suites = ElementTree.fromstring(junit.render(report))
        assert len(suites.findall(".//testcase")) == len(suites.findall(".//*[@type]")) == len(result.checks)


@pytest.fixture
def course(exercise: Exercise, tmp_path: Path) -> Iterator[Course]:
    store = Store(tmp_path / ".grader" / "progress.sqlite3")
    attempt = store.keep(exercise.id, SOLUTION, "graded", 17)
    course = Course(exercise, Page(), store, attempt, Counter())
    yield course
    (kept,) = store.attempts()
    assert kept.id == attempt and kept.status is not Status.PASSED
    store.close()
    print(dict(course.seen))  # shown where a test fails
    assert course.seen["judged"] > 50 and course.seen[Status.WRONG] > 10


@fuzz(0.25)
@given(FRAMES, st.lists(EDITS, min_size=1, max_size=3))
def test_changed_bytes(course: Course, frame: bytes, edits: list[Edit]) -> None:
    for edit in edits:
        frame = edit.applied(frame)
    course.go(frame)


@fuzz(0.1)
@given(FRAMES, EDITS)
def test_changed_headers_of_the_right_length(course: Course, frame: bytes, edit: Edit) -> None:
    header, blob = parts(frame)
    course.go(framed(edit.applied(header), blob))


@fuzz(0.1)
@given(FRAMES, FRAMES, st.floats(0, 1), st.floats(0, 1))
def test_two_frames_spliced(course: Course, one: bytes, other: bytes, first: float, second: float) -> None:
    course.go(one[: int(first * len(one))] + other[int(second * len(other)) :])


@fuzz(0.1)
@given(FRAMES, SIZES, st.booleans(), st.binary(max_size=1), st.booleans())
def test_sizes_that_lie(course: Course, frame: bytes, size: int, of_header: bool, more: bytes, again: bool) -> None:
    header, blob = map(len, parts(frame))
    sizes = (size, blob) if of_header else (header, size)
    lying = frames.PREFIX.pack(frames.MAGIC, frames.VERSION, *sizes) + frame[frames.PREFIX.size :]
    course.go((frame if again else b"") + lying + more)


@fuzz(0.3)
@given(FRAMES, st.lists(CHANGES, min_size=1, max_size=2))
def test_changed_documents(course: Course, frame: bytes, changes: list[Change]) -> None:
    header, blob = parts(frame)
    document = json.loads(header)
    for change in changes:
        change.apply(document)
    course.go(framed(json.dumps(document, separators=(",", ":")).encode(), blob))


@pytest.mark.slow
@fuzz(0.15)
@given(well_formed_runs())
def test_any_values_in_good_frames(course: Course, run: CheckRun) -> None:
    """What gets past the reader, because a learner may well return it: the judge has to bear it."""
    course.go(frames.encode(run))
    assert course.seen["refused"] == 0
