"""What can start subject processes, and where they may write."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from grader.protocol.job import Work
from grader.protocol.scratch import remember, remove_remembered, remove_tree

if TYPE_CHECKING:
    from grader.supervisor.jobs import TrustedProcess

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "gpt-kata-"
# What is called so is never removed.
KEPT_PREFIX = "kept-by-gpt-kata-"
ABANDONED_AFTER_SECONDS = 3600.0
LAST_RUNS_SECONDS = 5.0


class Child:
    """A subject process: our ends of its pipes and, once known, how it ended.

    `exit_code` is the exit code, or minus the number of the signal that ended it.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.channel = -1
        self.output = -1
        self._stream: IO[bytes] | None = None
        self.ended = threading.Event()
        self.exit_code: int | None = None

    def connect(self, stream: IO[bytes], channel: int, output: int) -> None:
        """These are the pipes: for its work, for its results, and for what it prints."""
        self._stream, self.channel, self.output = stream, channel, output

    def send(self, work: Work) -> None:
        """Hand it work. What a process does not read because it has ended is lost."""
        assert self._stream
        with suppress(OSError):
            self._stream.write(work.to_json().encode())
            self._stream.flush()

    def send_no_more(self) -> None:
        """Let it end when its work is done."""
        assert self._stream
        with suppress(OSError):
            self._stream.close()

    def finish(self, exit_code: int | None) -> None:
        self.exit_code = exit_code
        self.ended.set()


class Launcher(Protocol):
    """A source of subject processes. `start` may be called from several threads.

    A process that has done its work waits for more.

    `scratch` is a folder for what they write. `idle` are processes that wait for more trusted work, whoever has it.
    `worth_a_process` is how many jobs take as long as it takes to start a process for them. `close` ends every
    process that is left, and removes the folder.
    """

    scratch: Path
    idle: list[TrustedProcess]
    worth_a_process: int

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
    """A folder for the folders of the runs, which have to be remembered as well before code under test runs."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    remember(folder)
    return folder


def remove_scratch(folder: Path) -> None:
    """Remove it although other threads may use it: their processes are gone, so their runs are ending too.

    What code under test put beside the folders of its runs is left, and the folder with it, under another name.
    """
    give_up = time.monotonic() + LAST_RUNS_SECONDS
    while not remove_remembered(folder) and time.monotonic() < give_up:
        time.sleep(0.01)
    with suppress(OSError):
        folder.rename(folder.with_name(folder.name.replace(PREFIX, KEPT_PREFIX, 1)))


def remove_abandoned() -> None:
    """Remove the scratch folders of graders that were killed together with everything that would have done it.

    Only this user's, and never through a link. Not at once: a grader in a container that shares this folder has a
    number that means nothing here.
    """
    import psutil

    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        with suppress(OSError):
            found = folder.lstat()
            is_old = time.time() - found.st_mtime > ABANDONED_AFTER_SECONDS
            is_ours = stat.S_ISDIR(found.st_mode) and (os.name == "nt" or found.st_uid == os.geteuid())
            if is_old and is_ours and owner.isdecimal() and not psutil.pid_exists(int(owner)):
                remember(folder, (found.st_dev, found.st_ino))
                remove_tree(folder)
