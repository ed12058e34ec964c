"""Start subject processes by forking a zygote: an interpreter that has torch imported and nothing else."""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from grader.errors import GraderError
from grader.protocol.job import START, Work
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

START_SECONDS = 120.0


class Zygote:
    """The zygote process (see grader/sandbox/zygote.py), started at once and restarted if it dies."""

    worth_a_process = 8

    def __init__(self, seed: int) -> None:
        self.scratch = new_scratch()
        self.idle: list[TrustedProcess] = []
        self._identity = remember(self.scratch)
        self._environment = subject_environment(seed)
        self._lock = threading.Lock()
        self._closed = False
        self._boot()

    def start(self, work: Work) -> Child:
        remember(work.scratch)
        with self._lock:
            try:
                return self._start(work)
            except OSError:
                if self._closed:
                    raise GraderError("the grader is ending") from None
                self._boot()  # something killed the zygote: once more, with a new one
            try:
                return self._start(work)
            except OSError as error:
                raise GraderError(f"no process could be started for the exercise: {error}") from error

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        remove_scratch(self.scratch)  # the zygote did that, unless it was killed
        remove_abandoned()

    def _boot(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "grader.sandbox.zygote"),
                    *(str(theirs.fileno()), str(self.scratch), *map(str, self._identity)),
                ],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control = ours
        self._dead = threading.Event()
        self._started: queue.Queue[Child] = queue.Queue()
        threading.Thread(target=self._listen, args=(ours, self._started, self._dead), daemon=True).start()

    def _start(self, work: Work) -> Child:
        work_end, work_in = os.pipe()
        channel, channel_end = os.pipe()
        output, output_end = os.pipe()
        try:
            socket.send_fds(self._control, [START], [work_end, channel_end, output_end])
            child = self._wait_for_child()
        except BaseException:
            for descriptor in (work_in, channel, output):
                os.close(descriptor)
            raise
        finally:
            for descriptor in (work_end, channel_end, output_end):
                os.close(descriptor)
        child.connect(os.fdopen(work_in, "wb"), channel, output)
        child.send(work)
        return child

    def _wait_for_child(self) -> Child:
        """The child that the zygote reports. The first wait includes the import of torch."""
        waited = 0.0
        while waited < START_SECONDS:
            if self._dead.is_set():
                raise OSError(f"the process that imports torch ended with code {self._process.wait()}")
            with suppress(queue.Empty):
                return self._started.get(timeout=0.2)
            waited += 0.2
        raise OSError(f"no process came up within {START_SECONDS:.0f} s")

    @staticmethod
    def _listen(control: socket.socket, started: queue.Queue[Child], dead: threading.Event) -> None:
        """Until the zygote is gone: note which child started and how each ended."""
        running: dict[int, Child] = {}
        with suppress(OSError, ValueError), control.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if event["event"] == "started":
                    child = running[event["pid"]] = Child(event["pid"])
                    started.put(child)
                elif event["event"] == "ended":
                    exit_code = os.waitstatus_to_exitcode(event["status"])
                    running.pop(event["pid"]).finish(exit_code)
        dead.set()
        for child in running.values():
            child.finish(None)
