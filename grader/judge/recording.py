"""A run of the reference in which a probe takes notes of what it draws and observes, and on which of its lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grader.protocol.job import Source
from grader.protocol.runs import CheckRun, Ending
from grader.protocol.values import Value

# The value of a larger tensor is not noted.
LARGEST_TENSOR = 12
# Put behind the probes. The wrapper has the check's name, so that the same is drawn.
RECORDER = """

def _taking_notes(probe):
    import functools
    import random
    import sys

    import torch

    notes = []

    def place():
        frame = sys._getframe(2)
        line, _, column, _ = list(frame.f_code.co_positions())[frame.f_lasti // 2]
        top = frame
        while top is not None and top.f_code is not probe.__code__:
            top = top.f_back
        return [line, column, top.f_lineno if top else 0]

    class Drawing:
        def __init__(self, draw):
            self._draw = draw

        def __getattr__(self, name):
            method = getattr(self._draw, name)

            def call(*arguments, **named):
                value = method(*arguments, **named)
                copy = value.clone() if isinstance(value, torch.Tensor) and value.numel() <= LARGEST else value
                small = not isinstance(value, torch.Tensor) or value.numel() <= LARGEST
                notes.append([name, *place(), copy if small else None])
                return value

            return call

    class Observing:
        def __init__(self, observe):
            self._quiet = type(observe)()

        def __call__(self, name, value, **_):
            self._quiet(name, value)
            notes.append(["observe", *place(), ""])

        def outcome(self, name, call, *arguments, **named):
            self._quiet.outcome(name, call, *arguments, **named)
            value = self._quiet.recorded[-1].value
            notes.append(["observe", *place(), getattr(value, "types", ("",))[0]])

    @functools.wraps(probe)
    def taking_notes(subject, draw, observe, **others):
        states = torch.default_generator.get_state(), random.getstate()
        probe(subject=subject, draw=Drawing(draw), observe=Observing(observe), **others)
        observe("seed", draw._seed)
        observe("draws from torch", not torch.equal(states[0], torch.default_generator.get_state()))
        observe("draws from random", states[1] != random.getstate())
        observe("notes", notes)

    return taking_notes
"""


def recording(probes: Source, check: str) -> Source:
    """The probes, with one of them taking notes of what it draws and observes, and where."""
    recorder = RECORDER.replace("LARGEST", str(LARGEST_TENSOR))
    return Source(probes.path, f"{probes.text}{recorder}\n\n{check} = _taking_notes({check})\n")


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
