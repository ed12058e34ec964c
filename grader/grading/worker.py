"""Grade what is saved, as it is saved: the newest text only, and never show what an older one got."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from grader.course.exercise import Exercise
from grader.grading.session import Session
from grader.judge.results import ExerciseResult
from grader.learner.submission import Unreadable
from grader.supervisor.watch import Cancelled


class Worker:
    """Grades in a thread of its own, one exercise after the other.

    `grade` asks for an exercise and returns at once. If that exercise is being graded, that is called off and begun
    again. `show` is called, in the worker's thread, with each verdict that is still true of the file.
    """

    def __init__(self, session: Session, show: Callable[[ExerciseResult], None]) -> None:
        self._session = session
        self._show = show
        self._wanted: dict[str, Exercise] = {}
        self._current: str | None = None
        self._cancelled = threading.Event()
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def grade(self, exercise: Exercise) -> None:
        """The text of this exercise is new, or asked for."""
        with self._changed:
            if self._closed:  # there may be a save, or a stale verdict, on the way to the end
                return
            self._wanted[exercise.id] = exercise
            if self._current == exercise.id:
                self._cancelled.set()
            self._changed.notify_all()

    def wait(self, seconds: float | None = None) -> bool:
        """Until everything asked for has been graded, or nothing is any more; False where that took longer."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, seconds)

    def close(self) -> None:
        """Call off what is running, and end."""
        with self._changed:
            self._closed = True
            self._wanted.clear()
            self._cancelled.set()
            self._changed.notify_all()
        self._thread.join()

    def _is_idle(self) -> bool:
        return self._closed or (not self._wanted and self._current is None)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._current = None
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closed or bool(self._wanted))
                if self._closed:
                    return
                self._current = next(iter(self._wanted))
                exercise = self._wanted.pop(self._current)
                self._cancelled = threading.Event()
                session = self._session.anew(self._cancelled)
            with suppress(Cancelled):
                result = session.grade(exercise)
                if self._is_stale(exercise, result):
                    self.grade(exercise)  # saved meanwhile, and nobody has said so yet
                elif not self._cancelled.is_set():
                    self._show(result)

    def _is_stale(self, exercise: Exercise, result: ExerciseResult) -> bool:
        try:
            return self._session.read(exercise).digest != result.digest
        except Unreadable:
            return bool(result.digest)
