"""What can start subject processes, and where they may write."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from grader.protocol.job import Work
from grader.protocol.scratch import remove_tree

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "gpt-kata-"
ABANDONED_AFTER_SECONDS = 3600.0
LAST_RUNS_SECONDS = 5.0


class Child:
    """A subject process: the ends of its two pipes and, once known, how it ended.

    `exit_code` is the exit code, or minus the number of the signal that ended it; `peak` the most memory that it
    had, in bytes, where the system tells.
    """

    def __init__(self, pid: int, channel: int = -1, output: int = -1) -> None:
        self.pid = pid
        self.channel = channel
        self.output = output
        self.ended = threading.Event()
        self.exit_code: int | None = None
        self.peak = 0

    def finish(self, exit_code: int | None, peak: int = 0) -> None:
        self.exit_code = exit_code
        self.peak = peak
        self.ended.set()


class Launcher(Protocol):
    """A source of subject processes. `start` may be called from several threads.

    `scratch` is a folder for what they write. `close` ends every process that is left, and removes it.
    """

    scratch: Path

    def start(self, work: Work) -> Child: ...

    def close(self) -> None: ...


def subject_environment(seed: int) -> dict[str, str]:
    """One thread for the arithmetic (a second one would hang a fork and change bits), and a fixed order of
    sets, so that `--seed` replays exactly."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {
        **os.environ,
        **one_thread,
        "PYTHONHASHSEED": str(seed % 2**32),
        "PYTHONIOENCODING": "utf-8:replace",
    }


def new_scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


def remove_scratch(folder: Path) -> None:
    """Remove it although other threads may use it: their processes are gone, so their runs are ending too."""
    give_up = time.monotonic() + LAST_RUNS_SECONDS
    while folder.exists() and time.monotonic() < give_up:
        remove_tree(folder)
        time.sleep(0.01)


def remove_abandoned() -> None:
    """Remove the scratch folders of graders that were killed together with everything that would have done it.

    Not at once: a grader in a container that shares this folder has a number that means nothing here.
    """
    import psutil

    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(OSError):
            is_old = time.time() - folder.stat().st_mtime > ABANDONED_AFTER_SECONDS
            if is_old and owner.isdecimal() and not psutil.pid_exists(int(owner)):
                remove_tree(folder)
