"""A subject process with everything that it started: what all of it uses, and the end of all of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from grader.supervisor.clock import Used

# Linux has, for each thread, the nanoseconds on a processor and those for which it was ready and had none.
WAITING_OF_THREAD = "schedstat"
TELLS_OF_WAITING = Path("/proc/self", WAITING_OF_THREAD).exists()


class ProcessTree:
    """Remembers whatever was once seen below `pid`, so that what detached itself is counted and ended too."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: dict[int, psutil.Process] = {}
        self._threads: dict[str, tuple[float, float]] = {}
        self._cpu = self._kept_waiting = 0.0
        self.look()
        self.memory_at_first = self._resident()

    def look(self) -> None:
        """See what is there now. What is told below is about what was seen last."""
        with suppress(psutil.Error):
            root = self._seen.setdefault(self._pid, psutil.Process(self._pid))
            for member in root.children(recursive=True):
                self._seen.setdefault(member.pid, member)
        self._seen = {pid: process for pid, process in self._seen.items() if process.is_running()}

    @property
    def started(self) -> int:
        """How many processes it has started that still run."""
        return max(0, len(self._seen) - 1)

    @property
    def memory(self) -> int:
        """Bytes in use above what the process had when it was first seen."""
        return self._resident() - self.memory_at_first

    def used(self) -> Used:
        """Time on processors, and time spent waiting for one. Between two calls of this the thread counts that
        waited longest."""
        if not TELLS_OF_WAITING:
            return Used(self._cpu_seconds(), None)
        threads = dict(thread for pid in self._seen for thread in _threads_of(pid))
        since_then = [(now, self._threads.get(name, (0.0, 0.0))) for name, now in threads.items()]
        self._cpu += sum(now[0] - before[0] for now, before in since_then)
        self._kept_waiting += max((now[1] - before[1] for now, before in since_then), default=0.0)
        self._threads = threads
        return Used(self._cpu, self._kept_waiting)

    @property
    def written(self) -> int:
        """Bytes written to files and pipes by what runs now, where the system counts them."""
        total = 0
        for process in list(self._seen.values()):
            with suppress(psutil.Error, AttributeError, OSError):
                counters = process.io_counters()
                total += getattr(counters, "write_chars", counters.write_bytes)
        return total

    def call_time(self) -> bool:
        """Tell the process that its time is up, also one that a signal stopped; False where no signal says that."""
        if not hasattr(signal, "SIGXCPU") or self._pid not in self._seen:
            return False
        with suppress(psutil.Error):
            self._seen[self._pid].send_signal(signal.SIGXCPU)
            self._seen[self._pid].resume()
        return True

    @property
    def is_gone(self) -> bool:
        """Has the process itself ended, whether or not anybody has been told?"""
        try:
            return psutil.Process(self._pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def kill(self) -> None:
        """End the process, its group, and whatever it started."""
        self.look()
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        for process in self._seen.values():
            with suppress(psutil.Error):
                process.kill()

    def _cpu_seconds(self) -> float:
        total = 0.0
        for process in list(self._seen.values()):
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def _resident(self) -> int:
        total = 0
        for process in list(self._seen.values()):
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total


def _threads_of(pid: int) -> Iterator[tuple[str, tuple[float, float]]]:
    """The threads of a process, each with its seconds on a processor and those spent waiting for one."""
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                ran, waited, _ = (thread / WAITING_OF_THREAD).read_text().split()
                yield thread.name, (int(ran) / 1e9, int(waited) / 1e9)
