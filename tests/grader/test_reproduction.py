"""The code that a failure comes with does what the check does: run on the reference, it shows the same."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grader.course import catalogue
from grader.course.exercise import Exercise
from grader.grading.bench import job_for
from grader.judge.compare import compare
from grader.judge.recording import Recorded, read_recorded
from grader.judge.reproduction import reproduction
from grader.protocol.job import Limits
from grader.protocol.runs import CheckRun, Observation
from grader.protocol.values import Raised
from grader.sandbox.observe import error_types, freeze
from grader.sandbox.runner import Surroundings, run_job
from tests.mini import ROOT

EXERCISES = {exercise.id: exercise for exercise in catalogue.load(ROOT)}
SEED = 17


def runs_of(exercise: Exercise, is_recording: bool) -> dict[str, CheckRun]:
    """All checks on the reference, in this process."""
    job = job_for(exercise, {**exercise.imported, exercise.id: exercise.solution}, SEED, Limits(1e9), False)
    runs: list[CheckRun] = []
    with tempfile.TemporaryDirectory() as scratch:
        run_job(replace(job, takes_notes=is_recording), runs.append, Path(scratch))
    return {run.check: run for run in runs}


@contextmanager
def elsewhere() -> Iterator[None]:
    """In a folder of its own, with what code may change in a process put back."""
    surroundings = Surroundings.now()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        yield
        surroundings.put_back()
    for name in [name for name in sys.modules if name.startswith("solutions")]:
        del sys.modules[name]


def shown_by(code: str) -> tuple[list[tuple[str, object]], BaseException | None]:
    """What a piece of code prints, each name with its value, and the error that ended it."""
    printed: list[tuple[str, object]] = []

    def note(name: str, value: object) -> None:
        printed.append((name.removesuffix(":"), freeze(value)))

    ended: BaseException | None = None
    with elsewhere():
        torch.set_grad_enabled(True)
        try:
            exec(compile(code, "<attempt>", "exec"), {"print": note, "__name__": "attempt"})
        except Exception as error:
            ended = error
    return printed, ended


def problem(wanted: Observation, code: str) -> str:
    """How the code fails to show this observation, or nothing."""
    printed, ended = shown_by(code)
    if isinstance(wanted.value, Raised):
        told = [value for name, value in printed if name == wanted.name and isinstance(value, str)]
        as_text = any(value.startswith(wanted.value.types[0]) for value in told)
        return "" if as_text or (ended and error_types(ended) == wanted.value.types) else f"it ended with {ended!r}"
    values = [value for name, value in printed if name == wanted.name]
    if any(compare(wanted, value) is None for value in values):  # type: ignore[arg-type]
        return ""
    how = "".join(traceback.format_exception(ended)[-3:]) if ended else f"it showed {[name for name, _ in printed]}"
    return f"{how}{values}"


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_the_code_shows_what_the_check_saw(name: str) -> None:
    exercise = EXERCISES[name]
    reference, recorded = runs_of(exercise, False), runs_of(exercise, True)
    problems: dict[str, str] = {}
    for check in exercise.checks:
        notes = read_recorded(recorded[check.name])
        assert isinstance(notes, Recorded), recorded[check.name].failure
        observations = reference[check.name].observations[:-1]
        assert len(notes.observed) == len(observations)
        for count in sorted({0, len(observations) // 2, len(observations) - 1}):
            code = reproduction(exercise.probes.text, check.name, f"solutions.{name}", notes, count)
            found = problem(observations[count], code) if code else "no code"
            if found:
                problems[f"{check.name}, {observations[count].name}"] = f"{found}\n{code}"
    assert problems == {}, "\n\n".join(f"{key}: {value}" for key, value in problems.items())
