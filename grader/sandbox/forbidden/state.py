"""What is forbidden at the moment, in every thread of the process, and the first call that was refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch

# Code in these folders may do what code under test may not: torch, and the watch itself.
MAY = (f"{Path(torch.__file__).parent}{os.sep}", f"{Path(__file__).parent}{os.sep}")


class ForbiddenCall(BaseException):
    """Not an `Exception`, so that a learner's own `except Exception` does not swallow it."""


@dataclass
class State:
    """`forbidden` words are refused; what `followed` words compute is remembered. `out_of_sight` says whether what
    would run unseen is refused."""

    forbidden: frozenset[str] = frozenset()
    followed: frozenset[str] = frozenset()
    out_of_sight: bool = False
    refused: ForbiddenCall | None = None


now = State()


def refuse(name: str) -> NoReturn:
    """Raise `ForbiddenCall`, and keep it for the end of the block: it may be swallowed, or end a thread only."""
    error = ForbiddenCall(name)
    now.refused = now.refused or error
    raise error


def is_torch(frame: FrameType | None) -> bool:
    """Is this torch's code that is running, or that of the watch?"""
    return frame is not None and frame.f_code.co_filename.startswith(MAY)
