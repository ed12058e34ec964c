"""Start subject processes: forked from a zygote where that is possible, from a spare interpreter elsewhere."""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from grader.errors import GraderError
from grader.protocol.job import READY, START, Work
from grader.protocol.scratch import remove_tree

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
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


def launcher(seed: int) -> Launcher:
    """The launcher for this system. `GPT_KATA_WORKERS=spawn` asks for the one that needs no fork."""
    can_fork = sys.platform == "linux"
    if can_fork and os.environ.get("GPT_KATA_WORKERS") != "spawn":
        return Zygote(seed)
    return Spares(seed)


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


class Zygote:
    """The zygote process (see grader/sandbox/zygote.py), started at once and restarted if it dies."""

    def __init__(self, seed: int) -> None:
        self.scratch = _new_scratch()
        self._environment = subject_environment(seed)
        self._lock = threading.Lock()
        self._closed = False
        self._boot()

    def start(self, work: Work) -> Child:
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
        _remove_scratch(self.scratch)  # the zygote did that, unless it was killed
        _remove_abandoned()

    def _boot(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "grader.sandbox.zygote", str(theirs.fileno()), str(self.scratch)],
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
        with suppress(BrokenPipeError), os.fdopen(work_in, "wb") as stream:
            stream.write(work.to_json().encode())
        child.channel, child.output = channel, output
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
                    running.pop(event["pid"]).finish(exit_code, event["peak"])
        dead.set()
        for child in running.values():
            child.finish(None)


class Spares:
    """Interpreters that have torch imported and wait for one job each. A used one is replaced at once."""

    def __init__(self, seed: int) -> None:
        self.scratch = _new_scratch()
        self._environment = subject_environment(seed)
        self._lock = threading.Lock()
        self._closed = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._waiting = self._spawn()

    def start(self, work: Work) -> Child:
        with self._lock:
            if self._closed:
                raise GraderError("the grader is ending")
            process, self._waiting = self._waiting, self._spawn()
            self._running.add(process)
        assert process.stdin and process.stdout and process.stderr
        child = Child(process.pid, os.dup(process.stdout.fileno()), os.dup(process.stderr.fileno()))
        process.stdout.close()
        process.stderr.close()
        # The limit on time is for the code under test, not for the import of torch before it.
        if os.read(child.channel, len(READY)) != READY:
            raise GraderError(f"the interpreter that imports torch ended with code {process.wait()}")
        with suppress(OSError):
            process.stdin.write(work.to_json().encode())
            process.stdin.close()
        threading.Thread(target=self._await_end, args=(process, child), daemon=True).start()
        return child

    def close(self) -> None:
        with self._lock:
            self._closed = True
            left = [self._waiting, *self._running]
        from grader.supervisor.tree import ProcessTree

        for process in left:
            ProcessTree(process.pid).kill()
            process.wait()
        _remove_scratch(self.scratch)
        _remove_abandoned()

    def _await_end(self, process: subprocess.Popen[bytes], child: Child) -> None:
        exit_code = process.wait()
        with self._lock:
            self._running.discard(process)
        child.finish(exit_code)

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "grader.sandbox.spare"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def _new_scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))


def _remove_scratch(folder: Path) -> None:
    """Remove it although other threads may use it: their processes are gone, so their runs are ending too."""
    give_up = time.monotonic() + LAST_RUNS_SECONDS
    while folder.exists() and time.monotonic() < give_up:
        remove_tree(folder)
        time.sleep(0.01)


def _remove_abandoned() -> None:
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
