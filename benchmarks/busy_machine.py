"""Verdicts on a busy machine: is right code ever refused there, and how long may an endless loop go on?

    python benchmarks/busy_machine.py [--loops 4] [--runs 40]

Busy loops, each in a session of its own as another person's programs are, keep the processors. Beside them runs
`check --all --on solutions --require strict`: every run has to end in 0, with every protection in force. Then an
exercise with an endless loop is graded, beside the loops and without. Nothing here can fail: it measures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "GPT_KATA_NO_BOOTSTRAP": "1", "OMP_NUM_THREADS": "1"}
HUNG = "ex06_attention"


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    loop = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(loop, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in loops:
            process.kill()
            process.wait()


def graded(*arguments: str) -> tuple[int, str, float]:
    """Exit code, output and seconds of a check."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "grader", "check", *arguments, "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout or done.stderr, time.perf_counter() - start


def right_code(runs: int) -> None:
    """Grade the solutions again and again; print what was other than it should be."""
    good = gradings = 0
    seconds = []
    for seed in range(1, runs + 1):
        strict = ("--all", "--on", "solutions", "--require", "strict", "--seed", str(seed))
        code, output, took = graded(*strict)
        seconds.append(took)
        if code:
            print(f"seed {seed}: exit code {code}: {output[:300]}", flush=True)
            continue
        report = json.loads(output)
        gradings += report["passed"]
        good += 1
    print(f"right code: {good} of {runs} runs end in 0 with every protection in force; {gradings} gradings passed")
    print(f"seconds a run: {min(seconds):.1f} to {max(seconds):.1f}")


def endless_loop(where: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path in (ROOT / "solutions").glob("ex*.py"):
            shutil.copy(path, folder)
        path = Path(folder, f"{HUNG}.py")
        text = path.read_text(encoding="utf-8")
        body = "    return torch.triu("
        assert text.count(body) == 1, "the solution that is changed here has changed"
        path.write_text(text.replace(body, f"    while True: pass\n{body}"), encoding="utf-8")
        _, output, _ = graded(HUNG, "--on", folder, "--seed", "1")
        (result,) = json.loads(output)["exercises"]
        print(f"endless loop, {where}: {result['status']} after {result['seconds']:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=int, default=4, metavar="N")
    parser.add_argument("--runs", type=int, default=40, metavar="N")
    chosen = parser.parse_args()
    where = f"with {chosen.loops} busy loops beside"
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    endless_loop("on a quiet machine")
    with busy_loops(chosen.loops):
        endless_loop(where)
        print(f"seeds 1 to {chosen.runs}, {where}:")
        right_code(chosen.runs)


if __name__ == "__main__":
    main()
