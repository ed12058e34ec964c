"""Run jobs: a learner's in a process of its own, trusted ones in a process that waits for more."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from grader.protocol.job import Job, Work
from grader.protocol.runs import SubjectRun
from grader.protocol.scratch import remove_tree
from grader.supervisor.launcher import Launcher
from grader.supervisor.watch import Watch

# After so many jobs a process makes room for a new one, whatever they have left in its memory.
MOST_JOBS = 500


def run(launcher: Launcher, job: Job, cancelled: threading.Event | None = None) -> SubjectRun:
    """Run a job in a process of its own, to its end, whatever that is, and leave nothing of it behind.

    Raises `watch.Cancelled` soon after the event is set.
    """
    scratch = Path(tempfile.mkdtemp(dir=launcher.scratch))
    try:
        watch = Watch(launcher, Work((job,), str(scratch)), cancelled or threading.Event())
        try:
            runs, _ = watch.collect(job)
        finally:
            watch.end()
    finally:
        remove_tree(scratch)
    return SubjectRun(tuple(runs), watch.output.text(), watch.peak, watch.clock.own)


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
            self._watch.end()
            remove_tree(self._watch.scratch)
        self._watch = None

    def _run_some(self, jobs: Sequence[Job]) -> list[SubjectRun]:
        """The results of the first jobs: of all, or up to the one in which the process ended."""
        if self._watch is None:
            scratch = Path(tempfile.mkdtemp(dir=self._launcher.scratch))
            self._watch = Watch(self._launcher, Work(tuple(jobs), str(scratch), is_last=False), threading.Event())
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
