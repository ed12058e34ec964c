"""Run jobs: a learner's in a process of its own, trusted ones in a process that waits for more."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grader.protocol.job import Job, Work
from grader.protocol.runs import Ending, SubjectRun
from grader.protocol.scratch import remove_tree
from grader.supervisor.launcher import Launcher
from grader.supervisor.watch import Watch

# After so many jobs a process makes room for a new one, whatever they have left in its memory.
MOST_JOBS = 500


def run(launcher: Launcher, job: Job, cancelled: threading.Event | None = None) -> SubjectRun:
    """Run a job in a process of its own, to its end, whatever that is, and leave nothing of it behind.

    Raises `watch.Cancelled` soon after the event is set.
    """
    with Held() as process:
        found = process.run(launcher, job, cancelled)
    return replace(found, output=process.output)


class Held:
    """Keeps the process of a learner's code after its job, so that parts of it can be run again without a new one.

    What was printed is in `output` once it is closed, but not what was printed again.
    """

    def __init__(self) -> None:
        self.output = ""
        self._watch: Watch | None = None
        self._is_again = False

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self, launcher: Launcher, job: Job, cancelled: threading.Event | None = None, is_again: bool = False
    ) -> SubjectRun:
        """Run a job: again in the process that is kept, if there is one, else in a new one, which is then kept.

        Raises `watch.Cancelled` soon after the event is set.
        """
        if self._watch and is_again:
            self._watch.send([job])
            found = self._collect(self._watch, job)
            if found.checks[0].ending is not Ending.CRASHED:
                return found  # or else the code has left the process so that nothing can begin there
        self.close()
        self._is_again = is_again
        self._watch = _begin(launcher, [job], cancelled)
        return self._collect(self._watch, job)

    def close(self) -> None:
        if self._watch:
            _end(self._watch)
            if not self._is_again:
                self.output += self._watch.output.text()
        self._watch = None

    def _collect(self, watch: Watch, job: Job) -> SubjectRun:
        is_spoiled = True
        try:
            runs, has_ended = watch.collect(job)
            is_spoiled = has_ended or runs[-1].ending is Ending.LIMIT
        finally:
            if is_spoiled:
                self.close()
        return SubjectRun(tuple(runs), seconds=watch.clock.own)


def _begin(
    launcher: Launcher, jobs: Sequence[Job], cancelled: threading.Event | None = None, is_trusted: bool = False
) -> Watch:
    """A new process with these jobs, in a folder of its own."""
    scratch = Path(tempfile.mkdtemp(dir=launcher.scratch))
    try:
        return Watch(launcher, Work(tuple(jobs), str(scratch), is_trusted), cancelled or threading.Event())
    except BaseException:
        remove_tree(scratch)
        raise


def _end(watch: Watch) -> None:
    """End it, and leave nothing of it."""
    watch.end()
    remove_tree(watch.scratch)


class TrustedProcess:
    """A process that runs variants of the reference, one job after the other, and waits in between.

    Starting one takes as long as dozens of small jobs. It ends with its launcher, or where a job ends it.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._watch: Watch | None = None

    def run(self, jobs: Sequence[Job]) -> list[SubjectRun]:
        """What each showed. If one of them ends the process, the rest get a new one."""
        finished: list[SubjectRun] = []
        while len(finished) < len(jobs):
            left = jobs[len(finished) :]
            finished += self._run_some(left)
        return finished

    def close(self) -> None:
        if self._watch:
            _end(self._watch)
        self._watch = None

    def _run_some(self, jobs: Sequence[Job]) -> list[SubjectRun]:
        """The results of the first jobs: of all, or up to the one in which the process ended."""
        if self._watch is None:
            self._watch = _begin(self._launcher, jobs, is_trusted=True)
        else:
            self._watch.send(jobs)
        finished: list[SubjectRun] = []
        for job in jobs:
            runs, has_ended = self._watch.collect(job)
            finished.append(SubjectRun(tuple(runs), seconds=self._watch.clock.own))
            if has_ended:
                self.close()
                return finished
        if self._watch.jobs >= MOST_JOBS:
            self.close()
        return finished
