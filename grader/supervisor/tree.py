"""A subject process with everything that it started: what all of it uses, and the end of all of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from grader.supervisor.clock import Used
from grader.supervisor.unnamed import unnamed_files

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
        # Whether this system tells at all what a process has written and opened.
        self._told_at_first = (self._told_written() is not None, self._told_unnamed(0) is not None)

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
    def written(self) -> int | None:
        """Bytes written to files and pipes, or to files through memory, by what runs now, where the system counts
        them. None where it did and one of them hides it now."""
        told = self._told_written()
        return 0 if told is None and not self._told_at_first[0] else told

    def unnamed(self, at_least: int) -> int | None:
        """Bytes in files that have no name any more but are open or mapped, where the system tells.

        One of which it does not tell the size counts `at_least` so much. None as in `written`.
        """
        told = self._told_unnamed(at_least)
        return 0 if told is None and not self._told_at_first[1] else told

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
        process = self._seen.get(self._pid)
        return process is None or _has_ended(process)

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

    def _told_written(self) -> int | None:
        total = 0
        for process in list(self._seen.values()):
            try:
                counters = process.io_counters()
            except AttributeError:
                return None
            except psutil.AccessDenied:
                if not _has_ended(process):
                    return None
                continue
            except (psutil.Error, OSError):
                continue  # it has just ended
            total += max(getattr(counters, "write_chars", 0), counters.write_bytes)
        return total

    def _told_unnamed(self, at_least: int) -> int | None:
        sizes: dict[tuple[int, int], int] = {}
        for process in list(self._seen.values()):
            try:
                sizes |= unnamed_files(process.pid, at_least)
            except PermissionError:
                if not _has_ended(process):
                    return None
            except OSError:
                continue
        return sum(sizes.values())

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


def _has_ended(process: psutil.Process) -> bool:
    """Of one that tells nothing: that is so also once it has ended, for whoever is not root."""
    try:
        return process.memory_info().vms == 0
    except psutil.Error:
        return True
