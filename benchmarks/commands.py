"""Whole commands, timed from outside, in an untouched copy of the repository."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from grader.course.catalogue import load

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
ENVIRONMENT = {**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "OMP_NUM_THREADS": "1"}
WITHOUT_FORK = {"GPT_KATA_WORKERS": "spawn"}


def whole_run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> float:
    """Seconds until the command is back at the prompt."""
    start = time.perf_counter()
    everything = {**ENVIRONMENT, **(environment or {})}
    subprocess.run(command, cwd=folder, env=everything, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - start


def first_output(command: Sequence[str], folder: Path) -> float:
    """Seconds until the first byte is written."""
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.read(1)
        seconds = time.perf_counter() - start
        process.stdout.read()
    return seconds


def median(measure: Callable[[], float], repeat: int) -> float:
    return statistics.median(measure() for _ in range(repeat))


def import_of_torch(folder: Path, repeat: int) -> float:
    """The unit: nothing that runs PyTorch code is quicker."""
    return median(lambda: whole_run([PYTHON, "-c", "import torch"], folder), repeat)


def untouched_copy(folder: Path) -> Path:
    """The repository with nothing solved, so that only one unfinished exercise is graded."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".tox", ".grader", "__pycache__", ".*_cache", "exercises")
    shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)
    (folder / "exercises").mkdir()
    subprocess.run([PYTHON, "-m", "grader", "stubs"], cwd=folder, env=ENVIRONMENT, capture_output=True, check=True)
    return folder


def solve_all(folder: Path) -> None:
    """Put the solution of every exercise in the place of its file."""
    for exercise in load(folder):
        (folder / "exercises" / exercise.file_name).write_text(exercise.solution.text, encoding="utf-8")


def machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
