"""The layers of protection, and how to leave one out on purpose: to see what it is for.

`GPT_KATA_WITHOUT=landlock,guard` leaves these two out. `GPT_KATA_LANDLOCK=4` uses no more than what version 4 of
Landlock knows, as an older kernel would.
"""

from __future__ import annotations

import os
from enum import StrEnum

WITHOUT = "GPT_KATA_WITHOUT"
NEWEST_LANDLOCK = "GPT_KATA_LANDLOCK"


class Layer(StrEnum):
    """A layer, as `GPT_KATA_WITHOUT` names it."""

    LANDLOCK = "landlock"
    SECCOMP = "seccomp"
    GUARD = "guard"
    LIMITS = "limits"
    POLL = "poll"


def is_wanted(layer: Layer) -> bool:
    """Is this layer to be put in place, where that is possible?"""
    return layer not in os.environ.get(WITHOUT, "").replace(" ", "").split(",")


def newest_landlock() -> int | None:
    """The newest version of Landlock that may be used, where that was asked for."""
    asked = os.environ.get(NEWEST_LANDLOCK, "")
    return int(asked) if asked.isdecimal() else None
