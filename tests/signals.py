"""Processes that are stopped in tests, whoever runs these."""

from __future__ import annotations

import signal


def answer_as_at_a_terminal() -> None:
    """For a process that begins: who runs the tests in the background of a shell hands down ignored signals."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
