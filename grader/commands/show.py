"""Show what the learner's own code does: the scene of an exercise, run as it is when it is graded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grader.course.catalogue import choose, exercise_ids
from grader.course.exercise import Exercise
from grader.errors import GraderError, UsageError
from grader.learner.contract import check_contract
from grader.learner.submission import Unreadable, read_submission
from grader.protocol.job import Job, Limits
from grader.protocol.runs import Ending, SubjectRun
from grader.report.console import Page, relative
from grader.report.scene import BadPanel, read_panels, save_png, show
from grader.supervisor.launcher import Launcher
from grader.supervisor.watch import run
from grader.text import COMMAND, shorten

SECONDS = 30.0
LOOK = "look"


def show_scene(
    root: Path, name: str, folder: Path, seed: int, launcher: Launcher, pictures: Path, page: Page
) -> int:
    """Show the scene of an exercise on the code in `folder`, and write its picture. Returns the exit code.

    Raises `UsageError` for an exercise without a scene, and for a file that cannot be read.
    """
    (exercise,) = choose(root, [name])
    found = run(launcher, _job(exercise, folder, seed))
    last = found.checks[-1]
    if last.check != LOOK or last.ending is not Ending.RETURNED:
        page.line(f"{exercise.id} does not get that far yet ({_why(found)}). `{COMMAND} check {exercise.id[:4]}`")
        return 1
    try:
        panels = read_panels(last.observations)
    except BadPanel as error:
        raise GraderError(f"the scene of {exercise.id} cannot be shown: {error}") from error
    page.line()
    show(page, panels)
    picture = pictures / f"{exercise.id}.png"
    try:
        if save_png(panels, picture):
            page.line(f"As a picture: {relative(str(picture))}", "dim")
    except OSError as error:
        page.line(f"The picture could not be written: {error.strerror}.", "yellow")
    return 0


def _job(exercise: Exercise, folder: Path, seed: int) -> Job:
    scene = exercise.scene
    if scene is None:
        raise UsageError(f"{exercise.id} has no scene. There are: {', '.join(_with_scenes(exercise.root))}.")
    try:
        submission = read_submission(folder, exercise.id)
        check_contract(submission, exercise)
    except Unreadable as problem:
        where = f"{relative(str(problem.path))}:{problem.line or 1}"
        raise UsageError(f"{where}: {problem}") from problem
    return Job(exercise.id, submission.sources, scene, (LOOK,), seed, Limits(SECONDS), exercise.asked)


def _with_scenes(root: Path) -> Sequence[str]:
    return [name for name in exercise_ids(root) if (root / "scenes" / f"{name}.py").exists()]


def _why(found: SubjectRun) -> str:
    """How the last thing that was tried ended, in a few words."""
    last = found.checks[-1]
    if last.ending is Ending.UNFINISHED:
        return "something in it is still to be written"
    failure = last.failure
    return shorten(f"{failure.types[0]}: {failure.message}", 120) if failure else last.ending.value
