"""Watch one subject process: collect its frames, enforce its limits, say how it ended."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from grader import frames
from grader.processes.launch import Child, Launcher, kill_tree
from grader.records import CheckRun, Ending, Failure, Place, SubjectRun
from grader.subject.agreed import IMPORT_CHECK, TRACE_FILE
from grader.subject.job import Job, Work

POLL_SECONDS = 0.05
KEPT_OUTPUT = 8192
TRACE_LINE = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$', re.MULTILINE)
# How long to read on after a process ended. Its pipes close with it, so this is only ever waited out when
# something it started holds them open; a busy machine must not cut off what is already in them.
LAST_WORDS_SECONDS = 3.0


@dataclass(frozen=True)
class _End:
    """The channel closed; `reason` says why when it did not close cleanly."""

    reason: str = ""


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


def run(launcher: Launcher, job: Job) -> SubjectRun:
    """Run a job in a process of its own, to its end, whatever that is, and leave nothing of it behind."""
    return run_many(launcher, [job])[0]


def run_many(launcher: Launcher, jobs: Sequence[Job]) -> list[SubjectRun]:
    """Run trusted jobs one after the other in one process; if one of them ends it, the rest get a new one."""
    done: list[SubjectRun] = []
    while len(done) < len(jobs):
        done += _run_in_one_process(launcher, jobs[len(done) :])
    return done


def _run_in_one_process(launcher: Launcher, jobs: Sequence[Job]) -> list[SubjectRun]:
    """The results of the first jobs: of all, or up to the one in which the process ended."""
    scratch = tempfile.mkdtemp(dir=launcher.scratch)
    try:
        child = launcher.start(Work(tuple(jobs), scratch))
        return _watch(child, jobs, Path(scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _watch(child: Child, jobs: Sequence[Job], scratch: Path) -> list[SubjectRun]:
    events: queue.Queue[CheckRun | _End] = queue.Queue()
    output = _Output()
    readers = [
        threading.Thread(target=_read_frames, args=(child.channel, events), daemon=True),
        threading.Thread(target=_read_output, args=(child.output, output), daemon=True),
    ]
    for reader in readers:
        reader.start()
    memory = _Memory(child.pid)
    finished: list[list[CheckRun]] = []
    broken: tuple[Ending, str] | None = None
    for job in jobs:
        runs: list[CheckRun] = []
        finished.append(runs)
        broken = _collect(child, memory, job, runs, events, output)
        if broken:
            break
    kill_tree(child.pid)
    for reader in readers:
        reader.join(LAST_WORDS_SECONDS)
    if broken:
        ending, reason = broken
        job, runs = jobs[len(finished) - 1], finished[-1]
        place = _where(scratch / TRACE_FILE, job)
        failure = Failure((ending.value,), reason, (place,) if place else ())
        runs.append(CheckRun(_expected(job)[len(runs)], ending, (), failure))
    return [SubjectRun(tuple(runs), output.text()) for runs in finished]


def _expected(job: Job) -> list[str]:
    return [IMPORT_CHECK, *job.checks]


def _collect(
    child: Child,
    memory: _Memory,
    job: Job,
    runs: list[CheckRun],
    events: queue.Queue[CheckRun | _End],
    output: _Output,
) -> tuple[Ending, str] | None:
    """Append to `runs` until all are there, or until the process ended or was over a limit: how, and why."""
    expected = _expected(job)
    deadline = time.monotonic() + job.limits.seconds
    last_words: float | None = None
    while True:
        try:
            event = events.get(timeout=POLL_SECONDS)
        except queue.Empty:
            now = time.monotonic()
            if now > deadline:
                return Ending.TIMEOUT, f"not done after {job.limits.seconds:.1f} s"
            if output.size > job.limits.output:
                return Ending.LIMIT, f"printed more than {job.limits.output // 2**20} MB"
            if memory.used() > job.limits.memory:
                return Ending.LIMIT, f"used more than {job.limits.memory / 2**30:.1f} GB of memory"
            if child.ended.is_set():
                last_words = last_words or now + LAST_WORDS_SECONDS
                if now > last_words:
                    return Ending.CRASHED, how_it_ended(child.exit_code)
            continue
        if isinstance(event, _End):
            child.ended.wait(LAST_WORDS_SECONDS)
            return Ending.CRASHED, event.reason or how_it_ended(child.exit_code)
        if event.check != expected[len(runs)]:
            return Ending.CRASHED, "the process sent a result that is not the next check's"
        runs.append(event)
        failed_import = event.check == IMPORT_CHECK and event.ending is not Ending.RETURNED
        if failed_import or event.ending is Ending.LIMIT or len(runs) == len(expected):
            return None


def how_it_ended(exit_code: int | None) -> str:
    """A process end in words: the signal by name, or the exit code."""
    if exit_code is None:
        return "the process ended"
    if exit_code >= 0:
        return f"the process ended itself with exit code {exit_code}"
    with suppress(ValueError):
        return f"the process was ended by signal {signal.Signals(-exit_code).name}"
    return f"the process was ended by signal {-exit_code}"


class _Memory:
    """Memory of a process and everything it started, above what it had at first."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.first = self._total()

    def used(self) -> int:
        return self._total() - self.first

    def _total(self) -> int:
        import psutil

        try:
            process = psutil.Process(self.pid)
            total = 0
            for member in [process, *process.children(recursive=True)]:
                with suppress(psutil.Error):
                    total += member.memory_info().rss
        except psutil.Error:
            return 0
        return total


def _read_frames(channel: int, events: queue.Queue[CheckRun | _End]) -> None:
    with open(channel, "rb") as stream:
        try:
            while (run := frames.read(_exactly(stream.read))) is not None:
                events.put(run)
            events.put(_End())
        except frames.BadFrame as error:
            events.put(_End(f"the process sent a result that cannot be read ({error})"))


def _exactly(read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    def read_exactly(size: int) -> bytes:
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


def _where(trace: Path, job: Job) -> Place | None:
    """The innermost line of the code under test in what faulthandler wrote, if it wrote anything."""
    try:
        text = trace.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    files = {source.path for source in job.sources.values()}
    for match in TRACE_LINE.finditer(text):
        if match["file"] in files:
            return Place(match["file"], int(match["line"]), match["function"])
    return None
