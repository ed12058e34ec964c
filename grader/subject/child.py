"""What a subject process does with its work, after it was forked or spawned."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import traceback
from pathlib import Path

from grader import frames
from grader.records import CheckRun
from grader.subject.agreed import TRACE_FILE
from grader.subject.job import Limits, Work
from grader.subject.runner import run_job

# The line on which the code hangs is written down a little before the supervisor kills the process.
TRACE_AT = 0.9


def serve(work: Work, channel: int) -> None:
    """Do the jobs, write a frame for each check to the channel, and end the process. Does not return."""
    status = 1
    try:
        os.chdir(work.scratch)
        limit(work.jobs[0].limits)
        trace = Path(work.scratch, TRACE_FILE).open("w", encoding="utf-8")  # noqa: SIM115 - the process ends with it
        faulthandler.enable(trace)
        for job in work.jobs:
            faulthandler.dump_traceback_later(job.limits.seconds * TRACE_AT, file=trace)
            run_job(job, lambda run: _send(channel, run), Path(work.scratch))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Not sys.exit: neither handlers nor threads that the learner's code left behind may hold the process.
        _flush()
        os._exit(status)


def _send(channel: int, run: CheckRun) -> None:
    # The supervisor ends this process as soon as it has the last frame: what was printed goes out before that.
    _flush()
    data = memoryview(frames.encode(run))
    while data:
        data = data[os.write(channel, data) :]


def _flush() -> None:
    """Hand on what was printed, also where the code under test broke or closed its output."""
    for name in ("stdout", "stderr"):
        with contextlib.suppress(BaseException):
            getattr(sys, name).flush()


def limit(limits: Limits) -> None:
    """Set what the operating system itself enforces. Where it cannot, the supervisor's polling remains."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        ceiling = pages * os.sysconf("SC_PAGE_SIZE") + limits.memory
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.output, limits.output))
