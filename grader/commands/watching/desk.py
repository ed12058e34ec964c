"""What a watch does: which exercise is open, what is graded when, and what is told of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.commands.grade import drawn
from grader.commands.show import LONG_SECONDS, NotThatFarYet, look_at
from grader.course.catalogue import choose, exercise_ids
from grader.course.exercise import Exercise
from grader.errors import GraderError, UsageError
from grader.grading.ahead import Ahead
from grader.grading.session import Session
from grader.grading.worker import Worker
from grader.judge.results import ExerciseResult, Status
from grader.learner.history import Store
from grader.learner.submission import Unreadable, read_text
from grader.report.scenes.panels import Panel
from grader.supervisor.start import start_launcher
from grader.supervisor.watch import Cancelled

# The seed of a scene is the same each time, as with `show`: what changes in it is the learner's code.
SCENE_SEED = 17


@dataclass(frozen=True)
class Opened:
    """Another exercise is the one that is watched, or the same on another seed."""

    exercise: Exercise


@dataclass(frozen=True)
class Saved:
    """The text of the open exercise, or of what it imports, is being graded as it is now."""


@dataclass(frozen=True)
class Graded:
    """A verdict on the text that the file holds now."""

    exercise: Exercise
    result: ExerciseResult


@dataclass(frozen=True)
class Seen:
    """What the scene of the open exercise shows of the code that has just passed, or why it shows nothing."""

    exercise: Exercise
    panels: Sequence[Panel] = ()
    problem: str = ""


@dataclass(frozen=True)
class Failed:
    """Something that is not the learner's fault."""

    message: str


Event = Opened | Saved | Graded | Seen | Failed


class Desk:
    """Grades what is saved in a folder, and tells what comes of it; `tell` is called from several threads.

    `standings` holds the verdict on each exercise whose text has one, as it is now. Only of the folder `exercises/`
    it `keeps` a history.
    """

    def __init__(self, root: Path, folder: Path, store: Store, tell: Callable[[Event], None]) -> None:
        self.root, self.folder, self.store = root, folder, store
        self.ids = exercise_ids(root)
        self.keeps = folder == root / "exercises"
        self.standings = _standings(self.ids, folder, store) if self.keeps else {}
        self.open: Exercise | None = None
        self._tell = tell
        self._lock = threading.RLock()
        self._read: dict[str, tuple[Exercise, object]] = {}
        self._looking = threading.Event()

    def start(self, seed: int | None) -> None:
        """Begin, on this seed or a new one."""
        self.seed = drawn(seed)
        self._launcher = start_launcher(self.seed)
        kept_in = self.store if self.keeps else None
        self._session = Session((), self.folder, self.seed, self._launcher, kept_in, waits=False)
        self._worker = Worker(self._session, self._graded)
        self._ahead = Ahead(self._worker)

    def close(self) -> None:
        """Call off what is running, and leave nothing of it."""
        self._looking.set()
        self._worker.close()
        self._launcher.close()
        self._ahead.close()

    @property
    def open_name(self) -> str:
        """Which exercise is open; nothing before there is one."""
        return self.open.id if self.open else ""

    def first_open(self) -> str:
        """The first exercise that is not done; where all are, the last."""
        return next((name for name in self.ids if self.standings.get(name) is not Status.PASSED), self.ids[-1])

    def open_exercise(self, name: str) -> None:
        """Watch this one from now on, and grade it as it is."""
        with self._lock:
            self._looking.set()
            try:
                exercise = self._exercise(name)
            except UsageError as error:
                self._tell(Failed(f"{error} This is not your fault."))
                return
            if exercise is self.open:
                self._tell(Saved())
                self._worker.grade(exercise)
            else:
                self.open = exercise
                self._tell(Opened(exercise))
                self._worker.grade(exercise)
                self._ahead.look_into(self._session, exercise)

    def saved(self, names: Collection[str]) -> None:
        """The texts of these modules are new."""
        for name in names:
            self.standings.pop(name, None)
        chosen = concerned(self.ids, names, self.open_name, self._used())
        if chosen:
            self.open_exercise(chosen)

    def draw_anew(self) -> None:
        """Go on with inputs that follow from a new seed; what was found out on the old one is forgotten."""
        with self._lock:
            self.close()
            self.start(None)
            before, self.open = self.open, None
            if before:
                self.open_exercise(before.id)

    def grade_all(self) -> None:
        """Grade every exercise as it is, in order."""
        for name in self.ids:
            try:
                exercise = self._exercise(name)
            except UsageError as error:
                self._tell(Failed(f"{error} This is not your fault."))
                continue
            with self._lock:
                self._worker.grade(exercise)

    def look(self, exercise: Exercise) -> None:
        """Run the scene of this exercise, and tell what it shows. Takes as long as that takes."""
        if exercise.scene is None:
            self._tell(Seen(exercise, problem="It has no scene."))
            return
        cancelled = self._looking = threading.Event()
        try:
            panels = look_at(exercise, exercise.scene, self.folder, SCENE_SEED, self._launcher, cancelled=cancelled)
            seen = Seen(exercise, panels)
        except Cancelled:
            return
        except NotThatFarYet as error:
            seen = Seen(exercise, problem=f"It does not get that far yet ({error}).")
        except GraderError as error:
            seen = Seen(exercise, problem=str(error))
        if not cancelled.is_set():
            self._tell(seen)

    def wait(self, seconds: float | None = None) -> bool:
        """Until there is nothing to grade and nothing more to find out; False where that took longer."""
        return self._worker.wait(seconds) and self._ahead.wait(seconds)

    def _graded(self, result: ExerciseResult) -> None:
        exercise = self._read[result.id][0]
        self.standings[result.id] = result.status
        self._tell(Graded(exercise, result))
        is_open = self.open is not None and exercise.id == self.open.id
        if is_open and result.status is Status.PASSED and is_quick(exercise):
            threading.Thread(target=self.look, args=(exercise,), daemon=True).start()

    def _exercise(self, name: str) -> Exercise:
        """The exercise as its author's files have it now. Raises `UsageError`."""
        with self._lock:
            stamp = _stamp(self.root, name)
            known = self._read.get(name)
            if known is None or known[1] != stamp:
                (exercise,) = choose(self.root, [name])
                known = self._read[name] = (exercise, stamp)
            return known[0]

    def _used(self) -> Collection[str]:
        """The modules that the open exercise imports."""
        if self.open is None:
            return ()
        try:
            return self._session.read(self.open).imported
        except Unreadable:
            return self.open.imported


def is_quick(exercise: Exercise) -> bool:
    """Is its scene shown without being asked for?"""
    return exercise.scene is not None and exercise.scene.seconds <= LONG_SECONDS


def concerned(ids: Sequence[str], saved: Collection[str], open_one: str, used: Collection[str]) -> str | None:
    """Which exercise is graded after these modules were saved: one that was saved alone is what is worked on; of
    several, as from a change of branches, the open one if it or what it uses is among them, else the first."""
    exercises = [name for name in ids if name in saved]
    if len(exercises) == 1:
        return exercises[0]
    if open_one in saved or set(used) & set(saved):
        return open_one
    return exercises[0] if exercises else None


def _standings(ids: Sequence[str], folder: Path, store: Store) -> dict[str, Status]:
    standings: dict[str, Status] = {}
    latest = store.latest_graded()
    for name in ids:
        attempt = latest.get(name)
        if attempt and attempt.status:
            try:
                if attempt.is_of(read_text(folder / f"{name}.py", waits=False)):
                    standings[name] = attempt.status
            except Unreadable:
                pass
    return standings


def _stamp(root: Path, name: str) -> object:
    """What changes when the author's part of an exercise does, or what it imports."""
    files = [*(root / "solutions").glob("*.py"), root / "tests" / f"test_{name}.py", root / "scenes" / f"{name}.py"]
    files += (root / "tutor" / name).rglob("*.*")
    found = {}
    for path in files:
        try:
            status = path.stat()
        except OSError:
            continue
        found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found
