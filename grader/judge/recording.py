"""What a probe did on the reference: what it drew and observed, and on which of its lines.

It was run with `takes_notes` (grader/sandbox/recorder.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grader.protocol.runs import CheckRun, Ending
from grader.protocol.values import Value


@dataclass(frozen=True)
class Note:
    """Something that a probe drew (then `what` is the method) or observed: the place in the file, the line of the
    probe itself from which it came to that, and the value drawn or the name of the error that was observed."""

    what: str
    place: tuple[int, int]
    top: int
    value: Value


@dataclass(frozen=True)
class Recorded:
    """What a probe did on the reference. `uses_torch` and `uses_random`: did it, or the reference, draw from the
    global generators?"""

    seed: int
    uses_torch: bool
    uses_random: bool
    notes: tuple[Note, ...]

    @property
    def observed(self) -> list[Note]:
        return [note for note in self.notes if note.what == "observe"]


def read_recorded(run: CheckRun) -> Recorded | None:
    """What a recording run wrote down; None if it did not come to its end."""
    found: dict[str, Any] = {observation.name: observation.value for observation in run.observations}
    if run.ending is not Ending.RETURNED or "notes" not in found:
        return None
    notes = tuple(Note(what, (line, column), top, value) for what, line, column, top, value in found["notes"])
    return Recorded(found["seed"], found["draws from torch"], found["draws from random"], notes)
