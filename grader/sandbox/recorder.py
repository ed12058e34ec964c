"""A probe that takes notes of what it draws and observes, and on which of its lines: what code to paste is made of.

Runs in the process of the reference, and never on a learner's code.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable
from typing import Any

import torch

from grader.sandbox.draw import Draw
from grader.sandbox.observe import Observe

# The value of a larger tensor is not noted.
LARGEST_TENSOR = 12

Probe = Callable[..., None]
Notes = list[list[object]]
"""For each draw and each observation: the method or `observe`, line and column of the call, the line of the probe
that led to it, and the value that was drawn or the type of the error that was observed."""


def taking_notes(probe: Probe) -> Probe:
    """The probe, observing only its notes, its seed, and whether it drew from the global generators."""

    @functools.wraps(probe)
    def noted(subject: object, draw: Draw, observe: Observe, **others: object) -> None:
        states = torch.default_generator.get_state(), random.getstate()
        notes: Notes = []
        probe(
            subject=subject, draw=_Drawing(draw, probe, notes), observe=_Observing(observe, probe, notes), **others
        )
        observe("seed", draw.seed)
        observe("draws from torch", not torch.equal(states[0], torch.default_generator.get_state()))
        observe("draws from random", states[1] != random.getstate())
        observe("notes", notes)

    return noted


class _Drawing:
    def __init__(self, draw: Draw, probe: Probe, notes: Notes) -> None:
        self._draw, self._probe, self._notes = draw, probe, notes

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._draw, name)

        def call(*arguments: Any, **named: Any) -> object:
            value = method(*arguments, **named)
            noted = value
            if isinstance(value, torch.Tensor):
                noted = value.clone() if value.numel() <= LARGEST_TENSOR else None
            self._notes.append([name, *_place(self._probe), noted])
            return value

        return call


class _Observing:
    def __init__(self, observe: Observe, probe: Probe, notes: Notes) -> None:
        self._quiet, self._probe, self._notes = type(observe)(), probe, notes

    def __call__(self, name: str, value: object, **_: object) -> None:
        self._quiet(name, value)
        self._notes.append(["observe", *_place(self._probe), ""])

    def outcome(self, name: str, call: Callable[..., object], *arguments: Any, **named: Any) -> None:
        self._quiet.outcome(name, call, *arguments, **named)
        value = self._quiet.recorded[-1].value
        self._notes.append(["observe", *_place(self._probe), getattr(value, "types", ("",))[0]])


def _place(probe: Probe) -> list[int]:
    """Line and column of the call, two frames up, and the line of the probe itself that led to it."""
    frame = sys._getframe(2)
    line, _, column, _ = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    top: Any = frame
    while top is not None and top.f_code is not probe.__code__:
        top = top.f_back
    return [line or 0, column or 0, top.f_lineno if top else 0]
