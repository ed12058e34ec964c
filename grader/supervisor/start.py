"""Choose how subject processes are started on this system."""

from __future__ import annotations

import os
import sys

from grader.supervisor.launcher import Launcher
from grader.supervisor.spares import Spares
from grader.supervisor.zygotes import Zygote


def start_launcher(seed: int, expected: int | None = None) -> Launcher:
    """The launcher for this system. `GPT_KATA_WORKERS=spawn` asks for the one that needs no fork.

    `expected` is how many processes will be asked for, about, where that is known.
    """
    can_fork = sys.platform == "linux"
    if can_fork and os.environ.get("GPT_KATA_WORKERS") != "spawn":
        return Zygote(seed)
    return Spares(seed, expected)
