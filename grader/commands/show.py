"""Show what the learner's own code does: the scene of an exercise, run as it is when it is graded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from grader.course.catalogue import choose, exercise_ids
from grader.course.exercise import Exercise
from grader.course.outline import follow_imports
from grader.course.scene import LOOK, Scene
from grader.course.stubs import unwritten
from grader.errors import GraderError, UsageError
from grader.learner.contract import check_contract
from grader.learner.submission import Submission, Unreadable, read_submission, read_text
from grader.protocol.job import Job, Limits, Source
from grader.protocol.runs import Ending, SubjectRun
from grader.report.console import Page, relative
from grader.report.scenes.panels import BadPanel, Panel, read_panels
from grader.report.scenes.png import save_png
from grader.report.scenes.terminal import show
from grader.supervisor.jobs import run
from grader.supervisor.launcher import Launcher
from grader.text import COMMAND, shorten

# A scene that may take longer says so before it begins.
LONG_SECONDS = 30.0
# A GPT-2 that is read from a folder and copied into the learner's.
MEMORY_FOR_A_FOLDER = 6 * 2**30
# The modules that read such a folder.
HUB = Path(__file__).resolve().parents[1] / "hub"


class NotThatFarYet(GraderError):
    """The learner's code does not yet do what the scene shows; the message says why, in a few words."""


def show_scene(
    root: Path,
    name: str,
    text: str,
    read: Path | None,
    folder: Path,
    seed: int,
    launcher: Launcher,
    pictures: Path,
    page: Page,
) -> int:
    """Show the scene of an exercise on the code in `folder`, and write its picture. Returns the exit code.

    `text` and `read`, a folder with a model, are for scenes that ask for them.

    Raises `UsageError` for an exercise without a scene, for what its scene does not take, and for a file that
    cannot be read.
    """
    (exercise,) = choose(root, [name])
    scene = exercise.scene
    if scene is None:
        raise UsageError(f"{exercise.id} has no scene. There are: {', '.join(_with_scenes(root))}.")
    _check_taken(exercise, scene, text, read, root)
    if scene.seconds > LONG_SECONDS:
        page.line("Something is trained here, so this takes a while.", "dim")
    try:
        panels = look_at(exercise, scene, folder, seed, launcher, text, read)
    except NotThatFarYet as error:
        page.line(f"{exercise.id} does not get that far yet ({error}). `{COMMAND} check {exercise.id[:4]}`")
        return 1
    page.line()
    show(page, panels)
    picture = pictures / f"{exercise.id}.png"
    try:
        if save_png(panels, picture):
            page.line(f"As a picture: {relative(str(picture))}", "dim")
    except OSError as error:
        page.line(f"The picture could not be written: {error.strerror}.", "yellow")
    return 0


def look_at(
    exercise: Exercise,
    scene: Scene,
    folder: Path,
    seed: int,
    launcher: Launcher,
    text: str = "",
    read: Path | None = None,
    cancelled: threading.Event | None = None,
) -> Sequence[Panel]:
    """What the scene shows of the code in `folder`.

    Raises `NotThatFarYet`, `UsageError` for a file that cannot be read, `watch.Cancelled` after the event.
    """
    found = run(launcher, _job(exercise, scene, folder, seed, text, read), cancelled)
    last = found.checks[-1]
    if last.check != LOOK or last.ending is not Ending.RETURNED:
        raise NotThatFarYet(_why(found))
    try:
        return read_panels(last.observations)
    except BadPanel as error:
        raise GraderError(f"the scene of {exercise.id} cannot be shown: {error}") from error


def _check_taken(exercise: Exercise, scene: Scene, text: str, read: Path | None, root: Path) -> None:
    if text and "text" not in scene.takes:
        raise UsageError(f"The scene of {exercise.id} takes no text. `{COMMAND} show {exercise.id[:4]}`")
    if read is None:
        return
    if "folder" not in scene.takes:
        raise UsageError(f"The scene of {exercise.id} takes no folder. `{COMMAND} show {exercise.id[:4]}`")
    if not read.is_dir():
        raise UsageError(f"There is no folder {read}.")
    if root.is_relative_to(read):
        raise UsageError(f"{read} is no folder with a model: this repository lies in it.")


def _job(exercise: Exercise, scene: Scene, folder: Path, seed: int, text: str, read: Path | None) -> Job:
    try:
        submission = read_submission(folder, exercise.id)
        check_contract(submission, exercise)
    except Unreadable as problem:
        where = f"{relative(str(problem.path))}:{problem.line or 1}"
        raise UsageError(f"{where}: {problem}") from problem
    limits = Limits(scene.seconds) if read is None else Limits(scene.seconds, memory=MEMORY_FOR_A_FOLDER)
    return scene_job(
        exercise, scene, _with_needs(submission, scene, folder, exercise.root), seed, limits, text, read
    )


def scene_job(
    exercise: Exercise,
    scene: Scene,
    sources: dict[str, Source],
    seed: int,
    limits: Limits,
    text: str = "",
    read: Path | None = None,
) -> Job:
    """The job of looking at a scene on these modules, with all that the scene asks for. Raises `UsageError`."""
    given = {"text": text}
    if "story" in scene.takes:
        story = exercise.root / "data" / "story.txt"
        try:
            given["story"] = story.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{story} cannot be read: {error.strerror}.") from error
    if read is not None:
        sources = {**sources, **_readers()}
    folder = None if read is None else str(read)
    return Job(
        exercise.id, sources, scene.source, (LOOK,), seed, limits, exercise.asked, given=given, folder=folder
    )


def _readers() -> dict[str, Source]:
    """What reads a model of the hub for the scripts: modules beside the learner's, which the sandbox can import."""
    return {path.stem: Source(str(path), path.read_text(encoding="utf-8")) for path in HUB.glob("[!_]*.py")}


def _with_needs(submission: Submission, scene: Scene, folder: Path, root: Path) -> dict[str, Source]:
    """The learner's files, and what the scene needs beside them: theirs where it is written, or the reference's."""
    sources = dict(submission.sources)
    for name in scene.needs:
        sources = {**follow_imports(name, partial(_finished, folder, root)), **sources}
    return sources


def _finished(folder: Path, root: Path, name: str) -> Source | None:
    path, reference = folder / f"{name}.py", root / "solutions" / f"{name}.py"
    solution = reference.read_text(encoding="utf-8") if reference.exists() else ""
    try:
        text = read_text(path)
        if not unwritten(text, solution):
            return Source(str(path), text)
    except (Unreadable, SyntaxError):
        pass
    return Source(str(reference), solution) if solution else None


def _with_scenes(root: Path) -> Sequence[str]:
    return [name for name in exercise_ids(root) if (root / "scenes" / f"{name}.py").exists()]


def _why(found: SubjectRun) -> str:
    """How the last thing that was tried ended, in a few words."""
    last = found.checks[-1]
    if last.ending is Ending.UNFINISHED:
        return "something in it is still to be written"
    failure = last.failure
    return shorten(f"{failure.types[0]}: {failure.message}", 120) if failure else last.ending.value
