"""The limit on time. One rule, wherever a process is waited for.

What counts is a process's own time: the time on the wall, less that in which it stood ready to work and the machine
was busy with other things. Right code is not refused on a slow machine, and an endless loop ends on any.
"""

from __future__ import annotations

from dataclasses import dataclass

# So many times its limit a process gets on the wall, however little of the machine it had.
PATIENCE = 6
# So long without a look the grader only is when it was stopped itself: by Ctrl-Z, or with the whole machine. Longer
# ones count as this long, except for what the process did meanwhile.
STOOD_STILL_SECONDS = 1.0
# Where the system does not tell for how long a process was kept waiting, it is judged by how it gets on: over so
# many seconds, and below this share of a processor it is taken to wait for something that does not come.
LOOK_SECONDS = 0.5
LEAST_PROGRESS = 0.06


@dataclass(frozen=True)
class Used:
    """What a process had so far, with all that it started: seconds on processors, and seconds for which it stood
    ready and had none; None where the system does not tell."""

    cpu: float
    kept_waiting: float | None


class Clock:
    """Counts the own time of a process, from looks at it, several a second."""

    def __init__(self, seconds: float, now: float, used: Used) -> None:
        self.own = 0.0
        self.on_the_wall = 0.0
        self._seconds = seconds
        self._now = now
        self._used = used

    def look(self, now: float, used: Used) -> None:
        """`now` is the time on the wall, `used` what the process had up to now."""
        since_then = now - self._now
        if used.kept_waiting is None and since_then < LOOK_SECONDS:
            return
        seen = min(since_then, STOOD_STILL_SECONDS)
        self.on_the_wall += seen
        self.own += own_seconds(since_then, seen, self._used, used)
        self._now, self._used = now, used

    @property
    def is_over(self) -> bool:
        """Is the time up?"""
        return self.own > self._seconds or self.on_the_wall > PATIENCE * self._seconds


def own_seconds(since_then: float, seen: float, before: Used, after: Used) -> float:
    """How much of the time between two looks, `since_then` seconds of which `seen` count, was a process's own.

    All that it computed is; several threads at once count once.
    """
    cpu = min(max(0.0, after.cpu - before.cpu), since_then)
    if after.kept_waiting is None or before.kept_waiting is None:
        return seen if cpu < LEAST_PROGRESS * since_then else cpu
    return max(cpu, seen - max(0.0, after.kept_waiting - before.kept_waiting))
