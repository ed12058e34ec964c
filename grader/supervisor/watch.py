"""Watch one subject process: collect its frames, enforce its limits, say how it ended."""

from __future__ import annotations

import math
import os
import queue
import re
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from grader.protocol import frames
from grader.protocol.job import Job, Work
from grader.protocol.runs import IMPORT_CHECK, CheckRun, Ending, Failure, Place
from grader.protocol.scratch import TRACE_FILE
from grader.supervisor.clock import Clock
from grader.supervisor.launcher import Launcher
from grader.supervisor.limits import over_limit

POLL_SECONDS = 0.05
KEPT_OUTPUT = 8192
KEPT_TRACE = 2**16
KEPT_PLACES = 40
TRACE_LINE = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$', re.MULTILINE)
# How long to wait for more after a process ended, before it is ended with all that it started.
LAST_WORDS_SECONDS = 3.0
# How long to read on after that. The pipes close with whoever holds them, so this is only ever waited out when one
# got away; a busy machine must not cut off what is already in them.
READING_SECONDS = 10.0
# How long a process that closed its channel may take to end before it is said that it did not: of its own time.
ENDING_SECONDS = 3.0
# How long a process whose time is up may take to write down where it is: of its own time.
TRACE_SECONDS = 1.5
# How long it may take until one that is gone is reported.
REAPING_SECONDS = 30.0


class Cancelled(Exception):
    """The run was called off before it ended."""


@dataclass(frozen=True)
class _Closed:
    """The channel closed; `reason` says why when it did not close cleanly."""

    reason: str = ""


@dataclass(frozen=True)
class _Stop:
    """Why nothing more is waited for. What the process had sent by then counts, if it `is_to_be_read`."""

    ending: Ending
    reason: str
    is_to_be_read: bool = True


class _Output:
    """What the process printed: the head and the tail are kept, the rest is counted."""

    def __init__(self) -> None:
        self.head = b""
        self.tail = b""
        self.size = 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        room = KEPT_OUTPUT - len(self.head)
        self.head += data[:room]
        self.tail = (self.tail + data[room:])[-KEPT_OUTPUT:] if len(data) > room else self.tail

    def text(self) -> str:
        left_out = self.size - len(self.head) - len(self.tail)
        middle = f"\n… {left_out:,} bytes left out …\n".encode() if left_out else b""
        return (self.head + middle + self.tail).decode("utf-8", "replace")


class Watch:
    """One process, from its start to its end."""

    def __init__(self, launcher: Launcher, work: Work, cancelled: threading.Event) -> None:
        from grader.supervisor.tree import ProcessTree

        self.scratch = Path(work.scratch)
        # Opened before any code under test runs: it could put something else in this place later.
        self.trace = (self.scratch / TRACE_FILE).open("w+b")
        self.cancelled = cancelled
        try:
            self.child = launcher.start(work)
        except BaseException:
            self.trace.close()
            raise
        self.tree = ProcessTree(self.child.pid)
        self.clock: Clock  # of the job that is running
        self.output = _Output()
        self.events: queue.Queue[CheckRun | _Closed] = queue.Queue()
        self.jobs = 0
        results = math.inf if work.is_trusted else sum(job.limits.results for job in work.jobs)

        def allowed() -> float:
            return max(1, self.jobs) * results

        self.readers = [
            threading.Thread(target=_read_frames, args=(self.child.channel, self.events, allowed), daemon=True),
            threading.Thread(target=_read_output, args=(self.child.output, self.output), daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def send(self, jobs: Sequence[Job]) -> None:
        """Give it more to do."""
        self.child.send(Work(tuple(jobs), str(self.scratch)))

    def collect(self, job: Job) -> tuple[list[CheckRun], bool]:
        """What the job shows that it is doing, or does next. Has the process ended in it? Raises `Cancelled`."""
        runs: list[CheckRun] = []
        self.jobs += 1
        stop = self._collect(job, runs)
        if stop:
            where = self._where(job, stop.ending)
            self.end()
            if not (stop.is_to_be_read and self._catch_up(job, runs)):
                failure = Failure((stop.ending.value,), stop.reason, where)
                runs.append(CheckRun(_expected(job)[len(runs)], stop.ending, (), failure))
        return runs, stop is not None

    def end(self) -> None:
        """End it, with all that it started, and read what is in its pipes."""
        self.tree.kill()
        self.child.send_no_more()
        self.trace.close()
        give_up = time.monotonic() + READING_SECONDS
        self.child.ended.wait(READING_SECONDS)
        for reader in self.readers:
            reader.join(max(0.0, give_up - time.monotonic()))

    def _catch_up(self, job: Job, runs: list[CheckRun]) -> bool:
        """Append what had been sent before the process was ended and was not yet read; was the job over by then?

        On a busy machine it may be several checks further than what has been read of it.
        """
        expected = _expected(job)
        with suppress(queue.Empty):
            while not _is_over(runs, expected):
                event = self.events.get_nowait()
                if isinstance(event, _Closed) or event.check != expected[len(runs)]:
                    break
                runs.append(event)
        return _is_over(runs, expected)

    def _collect(self, job: Job, runs: list[CheckRun]) -> _Stop | None:
        """Append to `runs` until all are there, or until the process ended or was over a limit: how, and why."""
        expected = _expected(job)
        self.clock = self._new_clock(job.limits.seconds)
        printed_before = self.output.size
        last_words: float | None = None
        while True:
            event = self._next_event()
            if event is None:
                if self.cancelled.is_set():
                    raise Cancelled
                self._look()
                if self.clock.is_over:
                    return _Stop(Ending.TIMEOUT, f"not done after {self.clock.on_the_wall:.1f} s")
                printed = self.output.size - printed_before
                what = over_limit(job.limits, self.tree, printed, self.scratch, self.jobs)
                if what:
                    return _Stop(Ending.LIMIT, what)
                if self.child.ended.is_set():
                    now = time.monotonic()
                    last_words = last_words or now + LAST_WORDS_SECONDS
                    if now > last_words:
                        return how_it_ended(self.child.exit_code)
                continue
            if isinstance(event, _Closed):
                if event.reason:
                    return _Stop(Ending.CRASHED, event.reason, is_to_be_read=False)
                return self._how_it_ended()
            if event.check != expected[len(runs)]:
                what = "the process sent a result that is not the next check's"
                return _Stop(Ending.CRASHED, what, is_to_be_read=False)
            runs.append(event)
            if _is_over(runs, expected):
                self._look()
                return None

    def _new_clock(self, seconds: float) -> Clock:
        return Clock(seconds, time.monotonic(), self.tree.used())

    def _look(self) -> None:
        self.tree.look()
        self.clock.look(time.monotonic(), self.tree.used())

    def _ends_within(self, seconds: float) -> bool:
        """Does the process end before this much of its own time is over?"""
        clock = self._new_clock(seconds)
        while not self.child.ended.wait(POLL_SECONDS):
            clock.look(time.monotonic(), self.tree.used())
            if clock.is_over:
                return False
        return True

    def _how_it_ended(self) -> _Stop:
        """How a process ended that has closed its channel, if it did."""
        if self._ends_within(ENDING_SECONDS) or (self.tree.is_gone and self.child.ended.wait(REAPING_SECONDS)):
            return how_it_ended(self.child.exit_code)
        return _Stop(Ending.CRASHED, "it closed the pipe on which its results travel")

    def _next_event(self) -> CheckRun | _Closed | None:
        with suppress(queue.Empty):
            return self.events.get(timeout=POLL_SECONDS)
        return None

    def _where(self, job: Job, ending: Ending) -> tuple[Place, ...]:
        """The lines that the process was on when it ended, or was about to be ended, where it has told."""
        if ending is Ending.TIMEOUT and self.tree.call_time():
            self._ends_within(TRACE_SECONDS)
        return _places(self.trace, job)


def _expected(job: Job) -> list[str]:
    return [IMPORT_CHECK, *job.checks]


def _is_over(runs: Sequence[CheckRun], expected: Sequence[str]) -> bool:
    """Does nothing follow: all is there, or the process itself has given up?"""
    if not runs:
        return False
    failed_import = runs[-1].check == IMPORT_CHECK and runs[-1].ending is not Ending.RETURNED
    return failed_import or runs[-1].ending is Ending.LIMIT or len(runs) == len(expected)


def how_it_ended(exit_code: int | None) -> _Stop:
    """A process end in words: the signal by name, or the exit code."""
    if exit_code is None:
        return _Stop(Ending.CRASHED, "the process ended")
    if exit_code >= 0:
        return _Stop(Ending.CRASHED, f"the process ended itself with exit code {exit_code}")
    name = str(-exit_code)
    with suppress(ValueError):
        name = signal.Signals(-exit_code).name
    if name == "SIGXCPU":
        return _Stop(Ending.TIMEOUT, "it used up its processor time")
    return _Stop(Ending.CRASHED, f"the process was ended by signal {name}")


def _read_frames(channel: int, events: queue.Queue[CheckRun | _Closed], allowed: Callable[[], float]) -> None:
    """Until the channel closes. Whatever comes, one `_Closed` is the last event."""
    with os.fdopen(channel, "rb") as stream:
        read_exactly = _exactly(stream.read, allowed)
        try:
            while (run := frames.read(read_exactly)) is not None:
                events.put(run)
            events.put(_Closed())
        except frames.BadFrame as error:
            events.put(_Closed(f"the process sent a result that cannot be read ({error})"))


def _exactly(read: Callable[[int], bytes], allowed: Callable[[], float]) -> Callable[[int], bytes]:
    """Read as many bytes as asked for, unless the stream ends first. Raises `BadFrame` beyond what is `allowed` in
    all by now."""
    wanted = 0

    def read_exactly(size: int) -> bytes:
        nonlocal wanted
        wanted += size
        if wanted > allowed():
            raise frames.BadFrame(f"more than {allowed() / 2**20:.0f} MB in all")
        parts = bytearray()
        while len(parts) < size and (part := read(min(size - len(parts), 2**20))):
            parts += part
        return bytes(parts)

    return read_exactly


def _read_output(descriptor: int, output: _Output) -> None:
    with suppress(OSError):
        while data := os.read(descriptor, 65536):
            output.add(data)
    os.close(descriptor)


def _places(trace: BinaryIO, job: Job) -> tuple[Place, ...]:
    """The lines of the code under test in what faulthandler wrote of a thread that runs it, outermost first."""
    trace.seek(0)
    text = trace.read(KEPT_TRACE).decode("utf-8", "replace")
    files = {source.path for source in job.sources.values()}
    for thread in text.split("\n\n"):
        lines = [match for match in TRACE_LINE.finditer(thread) if match["file"] in files]
        if lines:
            innermost = lines[:KEPT_PLACES]
            return tuple(Place(line["file"], int(line["line"]), line["function"]) for line in reversed(innermost))
    return ()
