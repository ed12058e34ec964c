"""Start subject processes without fork: an interpreter for each, which has imported torch before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from grader.errors import GraderError
from grader.protocol.job import READY, Work
from grader.protocol.scratch import remember
from grader.supervisor.launcher import (
    ROOT,
    Child,
    new_scratch,
    remove_abandoned,
    remove_scratch,
    subject_environment,
)

if TYPE_CHECKING:
    from grader.supervisor.jobs import TrustedProcess

COMMAND = (sys.executable, "-m", "grader.sandbox.spare")
# What the first grading takes: the reference, the learner's code, the trial of the protections. They import torch
# side by side. What is wrong takes one more, which is started at once only where a processor would be idle.
AT_FIRST = 3 if (os.cpu_count() or 1) < 4 else 4
# So many are to be ready later.
AHEAD = 2


def expected_for(exercises: int) -> int:
    """How many processes are needed, about, to grade so many exercises."""
    return exercises + AT_FIRST - 1


class Spares:
    """Interpreters that have torch imported and wait for work.

    The place of one that has ended is taken by a new one, until as many have been started as are `expected` to be
    needed; None is without end. If more are needed, they are waited for.
    """

    worth_a_process = 400

    def __init__(self, seed: int, expected: int | None = None) -> None:
        self.scratch = new_scratch()
        self.idle: list[TrustedProcess] = []
        self._environment = subject_environment(seed)
        self._left = expected
        self._lock = threading.Lock()
        self._closed = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._waiting: deque[subprocess.Popen[bytes]] = deque()
        self._fill(AT_FIRST)

    def start(self, work: Work) -> Child:
        remember(work.scratch)
        with self._lock:
            if self._closed:
                raise GraderError("the grader is ending")
            process = self._waiting.popleft() if self._waiting else self._spawn()
            self._running.add(process)
        assert process.stdin and process.stdout and process.stderr
        child = Child(process.pid)
        child.connect(process.stdin, os.dup(process.stdout.fileno()), os.dup(process.stderr.fileno()))
        process.stdout.close()
        process.stderr.close()
        # The limit on time is for the code under test, not for the import of torch before it.
        if os.read(child.channel, len(READY)) != READY:
            raise GraderError(f"the interpreter that imports torch ended with code {process.wait()}")
        child.send(work)
        threading.Thread(target=self._await_end, args=(process, child), daemon=True).start()
        return child

    def close(self) -> None:
        with self._lock:
            self._closed = True
            left = [*self._waiting, *self._running]
        from grader.supervisor.tree import ProcessTree

        for process in left:
            ProcessTree(process.pid).kill()
        for process in left:
            process.wait()
        remove_scratch(self.scratch)
        remove_abandoned()

    def _await_end(self, process: subprocess.Popen[bytes], child: Child) -> None:
        exit_code = process.wait()
        child.finish(exit_code)
        with self._lock:
            self._running.discard(process)
            if not self._closed:
                self._fill(AHEAD)

    def _fill(self, count: int) -> None:
        """Have so many wait for work, if that many are still expected."""
        while len(self._waiting) < count and (self._left is None or self._left > 0):
            self._waiting.append(self._spawn())

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self._left is not None:
            self._left -= 1
        return subprocess.Popen(
            COMMAND,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
