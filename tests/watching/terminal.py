"""A real terminal of a given size with a command in it: what it shows, and how it ended."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pexpect
import pyte

from tests.signals import answer_as_at_a_terminal

PYTHON = sys.executable


class Terminal:
    """A command in a pseudo-terminal. Leaving the block ends it, if it has not ended."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        size: tuple[int, int] = (80, 24),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        columns, rows = size
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        ours = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
        given = {"TERM": "xterm-256color", "GPT_KATA_NO_BOOTSTRAP": "1", **(environment or {})}
        self.process = pexpect.spawn(
            PYTHON,
            ["-m", "grader", *arguments],
            cwd=str(folder),
            dimensions=(rows, columns),
            env={**ours, **given},
            timeout=None,
            preexec_fn=answer_as_at_a_terminal,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.close(force=True)

    def press(self, keys: str) -> None:
        self.process.send(keys)

    def read(self, seconds: float = 0.05) -> bool:
        """Take in what was written, waiting at most so long for anything; False where there is nothing more."""
        try:
            data = self.process.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.written += data
        self._stream.feed(data)
        return True

    @property
    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def colours(self) -> set[str]:
        """The colours of all characters that are shown."""
        return {cell.fg for row in self._screen.buffer.values() for cell in row.values()}

    def sees(self, *words: str, without: Sequence[str] = (), seconds: float = 60.0) -> str:
        """Wait until all of this is shown, and none of that."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            more = self.read()
            if all(word in self.shown for word in words) and not any(word in self.shown for word in without):
                return self.shown
            assert more, f"it ended before {words} was shown:\n{self.shown}"
        raise AssertionError(f"waited in vain for {words} on:\n{self.shown}")

    def ends(self, seconds: float = 30.0) -> int:
        """Wait for its end, and return the exit code."""
        give_up = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < give_up, f"it goes on:\n{self.shown}"
        self.process.wait()
        return self.process.exitstatus if self.process.exitstatus is not None else -self.process.signalstatus
