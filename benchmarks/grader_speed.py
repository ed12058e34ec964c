"""How long one waits for the grader, beside what cannot be avoided, measured in the same run.

    python benchmarks/grader_speed.py [--repeat 5]

Every time is the median of several runs, in seconds; a ratio compares it with `import torch` in a fresh
interpreter, which any tool that runs PyTorch code has to pay for. Nothing here can fail: it measures.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
Measure = Callable[[Sequence[str], Path], float]
ENVIRONMENT = {**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "OMP_NUM_THREADS": "1"}


def whole_run(command: Sequence[str], folder: Path) -> float:
    """Seconds until the command is back at the prompt."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=False)
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


def median(measure: Measure, command: Sequence[str], folder: Path, repeat: int) -> float:
    return statistics.median(measure(command, folder) for _ in range(repeat))


def untouched_copy(folder: Path) -> Path:
    """The repository with nothing solved, so that only one unfinished exercise is graded."""
    ignored = shutil.ignore_patterns(".git", ".venv", ".tox", ".grader", "__pycache__", ".*_cache", "exercises")
    shutil.copytree(ROOT, folder, ignore=ignored, dirs_exist_ok=True)
    (folder / "exercises").mkdir()
    subprocess.run([PYTHON, "-m", "grader", "stubs"], cwd=folder, env=ENVIRONMENT, capture_output=True, check=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as temporary:
        folder = untouched_copy(Path(temporary))
        grader = [PYTHON, "-m", "grader"]
        solutions = ["--all", "--on", "solutions"]
        pytest = [PYTHON, "-m", "pytest", "-q", *probe_files(), "--subject", "solutions"]
        torch = median(whole_run, [PYTHON, "-c", "import torch"], folder, repeat)
        rows = [
            ("import torch, alone", torch),
            ("no command, one unfinished exercise: first output", median(first_output, grader, folder, repeat)),
            ("no command, one unfinished exercise: back at the prompt", median(whole_run, grader, folder, repeat)),
            ("check --all --on solutions", median(whole_run, [*grader, "check", *solutions], folder, repeat)),
            ("the same probes by plain pytest, one process", median(whole_run, pytest, folder, repeat)),
        ]
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print()
    print("| what | seconds | × import torch |")
    print("|---|---|---|")
    for name, seconds in rows:
        print(f"| {name} | {seconds:.2f} | {seconds / torch:.2f} |")


def probe_files() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").glob("test_ex*.py"))]


if __name__ == "__main__":
    main()
