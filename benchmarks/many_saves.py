"""A thousand saves in a row, ten a second: does anything leak, and does the last text get the last word?

    python benchmarks/many_saves.py [--saves 1000] [--each 0.1]

The whole `watch` runs in a pseudo-terminal; texts that are right, wrong, broken and endless take turns.
Compared are its processes, its open files and its memory after a hundred saves and after all. Exit code 1 if
there are more processes or files, or if the last verdict is not that of the last text.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.commands import untouched_copy  # noqa: E402
from benchmarks.saving_speed import memory, processes  # noqa: E402
from grader.course.catalogue import choose  # noqa: E402
from grader.learner.replace import write_whole  # noqa: E402
from tests.watching.terminal import Terminal  # noqa: E402

EXERCISE = "ex06"
WRONG = ("/ key.shape[-1] ** 0.5", "")
# A mistake that none of the others has, and what is said of it.
LAST = ("-torch.inf)", "0.0)")
LAST_WORDS = "Hidden scores are set to 0"
ENDLESS = "\n\ndef causal_mask(n):\n    while True:\n        pass\n"
BEGINNING = 100


def state(terminal: Terminal) -> tuple[int, int, float]:
    """How many processes and open files of the watcher there are, and the memory of all, once nothing runs."""
    for _ in range(100):
        terminal.read(0.1)
    return len(processes(terminal)), psutil.Process(terminal.process.pid).num_fds(), memory(terminal)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--saves", type=int, default=1000)
    parser.add_argument("--each", type=float, default=0.1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = untouched_copy(Path(temporary))
        (exercise,) = choose(folder, [EXERCISE])
        path, right = folder / "exercises" / exercise.file_name, exercise.solution.text
        assert right.count(WRONG[0]) == right.count(LAST[0]) == 1
        texts = (right, right.replace(*WRONG), right[: len(right) // 2], right + ENDLESS)
        with Terminal(["watch", EXERCISE, "--seed", "17"], folder) as terminal:
            terminal.sees("still to be written")
            before = state(terminal)
            start = time.monotonic()
            for number in range(arguments.saves):
                write_whole(path, f"{texts[number % len(texts)]}\n# save {number}\n")
                while time.monotonic() < start + (number + 1) * arguments.each:
                    terminal.read(0.01)
                if number == BEGINNING:
                    start -= time.monotonic()
                    before = state(terminal)
                    start += time.monotonic()
            write_whole(path, right.replace(*LAST))
            terminal.sees(LAST_WORDS, without=["being graded"])
            after = state(terminal)
            is_last = LAST_WORDS in terminal.shown
            terminal.press("q")
            code = terminal.ends()
    print("| | processes | open files | MB |\n|---|---|---|---|")
    for name, (count, files, megabytes) in ((f"after {BEGINNING} saves", before), ("after all", after)):
        print(f"| {name} | {count} | {files} | {megabytes:.0f} |")
    print(f"\n{arguments.saves} saves, one each {arguments.each} s")
    print(f"the last verdict is that of the last text: {is_last}; exit code {code}")
    return 0 if is_last and code == 0 and after[0] <= before[0] and after[1] <= before[1] else 1


if __name__ == "__main__":
    sys.exit(main())
