"""A subject process with everything that it started: what all of it uses, and the end of all of it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import psutil


class ProcessTree:
    """Remembers whatever was once seen below `pid`, so that what detached itself is counted and ended too."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: dict[int, psutil.Process] = {}
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

    @property
    def cpu_seconds(self) -> float:
        """Processor time that what runs now has taken so far."""
        total = 0.0
        for process in list(self._seen.values()):
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

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

    def kill(self) -> None:
        """End the process, its group, and whatever it started."""
        self.look()
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        for process in self._seen.values():
            with suppress(psutil.Error):
                process.kill()

    def _resident(self) -> int:
        total = 0
        for process in list(self._seen.values()):
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total
