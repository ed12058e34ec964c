"""What a subject process does with its work, after it was forked or spawned."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TextIO

from grader.protocol import frames
from grader.protocol.job import MOST_RUNS, Work
from grader.protocol.layers import Layer, is_wanted
from grader.protocol.runs import CheckRun
from grader.protocol.scratch import NO_LINK, TRACE_FILE, clear
from grader.sandbox.confine import ROOT, confine
from grader.sandbox.guard import Guard
from grader.sandbox.runner import run_job

# Without signals, the line on which the code hangs is written down a little before the process may be killed.
TRACE_AT = 0.9
CHANNEL_NUMBER = 900
# What a process may take, of time and of memory in all, of which nobody knows how much work it will get. It runs
# variants of the reference only, and each of them has limits that the supervisor looks after.
LASTING_SECONDS = 24 * 3600.0
LASTING_MEMORY = 8 * 2**30
# Where libraries keep what they have computed. Elsewhere they may not, and the code would seem to have tried it.
FOLDERS = ("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR")


def serve(work: Work, stream: BinaryIO, channel: int, once_confined: Callable[[], None] = lambda: None) -> None:
    """Do the jobs, write a frame for each check to the channel, and end the process. Does not return.

    More work is read from `stream`, until that ends. `once_confined` is called when nothing of the code under test
    has run, and all that starts now is confined.
    """
    status = 1
    try:
        scratch = Path(work.scratch)
        os.chdir(scratch)
        tempfile.tempdir = work.scratch
        os.environ |= {**dict.fromkeys(FOLDERS, work.scratch), "MPLBACKEND": "agg"}
        channel = _out_of_the_way(channel)
        trace_descriptor = os.open(TRACE_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | NO_LINK)
        trace = os.fdopen(trace_descriptor, "w", encoding="utf-8")
        faulthandler.enable(trace)
        null = os.open(os.devnull, os.O_WRONLY)
        guard = Guard(ROOT, scratch)
        if is_wanted(Layer.GUARD):
            guard.install()
        readable = [Path(job.folder) for job in work.jobs if job.folder is not None]
        limits, seconds = work.jobs[0].limits, sum(job.limits.seconds for job in work.jobs)
        if work.is_trusted:
            limits, seconds = replace(limits, memory=LASTING_MEMORY), LASTING_SECONDS
        else:
            seconds *= MOST_RUNS
        guard.expect_only(confine(scratch, limits, seconds, readable))
        once_confined()
        _do(work, channel, guard, trace)
        while text := _next_of(stream):
            if not work.is_trusted:
                with contextlib.suppress(OSError):  # code under test may have closed it
                    print_to(null)  # a second time would not be shown
            clear(scratch)
            _do(Work.from_json(text), channel, guard, trace)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Not sys.exit: neither handlers nor threads that the learner's code left behind may hold the process.
        _flush()
        os._exit(status)


def _next_of(stream: BinaryIO) -> str:
    """The next work, or nothing; there is none where code under test has closed or read what it could."""
    with contextlib.suppress(OSError, ValueError):
        return stream.readline().decode()
    return ""


def print_to(descriptor: int) -> None:
    """From now on this process prints there."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _do(work: Work, channel: int, guard: Guard, trace: TextIO) -> None:
    """Do the jobs of this work."""
    guard.watch_over(
        files=frozenset(source.path for job in work.jobs for source in job.sources.values()),
        exercises=frozenset(job.sources[job.exercise].path for job in work.jobs),
    )
    scratch = Path(work.scratch)
    for number, job in enumerate(work.jobs):
        if number > 0:
            clear(scratch)  # the next job has the limit on files for itself
        with telling_where(trace, job.limits.seconds):
            run_job(job, lambda run: _send(channel, run, guard), scratch)


@contextlib.contextmanager
def telling_where(trace: TextIO, seconds: float) -> Iterator[None]:
    """While the block runs: when its time is up, write to `trace` which line it is on.

    The supervisor tells so by the signal for a processor limit; the process writes, and ends. Windows has no such
    signals: there a thread writes when nine tenths of `seconds` are over. Both look while the code stands still.
    What faulthandler.dump_traceback_later does, looking while it runs, crashes now and then.
    """
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGXCPU, trace, chain=True)
        yield
        return
    timer = threading.Timer(seconds * TRACE_AT, faulthandler.dump_traceback, [trace])
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


def _out_of_the_way(channel: int) -> int:
    """The channel under a number that code which closes "every" descriptor does not reach."""
    try:
        import fcntl
    except ImportError:
        return channel
    with contextlib.suppress(OSError):
        moved = fcntl.fcntl(channel, fcntl.F_DUPFD_CLOEXEC, CHANNEL_NUMBER)
        os.close(channel)
        return moved
    return channel


def _send(channel: int, run: CheckRun, guard: Guard) -> None:
    # The supervisor ends this process as soon as it has the last frame: what was printed goes out before that.
    _flush()
    run = replace(run, refused=(*run.refused, *guard.noted))
    guard.noted.clear()
    data = memoryview(frames.encode(run))
    while data:
        data = data[os.write(channel, data) :]


def _flush() -> None:
    """Hand on what was printed, also where the code under test broke or closed its output."""
    for name in ("stdout", "stderr"):
        with contextlib.suppress(BaseException):
            getattr(sys, name).flush()
