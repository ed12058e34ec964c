"""The layers of protection, and how to leave one out on purpose: to see what it is for.

`GPT_KATA_WITHOUT=landlock,guard` leaves these two out.
"""

from __future__ import annotations

import os
from enum import StrEnum

WITHOUT = "GPT_KATA_WITHOUT"


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
