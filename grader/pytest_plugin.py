"""The probes under plain pytest: `pytest tests/test_ex06_attention.py`, with --pdb and an editor's test panel.

The same probes and the same messages as `python -m grader`, in one process, for debugging. One process
promises less: code that hangs or crashes takes pytest along, and nothing hides the reference.
"""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from grader.course.catalogue import Exercise, load
from grader.course.outline import Outline
from grader.course.tutor_file import Mistake
from grader.errors import UsageError
from grader.grading.variants import combined_sources, job_for, variant_sources
from grader.judge.diagnosis import diagnose
from grader.judge.results import CheckResult, Status
from grader.judge.verdict import judge
from grader.learner.contract import check_contract
from grader.learner.submission import Subject, Unreadable, read_subject
from grader.protocol.job import Limits, Source
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, SubjectRun
from grader.sandbox.draw import Draw
from grader.sandbox.forbid import ForbiddenCall, forbidding, packages_refused
from grader.sandbox.loading import importable
from grader.sandbox.observe import Observe
from grader.sandbox.runner import all_observations, describe, fixtures_for, run_job

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_SEED = 17
PACKAGE = "exercise_under_test"
NO_LIMIT = Limits(seconds=1e9)
# The path of a probe file: directly in tests/, and named after an exercise.
PROBE_FILE = re.compile(r"test_(ex\d\d_\w+)\.py")
Fixtures = tuple[Draw, Observe]
EXERCISES = pytest.StashKey[dict[str, Exercise]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gpt-kata")
    group.addoption("--subject", default="exercises", help="whose code the probes run on: a folder")
    group.addoption(
        "--seed", type=int, default=DEFAULT_SEED, help=f"the seed of all inputs, {DEFAULT_SEED} by default"
    )


def pytest_configure(config: pytest.Config) -> None:
    try:
        config.stash[EXERCISES] = {exercise.id: exercise for exercise in load(ROOT)}
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> str:
    return f"gpt-kata: probes on {config.getoption('--subject')}, seed {config.getoption('--seed')}"


@pytest.fixture(scope="module")
def _learner(request: pytest.FixtureRequest) -> tuple[Exercise, Subject, Outline]:
    exercise = _exercise_of(request.config, request.path)
    assert exercise is not None
    try:
        subject = read_subject(ROOT / request.config.getoption("--subject"), exercise.id)
        return exercise, subject, check_contract(subject, exercise)
    except Unreadable as problem:
        place = f"{problem.path}:{problem.line or 1}"
        pytest.fail(f"{Status.UNREADABLE}: {problem}\n{place}", pytrace=False)


@pytest.fixture(scope="module")
def subject(_learner: tuple[Exercise, Subject, Outline]) -> Generator[ModuleType]:
    """The module under test."""
    exercise, subject, _ = _learner
    with importable(PACKAGE, subject.sources):
        yield importlib.import_module(f"{PACKAGE}.{exercise.id}")


@pytest.fixture
def _fixtures(request: pytest.FixtureRequest, _learner: tuple[Exercise, Subject, Outline]) -> Fixtures:
    return fixtures_for(request.function.__name__, _learner[0].id, request.config.getoption("--seed"))


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
    """Run a probe as any test, then compare what it observed with what the reference shows."""
    exercise = _exercise_of(pyfuncitem.config, pyfuncitem.path)
    if exercise is None:
        return (yield)
    arguments: dict[str, Any] = pyfuncitem.funcargs
    _, subject, outline = arguments["_learner"]
    job = job_for(exercise, subject.sources, pyfuncitem.config.getoption("--seed"), NO_LIMIT)
    operations = job.forbidden_operations.get(pyfuncitem.name, ())
    files = frozenset(source.path for source in subject.sources.values())
    outcome: object = None
    try:
        with packages_refused(job.forbidden_packages), forbidding(operations):
            outcome = yield
        recorded = all_observations(*arguments["_fixtures"])
        actual = CheckRun(pyfuncitem.name, Ending.RETURNED, recorded)
    except NotImplementedError as error:
        if describe(error, files)[0] is not Ending.UNFINISHED:
            raise
        pytest.skip("not started")
    except ForbiddenCall as error:
        ending, failure = describe(error, files)
        actual = CheckRun(pyfuncitem.name, ending, (), failure)
    result = _judge(exercise, subject, outline, actual, job.seed)
    if result.status is not Status.PASSED:
        pytest.fail(_message(result), pytrace=False)
    return outcome


def _judge(exercise: Exercise, subject: Subject, outline: Outline, actual: CheckRun, seed: int) -> CheckResult:
    """The verdict on one check, in the words that the grader would use."""

    def run(sources: dict[str, Source], checks: tuple[str, ...]) -> SubjectRun:
        runs: list[CheckRun] = []
        with tempfile.TemporaryDirectory() as scratch:
            run_job(replace(job_for(exercise, sources, seed, NO_LIMIT), checks=checks), runs.append, Path(scratch))
        return SubjectRun(tuple(runs))

    def run_mistakes(candidates: Sequence[tuple[Mistake, ...]], checks: tuple[str, ...]) -> list[SubjectRun | None]:
        sources = [combined_sources(exercise, mistakes) for mistakes in candidates]
        return [run(s, checks) if s else None for s in sources]

    reference = run(variant_sources(exercise), (actual.check,))
    observed = SubjectRun((CheckRun(IMPORT_CHECK, Ending.RETURNED), actual))
    results = judge(exercise, subject.source.path, outline, reference, observed)
    result = next(result for result in results if result.name == actual.check)
    if result.status is not Status.WRONG:
        return result
    explained = diagnose(exercise, reference, observed, run_mistakes)
    says = "\n".join(mistake.says for mistake in explained.get(actual.check, ()))
    return replace(result, message=says or result.message)


def _message(result: CheckResult) -> str:
    lines = [f"{result.status}: {result.message}"]
    if result.difference:
        lines += [f"in        {result.difference.observation}", f"expected  {result.difference.expected}"]
        lines += [f"yours     {result.difference.actual}"]
    if result.place:
        lines.append(f"{result.place.file}:{result.place.line}  {result.place.function}")
    return "\n".join(lines)


def _exercise_of(config: pytest.Config, path: Path) -> Exercise | None:
    match = PROBE_FILE.fullmatch(path.name)
    return config.stash[EXERCISES].get(match[1]) if match and path.parent == ROOT / "tests" else None
