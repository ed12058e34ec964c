"""Find out what does not depend on the learner's next text while there is nothing to grade."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from grader.course.exercise import Exercise
from grader.errors import GraderError
from grader.grading.session import Session
from grader.grading.worker import Worker


class Ahead:
    """Works in a thread of its own, in small steps, each of them begun only while the worker has nothing to do."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._steps: Iterator[None] | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def look_into(self, session: Session, exercise: Exercise) -> None:
        """From now on find out about this exercise. What is known of it by then is not run again."""
        with self._changed:
            self._steps = session.foresee(exercise)
            self._changed.notify_all()

    def wait(self, seconds: float | None = None) -> bool:
        """Until there is nothing more to find out; False where that took longer than this."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or self._steps is None, seconds)

    def close(self) -> None:
        """End after the step that is being made."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._steps is not None)
                steps = self._steps
                if self._closed or steps is None:
                    return
            self._worker.wait()
            if not self._makes_a_step(steps):
                with self._changed:
                    if self._steps is steps:
                        self._steps = None
                    self._changed.notify_all()

    @staticmethod
    def _makes_a_step(steps: Iterator[None]) -> bool:
        """Make the next one; False where there is none, or where it fails, which the next grading will say."""
        try:
            return next(steps, steps) is None
        except (GraderError, OSError):
            return False
