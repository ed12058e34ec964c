"""Two small exercises to watch, graded in the processes that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.commands.watching import desk as module
from grader.protocol.job import Work
from grader.supervisor.launcher import Child, Launcher
from tests.mini import ID, write_exercise

ANOTHER = "ex01_another"
SCENE = '''"""Shows what is twice two."""


def look(subject, draw, observe):
    lines = (f"twice two is {subject.double(2)}",)
    observe("panel", {"kind": "text", "title": "Doubled", "lines": lines, "note": "That is all."})
'''


class Shared:
    """The shared processes, as a launcher of its own that ends nothing."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self.scratch, self.idle = launcher.scratch, launcher.idle
        self.worth_a_process = launcher.worth_a_process

    def start(self, work: Work) -> Child:
        return self._launcher.start(work)

    def close(self) -> None:
        """They serve other tests."""


@pytest.fixture
def two(repository: Path, subject_processes: Launcher, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with two exercises, of which nothing is done; the first has a scene."""
    (repository / "scenes").mkdir()
    (repository / "scenes" / f"{ID}.py").write_text(SCENE)
    write_exercise(repository, ANOTHER)
    stub = (repository / "exercises" / f"{ID}.py").read_text()
    (repository / "exercises" / f"{ANOTHER}.py").write_text(stub)
    monkeypatch.setattr(module, "start_launcher", lambda seed: Shared(subject_processes))
    return repository
