"""The probes under plain pytest: `pytest tests/test_ex06_attention.py`, with --pdb and an editor's test panel.

The same probes and the same messages as `python -m grader`, in one process, for debugging. One process
promises less: code that hangs or crashes takes pytest along, and nothing hides the reference.
"""

from __future__ import annotations

import importlib
import re
import tempfile
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grader.bootstrap import ROOT
from grader.course.catalogue import Course, load_readable
from grader.course.exercise import Exercise
from grader.errors import UsageError
from grader.grading.bench import Bench, job_for
from grader.grading.grading import Explained, Grading
from grader.judge.details import details
from grader.judge.diagnosis import EXPLICABLE
from grader.judge.results import CheckResult, Status
from grader.judge.verdict import Submitted, compare_runs, result
from grader.learner.contract import check_contract
from grader.learner.submission import Submission, Unreadable, read_submission
from grader.protocol.job import Job, Limits
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, SubjectRun
from grader.sandbox.draw import Draw
from grader.sandbox.forbid import ForbiddenCall, forbidding, packages_refused
from grader.sandbox.loading import importable
from grader.sandbox.observe import Observe
from grader.sandbox.runner import all_observations, describe, fixtures_for, run_job
from grader.supervisor.jobs import Held

DEFAULT_SEED = 17
PACKAGE = "exercise_under_test"
NO_LIMIT = Limits(seconds=1e9)
# The path of a probe file: directly in tests/, and named after an exercise.
PROBE_FILE = re.compile(r"test_(ex\d\d_\w+)\.py")
Fixtures = tuple[Draw, Observe]
COURSE = pytest.StashKey[Course]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gpt-kata")
    group.addoption("--subject", default="exercises", help="whose code the probes run on: a folder")
    group.addoption(
        "--seed", type=int, default=DEFAULT_SEED, help=f"the seed of all inputs, {DEFAULT_SEED} by default"
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[COURSE] = load_readable(ROOT)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> str:
    return f"gpt-kata: probes on {config.getoption('--subject')}, seed {config.getoption('--seed')}"


class InThisProcess:
    """Runs jobs here: whatever their code does, it does to pytest."""

    def one(self, job: Job, cancelled: threading.Event | None, held: Held, is_again: bool) -> SubjectRun:
        return self._run(job)

    def many(self, jobs: Sequence[Job]) -> list[SubjectRun]:
        return [self._run(job) for job in jobs]

    def _run(self, job: Job) -> SubjectRun:
        runs: list[CheckRun] = []
        with tempfile.TemporaryDirectory() as scratch:
            run_job(replace(job, limits=NO_LIMIT), runs.append, Path(scratch))
        return SubjectRun(tuple(runs))


@dataclass(frozen=True)
class Learner:
    """The file that the probes of a module run on."""

    bench: Bench
    submission: Submission
    submitted: Submitted

    @cached_property
    def explained(self) -> Explained:
        """Which mistakes explain which check. One check alone would leave it open more often than all together."""
        return Grading(self.bench, self.submitted, self.bench.run(self.submission.sources, Held())).explain()

    def judge(self, run: CheckRun) -> CheckResult:
        """The verdict on one check, in the words that the grader would use."""
        checks = tuple(check for check in self.bench.exercise.checks if check.name == run.check)
        actual = SubjectRun((CheckRun(IMPORT_CHECK, Ending.RETURNED), run))
        alone = replace(self.bench.exercise, checks=checks)
        (finding,) = compare_runs(alone, self.submitted, self.bench.reference(), actual)
        mistakes = self.explained.get(run.check, ()) if finding.status in EXPLICABLE else ()
        said = result(finding, self.submitted, mistakes)
        if mistakes:
            return said
        return replace(said, details=details(finding, self.bench.exercise, self.submitted, (finding,)))


@pytest.fixture(scope="module")
def _learner(request: pytest.FixtureRequest) -> Learner:
    exercise = _exercise_of(request.config, request.path)
    if exercise is None:
        name = request.path.stem.removeprefix("test_")
        pytest.fail(request.config.stash[COURSE].problems[name], pytrace=False)
    try:
        submission = read_submission(ROOT / request.config.getoption("--subject"), exercise.id)
        outline = check_contract(submission, exercise)
    except Unreadable as problem:
        place = f"{problem.path}:{problem.line or 1}"
        pytest.fail(f"{Status.UNREADABLE}: {problem}\n{place}", pytrace=False)
    bench = Bench(exercise, request.config.getoption("--seed"), InThisProcess())
    return Learner(bench, submission, Submitted(submission.source.path, outline, submission.source.text))


@pytest.fixture(scope="module")
def subject(_learner: Learner) -> Generator[ModuleType]:
    """The module under test."""
    with importable(PACKAGE, _learner.submission.sources, _learner.bench.exercise.asked):
        yield importlib.import_module(f"{PACKAGE}.{_learner.submission.exercise}")


@pytest.fixture
def _fixtures(request: pytest.FixtureRequest, _learner: Learner) -> Fixtures:
    return fixtures_for(request.function.__name__, _learner.submission.exercise, request.config.getoption("--seed"))


@pytest.fixture
def draw(_fixtures: Fixtures) -> Draw:
    """Seeded inputs."""
    return _fixtures[0]


@pytest.fixture
def observe(_fixtures: Fixtures) -> Observe:
    """Where a probe writes down what it sees."""
    return _fixtures[1]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a probe as any test, then compare what it observed with what the reference shows.

    An error that no known mistake explains stays an error: pytest shows it, and --pdb stops at it.
    """
    exercise = _exercise_of(pyfuncitem.config, pyfuncitem.path)
    if exercise is None:
        return (yield)
    arguments: dict[str, Any] = pyfuncitem.funcargs
    learner: Learner = arguments["_learner"]
    job = job_for(exercise, learner.submission.sources, pyfuncitem.config.getoption("--seed"), NO_LIMIT)
    operations = job.forbidden_operations.get(pyfuncitem.name, ())
    files = frozenset(source.path for source in learner.submission.sources.values())
    outcome: object = None
    raised: BaseException | None = None
    try:
        with packages_refused(job.forbidden_packages), forbidding(operations):
            outcome = yield
        run = CheckRun(pyfuncitem.name, Ending.RETURNED, all_observations(*arguments["_fixtures"]))
    except (Exception, ForbiddenCall) as error:
        ending, failure = describe(error, files)
        if ending is Ending.UNFINISHED:
            pytest.skip("not started")
        _, observe = arguments["_fixtures"]
        run, raised = CheckRun(pyfuncitem.name, ending, tuple(observe.recorded), failure), error
    verdict = learner.judge(run)
    if isinstance(raised, Exception) and not verdict.mistakes:
        raise raised
    if verdict.status is not Status.PASSED:
        pytest.fail(_message(verdict), pytrace=False)
    return outcome


def _message(verdict: CheckResult) -> str:
    lines = [f"{verdict.status}: {verdict.told}"]
    if verdict.difference:
        lines += [f"in        {verdict.difference.observation}", f"expected  {verdict.difference.expected}"]
        lines += [f"yours     {verdict.difference.actual}"]
    if verdict.details and verdict.details.promise:
        lines.append(f"promised  {verdict.details.promise}")
    if verdict.place:
        lines.append(f"{verdict.place.file}:{verdict.place.line}  {verdict.place.function}")
    return "\n".join(lines)


def _exercise_of(config: pytest.Config, path: Path) -> Exercise | None:
    match = PROBE_FILE.fullmatch(path.name)
    if not match or path.parent != ROOT / "tests":
        return None
    return next((exercise for exercise in config.stash[COURSE].exercises if exercise.id == match[1]), None)
