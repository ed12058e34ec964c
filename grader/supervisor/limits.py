"""Is a subject process over one of its limits? Looked at every 50 ms, beside what the system itself enforces."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grader.protocol.job import Limits
from grader.protocol.layers import Layer, is_wanted

if TYPE_CHECKING:
    from grader.supervisor.tree import ProcessTree


PATIENCE = 6
FAIR_SHARE = 0.8
LOOK_SECONDS = 0.5
# Processor time within that, below which a process is taken to wait for something that does not come.
LEAST_PROGRESS = 0.03
# So long without a look the grader only is when it was stopped itself: by Ctrl-Z, or with the whole machine.
STOOD_STILL_SECONDS = 1.0


@dataclass
class Clock:
    """The limit on wall-clock time, patient where the machine is busy with other things.

    At the limit a process that waits for nothing, and has not had its time on a processor, gets more: half a second
    at a time as long as it goes on, and at most `PATIENCE` times the limit in all.
    """

    seconds: float
    start: float
    cpu_at_first: float
    _looked_at: float | None = None
    _cpu_then: float = 0.0
    _last_tick: float | None = None

    def tick(self, now: float) -> None:
        """To be called several times a second. Time in which it was not does not count."""
        since_then = now - (self._last_tick or self.start)
        if since_then > STOOD_STILL_SECONDS:
            self.start += since_then
        self._last_tick = now

    def is_over(self, now: float, cpu_seconds: Callable[[], float]) -> bool:
        """Is the time up? `cpu_seconds` tells the processor time taken so far; it is asked from shortly before."""
        end = self.start + self.seconds
        if now <= end - LOOK_SECONDS:
            return False
        if now > self.start + PATIENCE * self.seconds:
            return True
        if self._looked_at is not None and now < self._looked_at + LOOK_SECONDS:
            return False
        cpu = cpu_seconds()
        had_its_time = cpu - self.cpu_at_first > FAIR_SHARE * self.seconds
        waits = self._looked_at is not None and cpu - self._cpu_then < LEAST_PROGRESS
        self._looked_at, self._cpu_then = now, cpu
        return now > end and (had_its_time or waits)


def over_limit(limits: Limits, tree: ProcessTree, printed: int, scratch: Path, jobs: int) -> str | None:
    """What is too much, in words, or None. Time is looked at elsewhere.

    `tree` was looked at just now; `printed` counts bytes; of `jobs` each may write as much as `limits` says.
    """
    if printed > limits.output:
        return f"printed more than {limits.output // 2**20} MB"
    if not is_wanted(Layer.POLL):
        return None
    if tree.memory > limits.memory:
        return f"used more than {limits.memory / 2**30:.1f} GB of memory"
    if tree.started > limits.processes:
        return f"started more than {limits.processes} processes"
    if too_many := _too_many_files(scratch, limits):
        return too_many
    if tree.written > jobs * (limits.output + limits.results + limits.file_bytes):
        return "wrote without end"
    return None


def _too_many_files(scratch: Path, limits: Limits) -> str | None:
    """Not by os.walk, which recurses: folders may be nested thousands deep."""
    size = count = 0
    folders = [os.fspath(scratch)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if count > limits.files:
                    return f"made more than {limits.files:,} files"
                with suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_size
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return f"wrote files of more than {limits.file_bytes // 2**20} MB" if size > limits.file_bytes else None
