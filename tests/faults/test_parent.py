"""When the grader is killed, what it started is gone soon after, and so are its files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.harness.suite import MARKER, Case, Repository, processes_of
from tests.faults.harness.table import FAULTS, Place

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
ENDLESS = next(fault for fault in FAULTS if fault.name == "endless loop")


@pytest.fixture
def repository_of_one(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository", [Case(ENDLESS, Place.CALL)])


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def start(repository: Repository, temporary: Path, workers: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "grader", "check", next(iter(repository.cases))],
        cwd=repository.root,
        env={
            **os.environ,
            "GPT_KATA_NO_BOOTSTRAP": "1",
            "GPT_KATA_WORKERS": workers,
            "TMPDIR": str(temporary),
            MARKER: repository.root.as_posix(),
        },
        stdout=subprocess.DEVNULL,
    )


def wait_for_work(repository: Repository) -> None:
    """Until a process of the grader's works in a scratch folder."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for process in processes_of(repository.root.as_posix()):
            with suppress(psutil.Error):  # it has just ended
                if "gpt-kata-" in process.cwd():
                    return
        time.sleep(0.05)
    raise AssertionError("the exercise was never run")


@pytest.mark.parametrize("workers", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_nothing_outlives_a_killed_grader(repository_of_one: Repository, temporary: Path, workers: str) -> None:
    marker = repository_of_one.root.as_posix()
    grader = start(repository_of_one, temporary, workers)
    wait_for_work(repository_of_one)
    grader.kill()
    grader.wait()
    deadline = time.monotonic() + 30
    while (left := processes_of(marker)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    for folder in temporary.iterdir():  # without fork nothing is there to remove it
        os.utime(folder, (0, 0))
    again = start(repository_of_one, temporary, workers)
    again.wait(timeout=120)
    assert list(temporary.iterdir()) == []
